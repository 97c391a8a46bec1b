"""Recordings of raw messages, and playing them again."""
