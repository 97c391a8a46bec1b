"""Tickers, order books and trades of now, in memory only."""
