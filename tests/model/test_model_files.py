"""Model files: whole or refused with a cure (fault 50), which one a workspace uses, and how one is downloaded."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from model.catalog import (
    DEFAULT_MODEL,
    MODELS,
    check_gguf,
    find_model,
    offline_chat_model,
    offline_embedding_folder,
    resolve_model,
)
from model.embeddings import query_gguf_path, serving_model
from model.files.download import DownloadError, download
from scripts import download_model
from storage.environment import Environment
from storage.errors import CancelledError, ModelFileError
from storage.jobs.frame import exit_code_of
from storage.paths import Workspace
from storage.settings import MODEL_PATH, Settings
from tests.support.hub_server import HubServer


@pytest.fixture(scope="session")
def whole() -> bytes:
    """The start of the packaged model is enough for header tests; the whole of it for downloads."""
    return offline_chat_model().read_bytes()


def test_the_packaged_model_is_whole() -> None:
    header = check_gguf(offline_chat_model())
    assert header.architecture == "llama"
    assert header.tensor_count == 272
    assert (offline_embedding_folder() / "config.json").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\0" * 4096, "zeros"),
        (b"PK\x03\x04", "PyTorch"),
        (b"\x80\x02ctorch", "PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"hello", "not 'GGUF'"),
        (b"GGUF", "middle"),
        (b"GGUF\x63\0\0\0", "version 99"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "counts"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_plain_words(tmp_path: Path, content: bytes, words: str) -> None:
    """Fault 50: HTML, zeros, pickles, pointers; llama.cpp never sees them."""
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelFileError) as caught:
        check_gguf(path)
    assert words in caught.value.what
    assert caught.value.cure


def test_a_sparse_gigabyte_of_zeros_is_refused_at_once(tmp_path: Path) -> None:
    """Fault 50."""
    path = tmp_path / "model.gguf"
    with path.open("wb") as stream:
        stream.truncate(1 << 30)
    with pytest.raises(ModelFileError, match="zeros"):
        check_gguf(path)


@pytest.mark.parametrize("share", [0.00001, 0.005, 0.5, 0.999])
def test_a_truncated_model_is_refused(tmp_path: Path, whole: bytes, share: float) -> None:
    """Fault 50."""
    path = tmp_path / "model.gguf"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelFileError, match=r"cut short|middle of its header"):
        check_gguf(path)


def test_flipped_bytes_in_the_header_never_crash_the_check(tmp_path: Path, whole: bytes) -> None:
    """Fault 50: each flip is either refused with a known error or harmless."""
    path = tmp_path / "model.gguf"
    start = whole[:400]
    for position in range(4, 400, 29):
        damaged = bytearray(start)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged) + whole[400:200_000])
        with pytest.raises(ModelFileError):
            check_gguf(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        check_gguf(tmp_path / "nothing.gguf")
    with pytest.raises(ModelFileError, match="is a folder"):
        check_gguf(tmp_path)


# ---- which file ---------------------------------------------------------------------------------------


ROOT_FILE = Path(Path.cwd().anchor, "models", "env.gguf")  # on Windows with a drive


def test_the_owners_choice_comes_first_then_deployed_then_env_then_base(workspace: Workspace) -> None:
    nothing = Settings()
    with pytest.raises(ModelFileError, match="No model is installed"):
        resolve_model(workspace, nothing, Environment())
    (workspace.base_models / DEFAULT_MODEL.file).touch()
    assert resolve_model(workspace, nothing, Environment()).name == DEFAULT_MODEL.file
    assert resolve_model(workspace, nothing, Environment(model_path=str(ROOT_FILE))) == ROOT_FILE
    (workspace.finetuned_models / "current.json").write_text(json.dumps({"file": "v1.gguf", "previous": None}))
    deployed = workspace.finetuned_models / "v1.gguf"
    assert resolve_model(workspace, nothing, Environment(model_path="/x.gguf")) == deployed
    chosen = nothing.with_values({MODEL_PATH.key: "models/mine.gguf"})
    assert resolve_model(workspace, chosen, Environment()) == workspace.root / "models/mine.gguf"


@pytest.mark.parametrize("pointer", ["", "{}", "[]", '{"file": "../../elsewhere.gguf"}'])
def test_a_broken_or_escaping_pointer_is_refused(workspace: Workspace, pointer: str) -> None:
    """Fault 51: a pointer cannot lead out of its folder."""
    (workspace.finetuned_models / "current.json").write_text(pointer)
    with pytest.raises(ModelFileError):
        resolve_model(workspace, Settings(), Environment())


def test_the_catalogue_names_licences_and_free_alternatives() -> None:
    assert "Research" in DEFAULT_MODEL.licence
    assert not DEFAULT_MODEL.is_free
    assert sum(model.is_free for model in MODELS) >= 3
    assert all(model.file.endswith(".gguf") and model.licence and model.size_bytes > 1e8 for model in MODELS)
    with pytest.raises(ModelFileError, match="catalogue"):
        find_model("gpt-5")


# ---- download -----------------------------------------------------------------------------------------


class Hub(http.server.BaseHTTPRequestHandler):
    """A file hub on the loopback, with ranges, checksums and faults on demand."""

    protocol_version = "HTTP/1.1"
    content = b""
    tag = ""
    ranges: ClassVar[list[str]] = []
    break_after: int | None = None
    has_ranges = True
    status = 200

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        cls = type(self)
        if cls.status != 200:
            self.send_response(cls.status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path.startswith("/hub/"):  # the hub tells size and checksum, then sends on to its storage
            self.send_response(302)
            self.send_header("Location", self.path.replace("/hub/", "/store/"))
            self.send_header("X-Linked-ETag", f'"{cls.tag}"')
            self.send_header("X-Linked-Size", str(len(cls.content)))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        wanted = self.headers.get("Range")
        if wanted and cls.has_ranges and not head:
            cls.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
        body = cls.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"v1"')
        self.end_headers()
        if not head:
            self.wfile.write(body if cls.break_after is None else body[: cls.break_after])
            if cls.break_after is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hub() -> Iterator[type[Hub]]:
    handler = type("HubOfThisTest", (Hub,), {"ranges": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield handler
    server.shutdown()
    server.server_close()


def serve(hub: type[Hub], content: bytes) -> str:
    hub.content, hub.tag = content, hashlib.sha256(content).hexdigest()
    return f"{hub.address}/hub/file.gguf"


def test_a_download_reports_progress_and_checks_the_published_checksum(hub: type[Hub], tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    seen: list[float] = []
    path = download(serve(hub, content), tmp_path / "file.gguf", report=lambda share, _step: seen.append(share))
    assert path.read_bytes() == content
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert list(tmp_path.iterdir()) == [path]


def test_a_broken_download_goes_on_where_it_stopped(hub: type[Hub], tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    url = serve(hub, content)
    hub.break_after = 2_000_000
    with pytest.raises(DownloadError, match="broke off"):
        download(url, tmp_path / "file.gguf")
    assert not (tmp_path / "file.gguf").exists()
    hub.break_after = None
    assert download(url, tmp_path / "file.gguf").read_bytes() == content
    assert hub.ranges
    assert hub.ranges[-1].startswith("bytes=")
    assert hub.ranges[-1] != "bytes=0-"


def test_a_part_of_another_version_is_thrown_away(hub: type[Hub], tmp_path: Path) -> None:
    url = serve(hub, b"old" * 1_000_000)
    hub.break_after = 1_500_000
    with pytest.raises(DownloadError):
        download(url, tmp_path / "file.gguf")
    hub.break_after = None
    serve(hub, b"new" * 1_000_000)
    assert download(url, tmp_path / "file.gguf").read_bytes() == b"new" * 1_000_000
    assert hub.ranges == []


def test_a_server_without_ranges_sends_everything_again(hub: type[Hub], tmp_path: Path) -> None:
    content = b"abc" * 1_000_000
    url = serve(hub, content)
    hub.break_after = 1_500_000
    with pytest.raises(DownloadError):
        download(url, tmp_path / "file.gguf")
    hub.break_after, hub.has_ranges = None, False
    assert download(url, tmp_path / "file.gguf").read_bytes() == content


def test_a_damaged_download_is_deleted(hub: type[Hub], tmp_path: Path) -> None:
    url = serve(hub, b"right" * 1000)
    hub.content = b"wrong" * 1000
    with pytest.raises(DownloadError, match="damaged"):
        download(url, tmp_path / "file.gguf")
    assert not (tmp_path / "file.gguf.part").exists()


@pytest.mark.parametrize(("status", "words"), [(404, "no longer there"), (401, "licence"), (503, "Try again")])
def test_a_refusal_says_what_to_do(hub: type[Hub], tmp_path: Path, status: int, words: str) -> None:
    url = serve(hub, b"x")
    hub.status = status
    with pytest.raises(DownloadError) as caught:
        download(url, tmp_path / "file.gguf")
    assert words in caught.value.cure


def test_no_network_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke off"):
        download("http://127.0.0.1:9/file.gguf", tmp_path / "file.gguf")


def test_a_cancelled_download_keeps_what_arrived(hub: type[Hub], tmp_path: Path) -> None:
    url = serve(hub, b"x" * 5_000_000)

    def stop(share: float, _step: str) -> None:
        if share > 0.3:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        download(url, tmp_path / "file.gguf", report=stop)
    assert (tmp_path / "file.gguf.part").stat().st_size > 1_000_000


def test_the_script_refuses_what_is_no_model_file(
    hub: type[Hub], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    url = serve(hub, b"<html>please log in</html>")
    where = ["--workspace", str(workspace.root)]
    assert exit_code_of(lambda: download_model.main(["--url", url, *where])) == 1
    assert "web page" in capsys.readouterr().err
    assert exit_code_of(lambda: download_model.main(["--url", f"{hub.address}/x.bin", *where])) == 1
    assert exit_code_of(lambda: download_model.main(["--list"])) == 0
    assert "Apache-2.0" in capsys.readouterr().out


@pytest.fixture
def shelf(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        # What lies there only bears the catalogue's names.
        monkeypatch.setattr(download_model, "find_model", lambda key: replace(find_model(key), sha256=""))
        yield running


def test_a_file_the_publisher_replaced_is_refused_with_the_way_to_take_it(
    shelf: HubServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 160: the catalogue's own checksum counts more than the hub's."""
    monkeypatch.undo()
    monkeypatch.setenv("HF_ENDPOINT", shelf.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    model = find_model("qwen2.5-1.5b")
    shelf.put(model.repo, model.file, b"GGUF of somebody else" * 3_000)  # of a size the hub sums up
    assert exit_code_of(lambda: download_model.main([model.key, "--workspace", str(workspace.root)])) == 1
    assert "--sha256" in capsys.readouterr().err
    assert not (workspace.base_models / model.file).exists()


def test_the_script_downloads_from_the_catalogue_and_checks_the_model(
    shelf: HubServer, workspace: Workspace, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    model = find_model("qwen2.5-1.5b")
    shelf.put(model.repo, model.file, whole)
    assert exit_code_of(lambda: download_model.main([model.key, "--workspace", str(workspace.root)])) == 0
    target = workspace.base_models / model.file
    assert target.stat().st_size == len(whole)
    assert str(target) in capsys.readouterr().out
    assert exit_code_of(lambda: download_model.main([model.key, "--workspace", str(workspace.root)])) == 0


def test_the_default_download_brings_the_chat_model_and_the_one_for_recall(
    shelf: HubServer, workspace: Workspace, whole: bytes
) -> None:
    """Fault 93: nothing else of the documented path brings an embedding model."""
    shelf.put(DEFAULT_MODEL.repo, DEFAULT_MODEL.file, whole)
    source = offline_embedding_folder()
    for path in (path for path in source.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.parent.name == "1_Pooling":  # as the chosen model pools
            content = content.replace(b'"pooling_mode_cls_token": false', b'"pooling_mode_cls_token": true').replace(
                b'"pooling_mode_mean_tokens": true', b'"pooling_mode_mean_tokens": false'
            )
        shelf.put("BAAI/bge-small-en-v1.5", path.relative_to(source).as_posix(), content)
    assert exit_code_of(lambda: download_model.main(["--workspace", str(workspace.root)])) == 0
    assert (workspace.base_models / DEFAULT_MODEL.file).stat().st_size == len(whole)
    assert serving_model("bge-small-en-v1.5", workspace) == "bge-small-en-v1.5"
    assert query_gguf_path("bge-small-en-v1.5", workspace).exists()


def test_a_model_for_recall_that_cannot_be_had_does_not_keep_the_chat_model_away(
    shelf: HubServer, workspace: Workspace, whole: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fault 93."""
    shelf.put(DEFAULT_MODEL.repo, DEFAULT_MODEL.file, whole)
    assert exit_code_of(lambda: download_model.main(["--workspace", str(workspace.root)])) == 0
    assert (workspace.base_models / DEFAULT_MODEL.file).exists()
    assert serving_model("bge-small-en-v1.5", workspace) == "all-MiniLM-L6-v2"
    said = capsys.readouterr()
    assert "serves instead" in said.out + said.err
