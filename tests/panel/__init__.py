"""The control panel in a real window."""
