"""Copies of the file, and whether it is sound."""
