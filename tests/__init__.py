"""The tests; `python -m tests` sets everything up and runs them with the checks."""
