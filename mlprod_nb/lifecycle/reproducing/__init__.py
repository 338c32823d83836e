"""The verb ``reproduce``: a version's notebook runs again, and what it registers is held against the version."""
