"""Pictures of candles."""
