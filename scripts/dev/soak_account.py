"""What a soak run amounts to: everything counted from outside, and what must be nought."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.privacy import skip_reason
from storage.activity import ENDED_EARLY
from storage.paths import Workspace
from storage.store import Store
from tests.support.discord_world import World

CANARY = "kanarien-7431"
EMBEDDER = "all-MiniLM-L6-v2"


@dataclass
class Tally:
    """What was seen from outside."""

    said: dict[int, dict[str, Any]] = field(default_factory=dict)
    while_down: set[int] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, int]] = field(default_factory=list)
    jobs: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    job_codes: Counter[str] = field(default_factory=Counter)


def account(
    tally: Tally, store: Store, world: World, *, token: str, sizes_before: dict[str, int]
) -> list[tuple[str, str, bool]]:
    """(what, figure, is it a failure) of everything counted."""
    said = tally.said
    kept = store.messages.get(list(said))
    wanted = [number for number, raw in said.items() if is_kept(world, number, raw)]
    lost = [number for number in wanted if number not in kept]
    activity = store.activity.recent(limit=1_000_000)
    decided = {row.message_id for row in activity}
    # One answer may be to several messages; two answers to one message are what must not be.
    answers: dict[int, set[int]] = {}
    for row in activity:
        if row.message_id and row.spoke and row.reply_id is not None:
            answers.setdefault(row.message_id, set()).add(row.reply_id)
    undecided = [number for number in said if number not in decided and number not in tally.while_down]
    double = [number for number, replies in answers.items() if len(replies) > 1]
    leaks = leaks_in(store.workspace, world, token)
    rows = index_rows(store.workspace)
    waiting = store.messages.queue_length()
    first, last = memory_parts(tally.memory)
    after = sizes(store.workspace)
    checks = {db.path.name: db.check() for db in (store.control_db, store.messages_db)}
    return [
        ("messages in, live", f"{len(said):,} ({len(tally.while_down):,} of them while it was down)", False),
        ("decisions stored", f"{sum(number in decided for number in said):,}", False),
        ("said while it was up, without a decision", f"{len(undecided):,}", False),
        (
            "replies: answered messages, answers, sent",
            f"{len(answers):,}, {len(set().union(*answers.values())):,}, {len(world.sent):,}",
            False,
        ),
        ("answers cut off by an end of the bot", f"{sum(ENDED_EARLY in row.reason for row in activity):,}", False),
        ("starts of the bot", f"{store.status.starts_since(0):,}", False),
        ("faults injected", ", ".join(f"{name} {count}" for name, count in tally.faults.items()), False),
        ("jobs by exit code", ", ".join(f"{name}: {count}" for name, count in sorted(tally.job_codes.items())), False),
        ("memory, first and last part", f"{first / 1e6:.0f} MB, {last / 1e6:.0f} MB", False),
        (
            "files before and after",
            ", ".join(
                f"{name} {sizes_before.get(name, 0) / 1e6:.1f} -> {size / 1e6:.1f} MB" for name, size in after.items()
            ),
            False,
        ),
        ("messages kept, in the index, waiting", f"{store.messages.count():,}, {rows:,}, {waiting:,}", waiting > 0),
        ("databases", ", ".join(f"{name}: {words}" for name, words in checks.items()), set(checks.values()) != {"ok"}),
        ("lost", str(len(lost)), bool(lost)),
        ("double", str(len(double)), bool(double)),
        ("leaked", "; ".join(leaks) or "0", bool(leaks)),
    ]


def leaks_in(workspace: Workspace, world: World, token: str) -> list[str]:
    """The canary said in public, or the token in any file but `.env`."""
    found = [f"canary said in {sent.channel_id}" for sent in world.sent if CANARY in sent.content]
    secret = token.rsplit(".", 1)[-1].encode()
    files = [path for path in workspace.root.rglob("*") if path.is_file() and path.name != ".env"]
    return found + [f"token in {path.name}" for path in files if secret in path.read_bytes()]


def is_kept(world: World, number: int, raw: dict[str, Any]) -> bool:
    """Whether the rules of collecting want this message (no bots, no bare links, no empty ones)."""
    message = world.find(int(raw["channel_id"]), number)
    return message is not None and skip_reason(message) is None


def index_rows(workspace: Workspace) -> int:
    """Rows of the search index, each message once."""
    from storage.vectordb import VectorIndex

    index = VectorIndex.open(workspace.embeddings, model=EMBEDDER, dimension=384)
    return index.count()


def memory_parts(samples: Sequence[tuple[float, int]]) -> tuple[float, float]:
    """Mean resident memory in the first and the last quarter of the run, in bytes."""
    quarter = max(len(samples) // 4, 1)
    parts = [[size for _, size in part] for part in (samples[:quarter], samples[-quarter:])]
    return tuple(sum(part) / max(len(part), 1) for part in parts)  # type: ignore[return-value]


def sizes(workspace: Workspace) -> dict[str, int]:
    """Bytes of what grows."""

    def below(folder: Path) -> int:
        return sum(path.stat().st_size for path in files(folder))

    return {
        "control.db": workspace.control_db.stat().st_size,
        "messages.db": workspace.messages_db.stat().st_size,
        "index": below(workspace.embeddings),
        "logs": below(workspace.logs),
    }


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder."""
    return (path for path in folder.rglob("*") if path.is_file())
