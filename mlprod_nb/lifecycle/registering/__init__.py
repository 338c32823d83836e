"""The verb ``register``: from a fitted model and its notebook to a candidate, and to a version."""
