"""The SQLite file itself: opening, schema, catalogue, rows of the table, the scanner process."""
