"""The program's own set-up, with real pip and environments."""
