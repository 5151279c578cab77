"""The live bot: decisions, replies, and the one gate everything sent goes through."""
