"""The verbs as stories: each module tells one, in the order in which things happen."""
