"""The store that users hold, and what it does with the parts below."""
