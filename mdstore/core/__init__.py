"""Words that all parts share: timeframes, times, columns, rules. Nothing here reads or writes a file."""
