"""Pure behaviour: no process, no model, no window."""
