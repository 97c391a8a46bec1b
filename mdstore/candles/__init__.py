"""Candles in the SQLite file: the only part of mdstore that knows SQLite exists."""
