"""The control panel: presenters without a toolkit, widgets without logic."""
