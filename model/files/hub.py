"""The Hugging Face hub: what a repository holds, and its files fetched whole, checked and resumable.

huggingface_hub asks the hub's API; the bytes come through model/files/download. Its own downloads (1.33) start from
zero when they were broken off, and compare sizes, not checksums.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from model.files.download import HUB_HOST, DownloadError, Report, download, is_hub, require_space
from storage.errors import KnownError
from storage.system.files import remove_file
from storage.system.network import NetworkFault, explain

_TIMEOUT_SECONDS = 30
_HUB_ADDRESS = f"https://{HUB_HOST}"
_SHA256_SIGNS = 64
# In a folder beside fetched files: where each is from, and the checksum it was accepted with.
_SOURCES = ".sources"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. sha256: of large files; blob: Git's own checksum (SHA-1 over header and content)."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


@dataclass(frozen=True)
class HubRepository:
    """A repository at one commit: its files belong together, whatever is pushed meanwhile."""

    repo: str
    revision: str
    files: tuple[HubFile, ...]

    def file(self, name: str) -> HubFile:
        """The file of that name; DownloadError when the repository has none."""
        found = next((file for file in self.files if file.name == name), None)
        if found is None:
            raise DownloadError(
                f"{self.repo} holds no file {name} (any more).",
                "Choose another model, or download a GGUF file by hand (--url).",
            )
        return found

    def matching(self, patterns: Sequence[str]) -> list[HubFile]:
        """The files whose names fit one of the patterns, smallest first: what is refused is refused early."""
        found = [file for file in self.files if any(fnmatch(file.name, pattern) for pattern in patterns)]
        return sorted(found, key=lambda file: (file.size, file.name))


@dataclass(frozen=True)
class FileSource:
    """Where a fetched file comes from, and the checksum it was accepted with."""

    repo: str
    revision: str
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileSource | None:
        """The note on a file; None where there is none or it is of another file."""
        try:
            note = json.loads(_note(path).read_text(encoding="utf-8"))
            source = cls(str(note["repo"]), str(note["revision"]), int(note["bytes"]), str(note["sha256"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return source if path.is_file() and path.stat().st_size == source.bytes else None


def endpoint() -> str:
    """The hub's address; HF_ENDPOINT names another hub, as everywhere in that world."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or _HUB_ADDRESS


def file_url(repo: str, name: str, revision: str = "main") -> str:
    """Where a file is."""
    return f"{endpoint()}/{repo}/resolve/{revision}/{name}"


def look_up(repo: str) -> HubRepository:
    """What a repository holds now. DownloadError says what to do when it cannot be asked."""
    from httpx import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    # A token of the hub belongs to the hub: False keeps it from any other address.
    token = None if is_hub(endpoint()) else False
    try:
        found = HfApi(endpoint=endpoint(), token=token).model_info(
            repo, files_metadata=True, timeout=_TIMEOUT_SECONDS, token=token
        )
    except HFValidationError as error:
        raise DownloadError(f"{repo!r} is not a name on the hub.", "Write it like Qwen/Qwen2.5-3B-Instruct.") from error
    except (HTTPError, OSError, ValueError) as error:
        raise _refused(repo, error) from error
    files = tuple(_file(each) for each in found.siblings or ())
    return HubRepository(repo, str(found.sha or "main"), files)


def fetch_file(
    repository: HubRepository, file: HubFile, target: Path, *, sha256: str = "", report: Report = lambda *_: None
) -> Path:
    """One file, checked and kept with a note of its source. sha256: what it must be, whatever the hub says.

    A file that is there already is checked against the same sums and kept.
    """
    wanted = (sha256 or file.sha256).lower()
    if sha256 and file.sha256 and sha256.lower() != file.sha256:
        raise DownloadError(
            f"{file.name} of {repository.repo} is another file than the one this program knows "
            f"(checksum {file.sha256[:12]}…, expected {wanted[:12]}…).",
            f"Its publisher has replaced it: update this program, or accept the new one with --sha256 {file.sha256}.",
        )
    if not (target.is_file() and _is_right(target, file, wanted)):
        url = file_url(repository.repo, file.name, repository.revision)
        try:
            download(url, target, sha256=wanted, report=report)
        except DownloadError as error:
            # Everybody may see what a gated repository holds: it refuses only now.
            if getattr(error.__cause__, "code", 0) in (401, 403):
                raise _asks_for_an_account(repository.repo) from error
            raise
        if not wanted and file.blob and _blob(target) != file.blob:
            remove_file(target)
            raise DownloadError(f"{file.name} arrived damaged: its checksum is not the hub's.", "Start it again.")
    if wanted:
        source = FileSource(repository.repo, repository.revision, target.stat().st_size, wanted)
        _note(target).parent.mkdir(exist_ok=True)
        _note(target).write_text(json.dumps(asdict(source), indent=1), encoding="utf-8")
    return target


def fetch_files(
    repository: HubRepository, files: Sequence[HubFile], folder: Path, *, report: Report = lambda *_: None
) -> dict[str, str]:
    """Several files into a folder, one after the other; report(0-1, step) over all of them may raise to stop.

    Returns each name's checksum (sha256, else Git's). What has arrived is kept; the next call continues from there.
    """
    total = sum(file.size for file in files) or 1
    done = 0
    folder.mkdir(parents=True, exist_ok=True)
    require_space(folder, sum(file.size for file in files if not (folder / file.name).is_file()))
    for file in files:
        fetch_file(repository, file, folder / file.name, report=_part(report, file, done / total, file.size / total))
        done += file.size
        report(done / total, f"{file.name} is here")
    return {file.name: file.sha256 or file.blob for file in files}


def _part(report: Report, file: HubFile, start: float, width: float) -> Callable[[float, str], None]:
    return lambda fraction, step: report(start + width * fraction, f"{file.name}: {step}")


def _file(sibling: Any) -> HubFile:
    lfs = sibling.lfs
    digest = str((lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", "")) or "").lower()
    is_sha256 = len(digest) == _SHA256_SIGNS and all(sign in "0123456789abcdef" for sign in digest)
    return HubFile(sibling.rfilename, int(sibling.size or 0), digest if is_sha256 else "", str(sibling.blob_id or ""))


def _note(path: Path) -> Path:
    return path.parent / _SOURCES / f"{path.name}.json"


def _is_right(path: Path, file: HubFile, wanted: str) -> bool:
    if path.stat().st_size != file.size:
        return False
    known = FileSource.of(path)
    if wanted and known is not None:  # it was hashed when it came
        return known.sha256 == wanted
    return _sha256(path) == wanted if wanted else not file.blob or _blob(path) == file.blob


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _blob(path: Path) -> str:
    """The checksum Git gives a file's content."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _refused(repo: str, error: Exception) -> KnownError:
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, OfflineModeIsEnabled):
        return DownloadError(
            "HF_HUB_OFFLINE is set: nothing is fetched from the hub.", "Remove that variable, then start it again."
        )
    if isinstance(error, GatedRepoError):
        return _asks_for_an_account(repo)
    if isinstance(error, RepositoryNotFoundError):
        # The hub says the same of a repository that is private, and of a token it does not know.
        return DownloadError(
            f"The hub knows no repository {repo}, or does not show it to you.",
            "Check the name. A wrong HF_TOKEN has the same effect: correct it, or remove it.",
        )
    if isinstance(error, HfHubHTTPError) and error.response is not None and error.response.status_code in (401, 403):
        return _asks_for_an_account(repo)
    trouble = explain(error, _host())
    if trouble.fault is not NetworkFault.UNKNOWN:
        return DownloadError(f"{repo} could not be fetched. {trouble.what}", trouble.cure)
    return DownloadError(
        f"{repo} could not be fetched: the hub's answer is not one ({type(error).__name__}).",
        "Try again later; it continues where it stopped.",
    )


def _asks_for_an_account(repo: str) -> KnownError:
    return DownloadError(
        f"{repo} is only for those who accepted its licence.",
        f"Sign in on {endpoint()}/{repo}, accept the licence there, make a token (Settings > Access Tokens), set it as "
        "HF_TOKEN, and start again. Or choose another model.",
    )


def _host() -> str:
    return endpoint().partition("://")[2].partition("/")[0]
