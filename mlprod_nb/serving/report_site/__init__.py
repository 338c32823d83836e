"""``/reports/``: the reports for readers in a browser, who sign in and approve there."""
