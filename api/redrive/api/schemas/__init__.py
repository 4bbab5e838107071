"""What travels over HTTP: request and response models, apart from the tables."""
