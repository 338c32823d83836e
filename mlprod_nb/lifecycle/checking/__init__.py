"""The verb ``check``: which gates run, on which held-out rows, and the report that is kept of them."""
