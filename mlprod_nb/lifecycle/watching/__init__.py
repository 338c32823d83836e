"""Watching an endpoint: the window of its log that a look compares, counted once a file, and what else a look needs."""
