"""What exchanges send, as rows: one module an exchange."""
