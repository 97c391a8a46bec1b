"""Candles that are missing, from a source: what a source is, what its pages prove, how they land."""
