"""What several commands share: options, where output goes, how errors end, tables, progress."""
