"""Developers' tools: nothing an owner needs, and nothing of the product imports them."""
