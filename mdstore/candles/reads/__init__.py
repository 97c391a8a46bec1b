"""Reading: answers of one snapshot, holes, the past, SQL."""
