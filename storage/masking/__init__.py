"""What of a text is private, and how it is replaced: one set of rules for training, replies, evaluation and logs."""
