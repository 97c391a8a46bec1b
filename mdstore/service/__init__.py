"""One interface over every tier: memory, the router, disk, SQLite, and an upstream for what is missing."""
