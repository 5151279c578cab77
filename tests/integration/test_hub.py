"""Files of the hub arrive whole or not at all: checked, resumed, cancelled, refused in a sentence (loopback hub)."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants as hub_constants
import pytest

from model.catalog import find_model
from model.files import hub as module
from model.files.download import DownloadError
from model.files.hub import FileSource, HubFile, HubRepository, fetch_file, fetch_files, look_up
from model.training.base_model import BaseModelError, resolve_base, wanted_files
from storage.errors import CancelledError
from tests.support.hub_server import HubServer, Repository

REPO, WEIGHTS = "owner/tiny", "model.safetensors"
CONTENT = bytes(range(256)) * 2_000


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with HubServer(token="hf_good") as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", False)
        running.put(REPO, WEIGHTS, CONTENT)
        running.put(REPO, "config.json", b'{"model_type": "llama"}')
        running.put(REPO, "tokenizer.json", b"{}")
        yield running


def weights(repository: HubRepository) -> HubFile:
    return repository.file(WEIGHTS)


def everything(hub: HubServer, folder: Path) -> dict[str, str]:
    repository = look_up(REPO)
    return fetch_files(repository, wanted_files(repository), folder)


def test_the_hub_is_asked_as_its_own_library_asks(hub: HubServer, tmp_path: Path) -> None:
    """The stand-in answers huggingface_hub itself, byte for byte: it is no private invention of these tests."""
    path = huggingface_hub.hf_hub_download(REPO, WEIGHTS, endpoint=hub.address, local_dir=tmp_path, token=False)
    assert Path(path).read_bytes() == CONTENT
    folder = huggingface_hub.snapshot_download(REPO, endpoint=hub.address, local_dir=tmp_path / "all", token=False)
    assert {each.name for each in Path(folder).iterdir() if each.is_file()} >= {"config.json", WEIGHTS}


def test_every_file_is_checked_against_the_hubs_own_sums_and_the_sum_is_kept(hub: HubServer, tmp_path: Path) -> None:
    """Fault 160."""
    sums = everything(hub, tmp_path)
    source = FileSource.of(tmp_path / WEIGHTS)
    assert source is not None
    assert source.sha256 == sums[WEIGHTS] == weights(look_up(REPO)).sha256
    assert source.revision == hub.repositories[REPO].revision
    (tmp_path / WEIGHTS).write_bytes(b"another file")
    assert FileSource.of(tmp_path / WEIGHTS) is None


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_what_arrives_damaged_is_not_kept(hub: HubServer, tmp_path: Path, name: str) -> None:
    """Fault 160: the large file by its SHA-256, the small one by Git's own sum."""
    repository = look_up(REPO)
    if name == WEIGHTS:
        hub.damages.add(name)
    else:  # the same commit, other bytes: something in between changed them
        wrong = hub.repositories[REPO].files | {name: b'{"model_type": "LLAMA"}'}
        hub.repositories[REPO] = forged(wrong, repository.revision)
    with pytest.raises(DownloadError, match="damaged"):
        fetch_file(repository, repository.file(name), tmp_path / name)
    assert not (tmp_path / name).exists()


def forged(files: dict[str, bytes], revision: str) -> Repository:
    return type("Forged", (Repository,), {"revision": revision})(files)


def test_a_broken_connection_goes_on_where_it_stopped_in_another_process_too(hub: HubServer, tmp_path: Path) -> None:
    """Fault 160: huggingface_hub itself begins again from the first byte."""
    hub.drops_after = 200_000
    with pytest.raises(DownloadError, match="broke off") as caught:
        everything(hub, tmp_path)
    assert "continues where it stopped" in caught.value.cure
    assert not (tmp_path / WEIGHTS).exists()
    assert (tmp_path / "config.json").exists(), "what is whole stays"
    hub.drops_after = None
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from model.files.hub import *;"
            f"r = look_up({REPO!r}); fetch_file(r, r.file({WEIGHTS!r}), Path(sys.argv[1]))",
            str(tmp_path / WEIGHTS),
        ],
        env={"PATH": "", **hub.environment},
        check=True,
    )
    assert hub.sent("storage")[-1].range == "bytes=200000-"
    assert (tmp_path / WEIGHTS).read_bytes() == CONTENT
    before = len(hub.sent("storage"))
    everything(hub, tmp_path)
    assert len(hub.sent("storage")) == before, "what is here and right is not fetched again"


def test_a_fetch_tells_how_far_it_is_over_all_files_and_can_be_stopped(hub: HubServer, tmp_path: Path) -> None:
    """Fault 160."""
    seen: list[tuple[float, str]] = []
    resolve_base(REPO, tmp_path / "bases", report=lambda fraction, step: seen.append((fraction, step)))
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)
    assert any(step.startswith(f"Fetching {REPO}: {WEIGHTS}: ") and " MB" in step for _, step in seen)

    def stop(fraction: float, _step: str) -> None:
        if fraction > 0.5:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        resolve_base(REPO, tmp_path / "others", report=stop)
    with pytest.raises(CancelledError):  # what arrived is no base yet
        resolve_base(REPO, tmp_path / "others", report=stop)
    assert resolve_base(REPO, tmp_path / "others").folder.is_dir()


def test_the_files_of_a_base_belong_to_one_commit(hub: HubServer, tmp_path: Path) -> None:
    repository = look_up(REPO)
    hub.put(REPO, WEIGHTS, CONTENT * 2)
    with pytest.raises(DownloadError, match="refused"):
        fetch_files(repository, wanted_files(repository), tmp_path)


def test_a_second_copy_of_the_weights_and_what_lies_deeper_stay_on_the_hub(hub: HubServer) -> None:
    """Fault 161: Mistral publishes its weights twice, and both were read as one model."""
    for name in ("consolidated.safetensors", "onnx/model.safetensors", "original/params.json"):
        hub.put(REPO, name, CONTENT)
    hub.put(REPO, "README.md", b"#")
    assert [file.name for file in wanted_files(look_up(REPO))] == ["tokenizer.json", "config.json", WEIGHTS]
    del hub.repositories[REPO].files[WEIGHTS]
    hub.put(REPO, "pytorch_model.bin", CONTENT)
    del hub.repositories[REPO].files["consolidated.safetensors"]
    with pytest.raises(BaseModelError, match=r"no \.safetensors"):
        wanted_files(look_up(REPO))


def test_the_token_stays_with_the_hub(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 113: another address than the hub's gets none at all, and where the hub sends on to gets none either."""
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    everything(hub, tmp_path / "1")
    assert {each.token for each in hub.requests} == {""}
    hub.requests.clear()
    monkeypatch.setattr(module, "is_hub", lambda _url: True)
    monkeypatch.setattr("model.files.download.is_hub", lambda url: url.startswith(hub.address))
    everything(hub, tmp_path / "2")
    assert {each.token for each in hub.requests if each.host == "hub"} == {"hf_good"}
    assert {each.token for each in hub.requests if each.host == "storage"} == {""}


@pytest.mark.parametrize(
    ("access", "what", "cure"),
    [("gated", "accepted its licence", "HF_TOKEN"), ("private", "knows no repository", "Check the name")],
)
def test_a_gated_and_a_hidden_repository_are_told_apart(
    hub: HubServer, tmp_path: Path, access: str, what: str, cure: str
) -> None:
    hub.repositories[REPO].access = access
    with pytest.raises(DownloadError, match=what) as caught:
        everything(hub, tmp_path)
    assert cure in caught.value.cure


def test_a_hub_that_is_away_or_not_one_is_a_sentence(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.has_api = False
    with pytest.raises(DownloadError) as caught:
        look_up(REPO)
    assert caught.value.cure
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="refused"):
        look_up(REPO)
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        look_up(REPO)


def test_a_file_the_publisher_replaced_is_not_taken_for_the_known_one(hub: HubServer, tmp_path: Path) -> None:
    """Fault 160."""
    repository = look_up(REPO)
    with pytest.raises(DownloadError, match="another file than the one this program knows") as caught:
        fetch_file(repository, weights(repository), tmp_path / WEIGHTS, sha256="0" * 64)
    assert f"--sha256 {weights(repository).sha256}" in caught.value.cure


def test_a_model_that_left_its_repository_is_told(hub: HubServer) -> None:
    model = find_model("qwen2.5-3b")
    hub.put(model.repo, "README.md", b"moved")
    with pytest.raises(DownloadError, match=model.file):
        look_up(model.repo).file(model.file)
