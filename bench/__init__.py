"""How fast mdstore is, as ratios to the raw technique in the same run; see README.md here."""
