"""What stands between a computer and Discord on bad days: a certificate nobody knows, a network's sign-in page."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SIGN_IN_PAGE = b"<!DOCTYPE html><html><body>Welcome to Hotel Wi-Fi, please sign in</body></html>"


class Page(BaseHTTPRequestHandler):
    """Answers everything with the sign-in page."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(SIGN_IN_PAGE)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(SIGN_IN_PAGE)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the base class looks for these names

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@contextmanager
def sign_in_page(status: int = 200) -> Iterator[str]:
    """The address of a server that answers with a web page and `status`, whatever is asked."""
    with _serving(type("Answer", (Page,), {"status": status})) as web:
        yield f"http://127.0.0.1:{web.server_port}"


@contextmanager
def unknown_certificate(folder: Path) -> Iterator[str]:
    """The address of an HTTPS server whose certificate no one has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl command here")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _serving(Page, context) as web:
        yield f"https://127.0.0.1:{web.server_port}"


@contextmanager
def _serving(handler: type[Page], context: ssl.SSLContext | None = None) -> Iterator[ThreadingHTTPServer]:
    web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        web.socket = context.wrap_socket(web.socket, server_side=True)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        yield web
    finally:
        web.shutdown()
        web.server_close()
