"""scripts/fetch_and_embed.py as people start it: a process of its own, with the real embedding model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from storage.paths import PROJECT_ROOT, Workspace
from storage.records import JobState
from storage.store import Store
from storage.vectordb import VectorIndex
from tests.integration.test_fetcher import TAM, humans, make_world, said
from tests.support.discord_server import DiscordServer

MODEL = "all-MiniLM-L6-v2"


def run(workspace: Workspace, server: DiscordServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | server.environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT_ROOT)}
    return subprocess.run(
        [sys.executable, "scripts/fetch_and_embed.py", "--workspace", str(workspace.root), *arguments],
        env=variables,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=240,
    )


def indexed(workspace: Workspace) -> set[int]:
    return {int(i) for i in VectorIndex.open(workspace.embeddings, model=MODEL, dimension=384).ids()}


def test_a_fetch_fills_store_and_index_and_the_next_one_follows_edits_and_deletions(workspace: Workspace) -> None:
    """FAULTS 40: store and index agree with the server afterwards."""
    with DiscordServer(make_world(messages=60, days=5)) as server:
        first = run(workspace, server, "--accept-policy", "--learn-from", "public", "--embedding-model", MODEL)
        assert first.returncode == 0, first.stderr
        assert indexed(workspace) == set(humans(server, 1000))
        ids = list(humans(server, 1000))
        server.do(lambda world: [world.delete(1000, i) for i in ids[2:8]])
        server.do(lambda world: [world.edit(1000, i, f"changed {i}") for i in ids[10:20]])
        server.do(lambda world: [world.react(1000, i, TAM, "😂") for i in ids[20:30]])
        second = run(workspace, server)
        assert second.returncode == 0, second.stderr
        assert "10 edited, 0 deleted, 6 missing (hidden, not erased)" in second.stdout
        assert indexed(workspace) == set(humans(server, 1000))
        with Store.open(workspace) as store:
            assert said(store, 1000) == humans(server, 1000)
            assert store.messages.queue_length() == 0
            job = store.jobs.latest("fetch")
            assert job.state is JobState.DONE
            assert (job.result["edited"], job.result["missing"]) == (10, 6)


@pytest.mark.parametrize("arguments", [(), ("--accept-policy",)])
def test_without_the_owners_answers_it_says_what_is_missing(workspace: Workspace, arguments: tuple[str, ...]) -> None:
    with DiscordServer(make_world(messages=3)) as server:
        done = run(workspace, server, *arguments)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert ("--accept-policy" if not arguments else "--learn-from") in done.stderr


def test_a_second_fetch_at_the_same_time_says_who_runs(workspace: Workspace) -> None:
    """FAULTS 10."""
    from storage.system.locks import FileLock

    with DiscordServer(make_world(messages=3)) as server:
        with FileLock(workspace.locks / "fetch.lock", holder="Another 'fetch' job"):
            done = run(workspace, server, "--accept-policy", "--learn-from", "public")
        assert done.returncode == 1
        assert f"process {os.getpid()}" in done.stderr
        assert server.requests == []


def test_the_token_reaches_no_file_of_the_workspace(workspace: Workspace) -> None:
    """FAULTS 48."""
    with DiscordServer(make_world(messages=3)) as server:
        run(workspace, server, "--accept-policy", "--learn-from", "public", "--no-index")
        for path in Path(workspace.root).rglob("*"):
            assert not path.is_file() or server.token.encode() not in path.read_bytes(), path
