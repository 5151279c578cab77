"""Fetching a large file: progress, resume, checksum, and a name that appears only when everything is right."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from storage.errors import KnownError
from storage.stored_json import parse_json
from storage.system.files import private_opener, remove_file, replace_file
from storage.system.network import InterceptedError, explain, intercepted, is_web_page

_CHUNK = 1 << 20
_SPARE_BYTES = 200 << 20
_TIMEOUT_SECONDS = 30
HUB_HOST = "huggingface.co"
Report = Callable[[float, str], None]


class DownloadError(KnownError):
    """A file could not be fetched; what has arrived is kept and the next run continues from there."""


@dataclass(frozen=True)
class _Remote:
    """What the server says before the download: its mark for this version, the size, and the SHA-256 if it tells."""

    tag: str
    size: int | None
    sha256: str


def download(url: str, target: Path, *, sha256: str = "", report: Report = lambda _progress, _step: None) -> Path:
    """Fetch `url` to `target`. report(progress 0-1, step) may raise to stop; the part that arrived is kept.

    sha256: expected checksum; otherwise the one the server announces (X-Linked-ETag on the Hugging Face hub) is used,
    if any. HF_TOKEN goes to the hub itself alone, over https. Raises DownloadError with a cure.
    """
    _require_web_address(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    part, note = target.with_name(target.name + ".part"), target.with_name(target.name + ".part.json")
    try:
        remote = _ask(url)
        expected = (sha256 or remote.sha256).lower()
        start = _resumable(part, note, remote)
        if remote.size is not None:
            require_space(target.parent, remote.size - start)
        note.write_text(json.dumps({"url": url, "tag": remote.tag, "size": remote.size}), encoding="utf-8")
        if remote.size is None or start < remote.size:
            _fetch(url, part, start, remote, report)
        _verify(part, remote, expected, report)
    except InterceptedError as error:
        remove_file(part)
        trouble = intercepted(_host(url))
        raise DownloadError(
            trouble.what,
            f"{trouble.cure} Or the address is that of a page: give the file's own ('resolve', not 'blob').",
        ) from error
    except urllib.error.HTTPError as error:
        if error.code in (407, 511):  # a proxy, or a network that wants a sign-in
            trouble = intercepted(_host(url))
            raise DownloadError(trouble.what, trouble.cure) from error
        raise DownloadError(f"The server refused {url}: {error.code} {error.reason}.", _cure(error.code)) from error
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        trouble = explain(error, _host(url))
        raise DownloadError(
            f"The download of {target.name} broke off. {trouble.what}",
            f"{trouble.cure} Then start it again: it continues where it stopped.",
        ) from error
    except OSError as error:
        raise DownloadError(
            f"{target} cannot be written: {error.strerror or error}.",
            "Free some space or choose another folder; what arrived is kept.",
        ) from error
    replace_file(part, target)
    remove_file(note)
    return target


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to web addresses only, never from https to http, and leaves the token with the hub."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _require_web_address(newurl, is_redirect=True)
        if urllib.parse.urlsplit(req.full_url).scheme == "https" and _scheme(newurl) != "https":
            raise DownloadError(
                f"{_host(req.full_url)} sends on from https to an address without encryption ({newurl[:200]}).",
                "Somebody on the way could replace the file: choose another address.",
            )
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and not is_hub(newurl):
            request.remove_header("Authorization")
        return request


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _ask(url: str) -> _Remote:
    """The first answer's headers; the hub tells size and checksum there, before it sends us on to its storage."""
    request = urllib.request.Request(url, method="HEAD", headers=_headers(url))
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as error:
        if error.code in (405, 501):
            return _Remote("", None, "")
        if error.code not in (301, 302, 303, 307, 308):
            raise
        headers = error.headers
    linked = (headers.get("X-Linked-ETag") or "").strip('W/"')
    size = headers.get("X-Linked-Size") or (headers.get("Content-Length") if not linked else None)
    if not linked and headers.get("Location"):
        size = None
    tag = linked or (headers.get("ETag") or "").strip('W/"')
    is_sha256 = len(linked) == 64 and all(sign in "0123456789abcdef" for sign in linked.lower())
    return _Remote(tag, byte_count(size), linked if is_sha256 else "")


def byte_count(text: str | None) -> int | None:
    """The number of bytes a header names; None where it names none that a file could have."""
    # str.isdigit() also takes superscripts, and int() refuses thousands of digits.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None


def _resumable(part: Path, note: Path, remote: _Remote) -> int:
    """How many bytes of the same version are there already; another version's are thrown away."""
    if not part.exists():
        return 0
    try:
        before = parse_json(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    size = part.stat().st_size
    is_same = bool(remote.tag) and isinstance(before, dict) and before.get("tag") == remote.tag
    if is_same and (remote.size is None or size <= remote.size):
        return size
    remove_file(part)
    return 0


def _fetch(url: str, part: Path, start: int, remote: _Remote, report: Report) -> None:
    headers = _headers(url)
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)
    opener = urllib.request.build_opener(_Redirects)
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
        # A server without ranges sends everything again: then start over.
        is_partial = answer.status == 206
        done = start if is_partial else 0
        total = remote.size
        if total is None and (following := byte_count(answer.headers.get("Content-Length"))) is not None:
            total = done + following
        with open(part, "ab" if is_partial else "wb", opener=private_opener) as stream:
            while chunk := answer.read(_CHUNK):
                if not done and is_web_page(chunk[:200].decode("utf-8", "replace")):
                    raise InterceptedError("a web page came instead of a file")
                stream.write(chunk)
                done += len(chunk)
                report(done / total if total else 0.0, _progress_text(done, total))
    if total is not None and done < total:
        raise ConnectionError(f"only {done:,} of {total:,} bytes came")


def _verify(part: Path, remote: _Remote, expected: str, report: Report) -> None:
    size = part.stat().st_size
    if remote.size is not None and size != remote.size:
        remove_file(part)
        raise DownloadError(f"{part.stem} has {size:,} bytes instead of {remote.size:,}.", "Start the download again.")
    if not expected:
        return
    digest = hashlib.sha256()
    done = 0
    with part.open("rb") as stream:
        while chunk := stream.read(_CHUNK * 4):
            digest.update(chunk)
            done += len(chunk)
            report(1.0, f"checking {done / max(size, 1):.0%}")
    if digest.hexdigest() != expected:
        remove_file(part)
        raise DownloadError(
            f"{part.stem} arrived damaged: its checksum is not the published one.",
            "Start the download again; the damaged part was deleted.",
        )


def require_space(folder: Path, needed: int) -> None:
    """DownloadError unless so many bytes fit on the disk of a folder that exists."""
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE_BYTES:
        raise DownloadError(
            f"{needed / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free.",
            "Free some space, or choose a smaller model.",
        )


def _require_web_address(url: str, *, is_redirect: bool = False) -> None:
    """DownloadError unless it is http or https with a host: `file://` would copy any file of this computer."""
    if _scheme(url) in ("http", "https") and _host(url) != url:
        return
    what = "The server sends on to" if is_redirect else "This is not a web address:"
    raise DownloadError(f"{what} {url[:200]!r}.", "Give the file's own address, beginning with https://.")


def _scheme(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).scheme.lower()
    except ValueError:  # a bracket that no address has
        return ""


def is_hub(url: str) -> bool:
    """True for the hub's own host over https: the only place a token of it belongs to."""
    try:
        parts = urllib.parse.urlsplit(url)
        return parts.scheme == "https" and parts.hostname == HUB_HOST and parts.port in (None, 443)
    except ValueError:  # a port that is no number
        return False


def _headers(url: str) -> dict[str, str]:
    headers = {"User-Agent": "discord-personality-bot", "Accept-Encoding": "identity"}
    token = os.environ.get("HF_TOKEN") if is_hub(url) else None
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


def _host(url: str) -> str:
    try:
        return urllib.parse.urlsplit(url).hostname or url
    except ValueError:
        return url


def _cure(code: int) -> str:
    if code in (401, 403):
        return "This model asks for an account: accept its licence on the hub and set HF_TOKEN, or choose another."
    if code == 404:
        return "The file is no longer there; choose another model, or download a GGUF file by hand."
    return "Try again later; it continues where it stopped."


def _progress_text(done: int, total: int | None) -> str:
    return f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB" if total else f"{done / 1e6:,.0f} MB"
