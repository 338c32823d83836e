"""What TAB knows: the names of a workspace in one file, and the script that makes a shell ask."""
