"""A stand-in for the Hugging Face hub on loopback, as nasty as the real one.

It speaks what huggingface_hub and the program ask: a model's info with sizes and checksums, the file tree, `resolve`
with a redirect of large files to a second host, etags, ranges, gated and private repositories. On demand a connection
drops in the middle, a file arrives damaged, or another edition is pushed between two requests.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# From about this size on the hub keeps files in a storage of its own; small here, so that tiny models go there.
LARGE_BYTES = 50_000
_CHUNK = 64 << 10


@dataclass(frozen=True)
class Request:
    """A request somebody made. host: 'hub' or 'storage'."""

    host: str
    method: str
    path: str
    token: str
    range: str


@dataclass
class Repository:
    """Files by name. access: '' for everybody, 'gated' for who accepted the licence, 'private' for nobody."""

    files: dict[str, bytes] = field(default_factory=dict)
    access: str = ""

    @property
    def revision(self) -> str:
        """A commit's name: another one for every change."""
        sums = [f"{name}:{_blob(content)}" for name, content in sorted(self.files.items())]
        return hashlib.sha1("\n".join(sums).encode()).hexdigest()


class HubServer:
    """`with HubServer() as hub:`; HF_ENDPOINT is hub.address. token: the one that opens gated repositories."""

    def __init__(self, *, token: str = "") -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.token = token
        # How many bytes of a large file the storage sends before its connection drops; None for all of them.
        self.drops_after: int | None = None
        self.drops_left = 1 << 30
        self.damages: set[str] = set()
        self.has_api = True
        self._hub = self._server(_HubHandler)
        self._storage = self._server(_StorageHandler)

    def _server(self, handler: type[_Handler]) -> ThreadingHTTPServer:
        return ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), {"owner": self}))

    @property
    def address(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def storage_address(self) -> str:
        """The second host, which a token must never reach."""
        return f"http://localhost:{self._storage.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """For a process that shall use it: tests are offline otherwise."""
        return {"HF_ENDPOINT": self.address, "HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}

    def put(self, repo: str, name: str, content: bytes) -> None:
        """Publish a file."""
        self.repositories.setdefault(repo, Repository()).files[name] = content

    def put_folder(self, repo: str, folder: Path) -> None:
        """Publish a folder as it is."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(repo, path.relative_to(folder).as_posix(), path.read_bytes())

    def sent(self, host: str, *, ending: str = "") -> list[Request]:
        """Requests for content that a host was asked."""
        return [each for each in self.requests if each.host == host and each.method == "GET" and ending in each.path]

    def __enter__(self) -> HubServer:
        for server in (self._hub, self._storage):
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._hub, self._storage):
            server.shutdown()
            server.server_close()
        _sha256.cache_clear()
        _blob.cache_clear()


class _Handler(BaseHTTPRequestHandler):
    owner: HubServer
    host = ""
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        self.has_body = has_body
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        wanted = self.headers.get("Range") or ""
        self.owner.requests.append(Request(self.host, self.command, self.path, token, wanted))
        self.token = token
        self.route(unquote(urlsplit(self.path).path).strip("/"), parse_qs(urlsplit(self.path).query))

    def route(self, path: str, query: dict[str, list[str]]) -> None:
        raise NotImplementedError

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.has_body:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


class _HubHandler(_Handler):
    host = "hub"

    def route(self, path: str, query: dict[str, list[str]]) -> None:
        if path.startswith("api/models/"):
            self._api(path.removeprefix("api/models/").split("/"), query)
        elif "/resolve/" in path:
            repo, _, rest = path.partition("/resolve/")
            revision, _, name = rest.partition("/")
            self._resolve(repo, revision, name)
        else:
            self.send(404, b"<!doctype html><html>Not here</html>", Content_Type="text/html")

    def _repository(self, repo: str) -> Repository | None:
        """The repository where it may be seen; otherwise the hub's refusal is sent."""
        found = self.owner.repositories.get(repo)
        is_known = bool(self.token) and self.token == self.owner.token
        if found is None or found.access == "private":
            self._refuse(401 if not self.token else 404, "RepoNotFound", "Repository not found")
            return None
        if found.access == "gated" and not is_known:
            self._refuse(403 if self.token else 401, "GatedRepo", f"Access to model {repo} is restricted.")
            return None
        return found

    def _api(self, parts: list[str], query: dict[str, list[str]]) -> None:
        if not self.owner.has_api:
            self.send(404, b"<!doctype html><html>Not here</html>", Content_Type="text/html")
            return
        repo = "/".join(parts[:2])
        found = self.owner.repositories.get(repo)
        # What a gated repository holds is told to everybody; its files are not.
        if found is None or found.access == "private":
            self._repository(repo)
        elif parts[2:3] == ["tree"]:
            self._json([{"type": "file", "path": name, **_entry(content)} for name, content in found.files.items()])
        else:
            has_sizes = query.get("blobs", [""])[0].lower() == "true"
            siblings = [{"rfilename": n} | (_sibling(c) if has_sizes else {}) for n, c in found.files.items()]
            gated = "manual" if found.access == "gated" else False
            self._json({"id": repo, "modelId": repo, "sha": found.revision, "gated": gated, "siblings": siblings})

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        found = self._repository(repo)
        if found is None:
            return
        if revision not in ("main", found.revision):
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
            return
        content = found.files.get(name)
        if content is None:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X_Repo_Commit": found.revision, "Accept_Ranges": "bytes"}
        if len(content) < LARGE_BYTES:
            self.send(200, content, ETag=f'"{_blob(content)}"', **headers)
            return
        address = f"{self.owner.storage_address}/{repo}/{name}?signature=abc"
        linked = {"X_Linked_ETag": f'"{_sha256(content)}"', "X_Linked_Size": str(len(content))}
        self.send(302, Location=address, ETag=f'"{_blob(b"pointer")}"', **headers, **linked)

    def _refuse(self, status: int, code: str, words: str) -> None:
        self.send(status, words.encode(), X_Error_Code=code, X_Error_Message=words)

    def _json(self, value: Any) -> None:
        self.send(200, json.dumps(value).encode(), Content_Type="application/json")


class _StorageHandler(_Handler):
    host = "storage"

    def route(self, path: str, query: dict[str, list[str]]) -> None:
        owner, _, name = path.partition("/")
        repo, _, name = name.partition("/")
        content = self.owner.repositories[f"{owner}/{repo}"].files[name]
        if self.token or "signature" not in query:  # a signed address refuses a second kind of permission
            self.send(400, b"<Error>Only one auth mechanism allowed</Error>", Content_Type="application/xml")
            return
        if name in self.owner.damages:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        body = content[start:]
        self.send_response(206 if self.headers.get("Range") else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{_sha256(content)}"')
        if self.headers.get("Range"):
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not self.has_body:
            return
        drops = self.owner.drops_after if self.owner.drops_left > 0 else None
        if drops is not None and drops < len(body):
            self.owner.drops_left -= 1
            self.wfile.write(body[:drops])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        for place in range(0, len(body), _CHUNK):
            self.wfile.write(body[place : place + _CHUNK])


def _entry(content: bytes) -> dict[str, Any]:
    large = {"lfs": {"oid": _sha256(content), "size": len(content), "pointerSize": 135}}
    return {"size": len(content), "oid": _blob(content)} | (large if len(content) >= LARGE_BYTES else {})


def _sibling(content: bytes) -> dict[str, Any]:
    large = {"lfs": {"sha256": _sha256(content), "size": len(content), "pointerSize": 135}}
    return {"size": len(content), "blobId": _blob(content)} | (large if len(content) >= LARGE_BYTES else {})


@lru_cache(maxsize=64)
def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@lru_cache(maxsize=64)
def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
