"""Certificates for Pythons that come without: the one from python.org on macOS, and small containers."""

from __future__ import annotations

import os
import sys


def ensure_certificates() -> bool:
    """Let this process and its children trust what certifi lists, where this Python's own list is missing.

    True when certifi's is used. Windows has a store of its own, and what the owner set stays.
    """
    if sys.platform == "win32" or os.environ.get("SSL_CERT_FILE"):
        return False
    try:
        import ssl

        import certifi
    except ImportError:  # before the set-up
        return False
    known = ssl.get_default_verify_paths()
    if known.cafile or known.capath:
        return False
    os.environ["SSL_CERT_FILE"] = certifi.where()
    return True
