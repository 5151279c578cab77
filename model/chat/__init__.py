"""A loaded model in conversation: requests in, replies out. Everybody outside comes through `model.inference`."""
