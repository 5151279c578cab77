"""How the program installs itself: pins, sources, pip runs, failures. Standard library only.

Everything here must be readable by Python 3.7, so that a person with an old Python gets a
sentence instead of a syntax error.
"""
