"""What is kept in memory, and for how long."""
