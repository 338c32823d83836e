"""Continuous integration: the workflow that ``ci init`` writes, and what nbval is to take for equal."""
