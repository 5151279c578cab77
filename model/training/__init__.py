"""From a prepared folder to a file the bot can load: recipe, preflight, run, export."""
