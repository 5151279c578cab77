"""Something stands between the computer and the internet: it is told at once, by name, with what cures it.

The fetch, the bot, the doctor and downloads of models are asked, against real servers on this computer.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.fetcher_api import DiscordRest, FetchError
from model.files.download import DownloadError, download
from scripts import doctor
from scripts.doctor import Verdict
from storage.environment import API_BASE, SERVER_ID, TOKEN, write_value
from storage.paths import PROJECT_ROOT, Workspace
from storage.store import Store
from tests.support.discord_server import DiscordServer
from tests.support.discord_world import World
from tests.support.interference import sign_in_page, unknown_certificate
from tests.support.wire_bot import wire_bot

MADE_UP_TOKEN = "MTIz.GaBcDe.not-a-real-token"


async def never(_seconds: float) -> None:
    raise AssertionError("this is not a fault that waiting cures")


def log_in(api_base: str) -> None:
    async def run() -> None:
        async with DiscordRest(MADE_UP_TOKEN, api_base=api_base, sleep=never):
            pass

    asyncio.run(run())


@pytest.fixture
def server() -> Iterator[DiscordServer]:
    with DiscordServer(World()) as running:
        yield running


def trouble_of_the_bot(store: Store, server: DiscordServer, api_base: str) -> str:
    """The first trouble the running bot reports, with its cure."""

    async def run() -> str:
        async with wire_bot(store, server, api_base=api_base) as bot:
            await bot.until(lambda: bot.services.status.snapshot().last_error, what="a sentence")
            shown = bot.services.status.snapshot()
            return f"{shown.last_error} {shown.last_error_cure}"

    return asyncio.run(run())


def finding_of_the_doctor(store: Store, api_base: str) -> str:
    write_value(store.workspace.env_file, TOKEN, MADE_UP_TOKEN)
    write_value(store.workspace.env_file, SERVER_ID, "5")
    write_value(store.workspace.env_file, API_BASE, api_base)
    (finding,) = doctor.look_at_discord(store)
    assert finding.verdict is Verdict.BAD
    return f"{finding.words} {finding.cure}"


def test_a_certificate_nobody_knows_is_named_at_the_first_try_everywhere(
    store: Store, server: DiscordServer, tmp_path: Path
) -> None:
    """Fault 91."""
    with unknown_certificate(tmp_path) as address:
        with pytest.raises(FetchError, match="certificate of Discord cannot be verified") as caught:
            log_in(f"{address}/api/v10")
        assert "SSL_CERT_FILE" in caught.value.cure
        with pytest.raises(DownloadError, match=r"certificate of 127.0.0.1 cannot be verified"):
            download(f"{address}/file.gguf", tmp_path / "file.gguf")
        for words in (
            trouble_of_the_bot(store, server, f"{address}/api/v10"),
            finding_of_the_doctor(store, f"{address}/api/v10"),
        ):
            assert "certificate of Discord cannot be verified" in words
            assert "SSL_CERT_FILE" in words


def test_the_fetch_of_an_owner_names_the_certificate_and_ends(workspace: Workspace, tmp_path: Path) -> None:
    """Fault 91: the script as it is started."""
    write_value(workspace.env_file, TOKEN, MADE_UP_TOKEN)
    write_value(workspace.env_file, SERVER_ID, "800000000000000001")
    with unknown_certificate(tmp_path) as address:
        write_value(workspace.env_file, API_BASE, f"{address}/api/v10")
        done = subprocess.run(
            [sys.executable, "scripts/fetch_and_embed.py", "--no-index", "--accept-policy", "--learn-from", "public"]
            + ["--workspace", str(workspace.root)],
            cwd=PROJECT_ROOT,
            env=os.environ | {"PYTHONPATH": str(PROJECT_ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "certificate of Discord cannot be verified" in said
    assert "Trying again" not in said
    assert "internet connection" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize("status", [200, 401, 403, 404, 511])
def test_a_sign_in_page_in_discords_place_is_no_bad_token_and_no_missing_permission(
    store: Store, server: DiscordServer, tmp_path: Path, status: int
) -> None:
    """Fault 91."""
    if status == 511:
        with sign_in_page(status) as address, pytest.raises(DownloadError, match="answered in place of"):
            download(f"{address}/file.gguf", tmp_path / "file.gguf")
        return
    with sign_in_page(status) as address:
        with pytest.raises(FetchError, match="answered in place of Discord") as caught:
            log_in(f"{address}/api/v10")
        assert "sign in" in caught.value.cure
        assert "answered in place of Discord" in trouble_of_the_bot(store, server, f"{address}/api/v10")
        assert "answered in place of Discord" in finding_of_the_doctor(store, f"{address}/api/v10")


def test_a_web_page_is_not_kept_as_a_model(tmp_path: Path) -> None:
    """Fault 91."""
    with sign_in_page() as address, pytest.raises(DownloadError, match=r"answered in place of 127\.0\.0\.1"):
        download(f"{address}/file.gguf", tmp_path / "file.gguf")
    assert not (tmp_path / "file.gguf").exists()
    assert not (tmp_path / "file.gguf.part").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://127.0.0.1:9/api/v10", "the connection was refused"),
        ("http://no-such-host.invalid/api/v10", "cannot be looked up"),
    ],
)
def test_a_refused_connection_and_a_name_nobody_knows_are_told_apart(
    store: Store, server: DiscordServer, address: str, words: str
) -> None:
    """Fault 91."""
    assert words in trouble_of_the_bot(store, server, address)
    assert words in finding_of_the_doctor(store, address)
