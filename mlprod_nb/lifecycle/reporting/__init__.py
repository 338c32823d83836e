"""Reports as stories: run, several at once, run again, approved, and the page that leads to them."""
