"""Tests of what a sync is made of."""
