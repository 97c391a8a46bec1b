"""Where candles and messages come from: files, exchanges, recordings."""
