"""Ground floor: files, databases and the values every other room passes around."""
