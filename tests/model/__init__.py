"""Real llama.cpp, torch and what is built on them."""
