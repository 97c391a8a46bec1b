"""Pictures of candles, and of a store."""
