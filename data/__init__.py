"""Chat data: collecting, filtering, balancing and preparing messages."""
