"""The pages of the SQLite file: how they lie, and what puts them in order. Rules are in `optimization`."""
