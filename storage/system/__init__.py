"""Where the program meets the operating system: processes, files and everything that differs from system to system."""
