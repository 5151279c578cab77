"""Real SQLite, LanceDB, processes and a loopback Discord."""
