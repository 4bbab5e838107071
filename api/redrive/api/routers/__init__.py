"""Routes, one module per resource. Routes hold no rules: they translate between HTTP and the modules beside."""
