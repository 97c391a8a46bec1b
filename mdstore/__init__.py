"""Market-data storage for Python quants."""
