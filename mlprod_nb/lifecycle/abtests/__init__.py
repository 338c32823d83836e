"""A/B tests as stories: started, read, moved by a bandit, ended."""
