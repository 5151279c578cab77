"""Which model the bot speaks with: stored versions, the pointer to the one in use, and what may become it."""
