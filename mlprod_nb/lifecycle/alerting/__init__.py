"""After a verdict: alerts are raised and closed, people are told, and what the settings ask for is done."""
