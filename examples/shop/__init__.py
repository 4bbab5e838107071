"""A shop whose payments fail, and are retried by Redrive: `python -m examples.shop`. What to copy is in `shop.py`."""
