"""Behaviour of the whole house, one flat folder; `python -m tests` runs it."""
