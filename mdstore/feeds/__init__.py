"""What exchanges send, as rows: one module a venue, and recordings of what they sent."""
