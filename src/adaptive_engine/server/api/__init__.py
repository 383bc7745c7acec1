"""Our own routes, a file per noun."""
