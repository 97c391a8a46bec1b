"""What is known besides the candles: coverage, arrivals, revisions, unfinished bars."""
