"""The prediction log: every answer that was given, once, and what was learnt of it afterwards."""
