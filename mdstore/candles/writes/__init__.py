"""Landing and deleting candles, each in one transaction."""
