"""Frame in, frame out: longer bars, screens, fill, checks. Nothing is stored or read here."""
