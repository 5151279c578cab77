"""Widgets only: they draw what a presenter decided and pass on what the owner did."""
