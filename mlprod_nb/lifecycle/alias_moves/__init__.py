"""Moves of aliases, made in journal and registry alike: protected by settings, owed where a process was killed."""
