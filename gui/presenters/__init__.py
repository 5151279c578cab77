"""What each room shows, as frozen values made by pure functions. Nothing here knows a toolkit."""
