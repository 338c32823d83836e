"""Giving an endpoint another state: which one a verb wants, what it would do, and how the gateway takes it."""
