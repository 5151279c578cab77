"""Where the hub's token goes, and which addresses are fetched at all."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from model.files import download as module
from model.files.download import DownloadError, download

TOKEN = "hf_" + "not_a_real_token_0000"
HUB = "https://huggingface.co/owner/repo/resolve/main/model.gguf"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        (HUB, True),
        ("https://HuggingFace.co/x", True),
        ("https://huggingface.co:443/x", True),
        ("http://huggingface.co/x", False),
        ("https://huggingface.co:8443/x", False),
        ("https://huggingface.co:port/x", False),
        ("https://cdn-lfs.huggingface.co/x", False),
        ("https://huggingface.co.evil.example/x", False),
        ("https://huggingface.co@evil.example/x", False),
        ("https://evil.example/huggingface.co/x", False),
        ("https://evil.example#huggingface.co/x", False),
        ("https://[huggingface.co/x", False),
        ("https://hf.co/x", False),
    ],
)
def test_the_hubs_token_goes_to_the_hub_over_https_alone(url: str, is_sent: bool) -> None:
    """Fault 113."""
    assert ("Authorization" in module._headers(url)) == is_sent


@pytest.mark.parametrize(
    ("target", "is_kept"),
    [
        ("https://huggingface.co/renamed/resolve/main/model.gguf", True),
        ("https://cas-bridge.xethub.hf.co/abc", False),
        ("https://evil.example/model.gguf", False),
        ("http://huggingface.co/model.gguf", None),
        ("file:///etc/passwd", None),
        ("ftp://huggingface.co/x", None),
    ],
)
def test_no_redirect_takes_the_token_along_or_leaves_encryption(target: str, is_kept: bool | None) -> None:
    """Fault 113: None is refused."""
    request = urllib.request.Request(HUB, headers=module._headers(HUB))
    if is_kept is None:
        with pytest.raises(DownloadError):
            module._Redirects().redirect_request(request, None, 302, "Found", Message(), target)
        return
    followed = module._Redirects().redirect_request(request, None, 302, "Found", Message(), target)
    assert followed.full_url == target
    assert followed.has_header("Authorization") == is_kept


@pytest.mark.parametrize(
    "url",
    ["file:///etc/hostname.gguf", "FILE:///x.gguf", "ftp://host/x.gguf", "data:,x.gguf", "C:\\models\\x.gguf",
     "example.com/x.gguf", "//example.com/x.gguf", "https:///x.gguf", "https://[x.gguf", "", "javascript:x.gguf"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_with_a_sentence(tmp_path: Path, url: str) -> None:
    """Fault 113."""
    with pytest.raises(DownloadError, match="not a web address") as caught:
        download(url, tmp_path / "new" / "x.gguf")
    assert "https://" in caught.value.cure
    assert not (tmp_path / "new").exists()


@pytest.fixture
def servers() -> Iterator[tuple[str, list[str | None]]]:
    """A host that sends on to another; every Authorization header that either got."""
    seen: list[str | None] = []

    class Storage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"GGUF")

        def log_message(self, *_: object) -> None:
            return

    storage = HTTPServer(("127.0.0.1", 0), Storage)

    class Front(Storage):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{storage.server_port}/x")
            self.send_header("X-Linked-Size", "4")
            self.send_header("X-Linked-ETag", '"abc"')
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the base class names it

    front = HTTPServer(("127.0.0.1", 0), Front)
    for server in (storage, front):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{front.server_port}/repo/resolve/main/model.gguf", seen
    for server in (storage, front):
        server.shutdown()
        server.server_close()


def test_another_server_and_where_it_sends_on_to_never_see_the_token(
    servers: tuple[str, list[str | None]], tmp_path: Path
) -> None:
    """Fault 113."""
    url, seen = servers
    assert download(url, tmp_path / "model.gguf").read_bytes() == b"GGUF"
    assert seen == [None, None, None]
