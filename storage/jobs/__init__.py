"""Jobs: what kinds there are, their rows, who starts them, the frame a script runs in, and how progress is told."""
