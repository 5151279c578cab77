"""Widgets and windows; everything they show comes from presenters."""
