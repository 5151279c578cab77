"""A workspace after its whole pipeline: every artefact, made by the code that makes it where that is quick."""

from __future__ import annotations

import importlib
import io
import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from model.evaluation import blind_test
from model.evaluation.rows import read_rows
from storage.backup import create_backup
from storage.blind_test import quiz_folder
from storage.index_sync import catch_up
from storage.live import Draft
from storage.paths import Workspace
from storage.records import Activity, Channel, JobState, Mention, Message, Reaction
from storage.store import Store
from storage.teaching import JudgedReply, Opinion
from storage.vectordb import VectorIndex

MINUTE = 60_000
START = 1_700_000_000_000
MIRA, NAMESAKE = 1_234_567_890_123_456_001, 1_234_567_890_123_456_002
# Nobody else says or is called this; by it every byte is searched.
WORD, NAME, OLD_NAME = "zebrafinchword", "Quokkaname", "Numbatname"


def message(author: int, minute: float, text: str, *, channel: int = 1, name: str = "", **more: object) -> Message:
    number = round(minute * 1000) * 10 + channel
    return Message(
        number,
        channel,
        author,
        name or f"member{author}",
        text,
        START + round(minute * MINUTE),
        username=f"u{author}",
        **more,  # type: ignore[arg-type]
    )


def embed(texts: Sequence[str]) -> np.ndarray:
    """One direction a text, as good as any for taking rows out."""
    return np.stack([np.eye(8, dtype=np.float32)[len(text) % 8] for text in texts])


def index_of(workspace: Workspace) -> VectorIndex:
    return VectorIndex.open(workspace.embeddings, model="tiny", dimension=8)


def messages(name: str = NAME, old_name: str = OLD_NAME, *, namesake: str = "Tam") -> list[Message]:
    """Twelve people in 60 conversations; Mira, who was called something else before, speaks in a third of them."""
    found = []
    for talk in range(60):
        for turn in range(8):
            author = 10 + (talk + turn * turn) % 12
            liked = (Reaction("👍", 1 + talk % 6),) if turn == 3 else ()
            text = f"member{author} says thing{talk} number{turn}"
            found.append(message(author, talk * 60 + turn * 2, text, reactions=liked))
        if talk % 3 == 0:
            called = old_name if talk < 30 else name
            said = f"{WORD}{talk} about thing{talk} number1"
            found.append(message(MIRA, talk * 60 + 5, said, name=called, reactions=(Reaction("👍", 3),)))
            answer = f"hello <@{MIRA}> what about thing{talk}"
            found.append(message(11, talk * 60 + 7, answer, mentions=(Mention(MIRA, called),)))
        if talk % 5 == 0:
            found.append(message(NAMESAKE, talk * 60 + 9, f"namesake says thing{talk}", name=namesake))
    return found


def fill(store: Store, outside: Path, *, name: str = NAME, old_name: str = OLD_NAME) -> None:
    """Everything: messages, index, data sets here and `outside`, evaluation, blind test, runs, models, chat, copies."""
    workspace = store.workspace
    store.channels.add([Channel(1, "general", learn=True, recall=True, speak=True, is_private=False)])
    store.messages.save(messages(name, old_name))
    catch_up(store, index_of(workspace), embed)
    workspace.env_file.write_text("SERVER_ID='42'\n", encoding="utf-8")
    for out in (workspace.message_files / "prepared-1", outside / "prepared"):
        prepare(workspace, out)
    _evaluate(workspace)
    _models(workspace)
    _chat(store, name)
    _exports(workspace, name)
    _logs(workspace)
    _copies(store)
    create_backup(store)


def prepare(workspace: Workspace, out: Path) -> None:
    """A data set by the owner's command."""
    script = importlib.import_module("scripts.2_prepare_training_data")
    with redirect_stdout(io.StringIO()):
        script.main(["--workspace", str(workspace.root), "--out", str(out), "--rejected", "templates"])


def holding(folders: Iterable[Path], *needles: str) -> list[str]:
    """Files below the folders with any of the needles in any byte, in the forms JSON, HTML and UTF-16 give them."""
    wanted = {
        form
        for needle in needles
        for form in (needle.encode(), json.dumps(needle)[1:-1].encode(), needle.encode("utf-16-le"))
    }
    return [
        str(path)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(needle in path.read_bytes() for needle in wanted)
    ]


def _evaluate(workspace: Workspace) -> None:
    rows = list(read_rows(workspace.message_files / "prepared-1" / "train.jsonl"))
    theirs = [row for row in rows if WORD in row.reply]
    quiz, key = blind_test.make(theirs[:2], [(row, "so true") for row in rows[:2]], model="voice-1")
    folder = quiz_folder(workspace, quiz.id)
    blind_test.save(quiz, key, folder)
    (folder / "results" / "ann.json").write_text("{}", encoding="utf-8")
    evaluation = workspace.data / "evaluation"
    (evaluation / "voice-1").mkdir(parents=True)
    (evaluation / "answers").mkdir()
    report = {
        "match": 71,
        "samples": [{"context": [["x", theirs[0].reply]]}],
        "writers": [{"memory": {"examples": [{"reply": theirs[1].reply}]}}],
    }
    (evaluation / "voice-1" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    (evaluation / "voice-1" / "report.html").write_text(f"<p>{theirs[0].reply}</p>", encoding="utf-8")
    answer = {"row_id": theirs[0].id, "text": theirs[0].reply}
    (evaluation / "answers" / "voice-1-0.jsonl").write_text(json.dumps(answer) + "\n", encoding="utf-8")


def _models(workspace: Workspace) -> None:
    manifest = json.loads((workspace.message_files / "prepared-1" / "manifest.json").read_text(encoding="utf-8"))
    run = workspace.root / "models" / "training" / "2026-01-01"
    run.mkdir(parents=True)
    # As earlier versions wrote them: with the people of the data set.
    description = {"recipe": {"name": "demo"}, "data": {"hash": manifest["hash"], "manifest": manifest}}
    (run / "run.json").write_text(json.dumps(description | {"data_path": "x"}), encoding="utf-8")
    (run / "voice-Q4_K_M.manifest.json").write_text(json.dumps(description), encoding="utf-8")
    models = workspace.finetuned_models
    (models / "voice-1.gguf").write_bytes(b"weights" * 100)
    version = {"name": "voice-1", "sha256": "0" * 64, "provenance": description}
    (models / "voice-1.json").write_text(json.dumps(version), encoding="utf-8")
    shutil.copy(workspace.data / "evaluation" / "voice-1" / "report.json", models / "voice-1.report.json")
    (models / "current.json").write_text(json.dumps({"file": "voice-1.gguf", "previous": None}), encoding="utf-8")


def _chat(store: Store, name: str) -> None:
    theirs = next(row for page in store.messages.in_channel(1) for row in page if row.author_id == MIRA)
    question = store.playground.ask("what do you know")
    recalled = {"message_id": theirs.id, "channel_id": 1, "name": name, "text": theirs.content, "similarity": 0.9}
    store.playground.answer(
        question, "stuff", details={"recalled": [recalled], "prompt": f"{name}: {theirs.content}\n"}
    )
    store.activity.add([Activity(1.0, theirs.id, 1, MIRA, name, False, "mentioned")])
    said = message(99, 4000, f"as you said, {theirs.content}", is_own=True, reply_to_id=theirs.id, name="bot")
    store.messages.save([said])
    store.teaching.judge(
        JudgedReply(said.id, 1, said.content, "voice-1", (theirs.id,)), Opinion.BAD, better=theirs.content
    )
    store.notes.write_drafts([Draft(1, theirs.id, 4711, f"what {theirs.content}", 1.0, 1.0)])
    with store.jobs.running("prepare") as reporter:
        reporter.result = {"shares": [{"author_id": MIRA, "name": name, "before": 0.1, "after": 0.1}]}
    assert store.jobs.latest("prepare").state is JobState.DONE  # type: ignore[union-attr]


def _exports(workspace: Workspace, name: str) -> None:
    export = {
        "channel": {"id": "1", "name": "general"},
        "messages": [
            {"id": "9001", "author": {"id": str(MIRA), "name": name}, "content": f"{WORD} exported"},
            {
                "id": "9002",
                "author": {"id": "11", "name": "member11"},
                "content": f"keep me <@{MIRA}>",
                "mentions": [{"id": str(MIRA), "name": name}],
            },
        ],
    }
    (workspace.message_files / "export.json").write_text(json.dumps(export), encoding="utf-8")
    lines = [json.dumps(entry) for entry in export["messages"]]  # type: ignore[union-attr]
    (workspace.message_files / "export.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = f"AuthorID,Author,Date,Content\n{MIRA},{name},2026,{WORD}\n11,member11,2026,keep me\n"
    (workspace.message_files / "export.csv").write_text(table, encoding="utf-8")
    killed = workspace.message_files / ".prepared-2.partial"
    killed.mkdir()
    (killed / "sessions.tmp").write_bytes(f"{name} {WORD}".encode())
    (workspace.message_files / "rejected-SmolLM2.jsonl").write_text(
        json.dumps({"key": "1", "texts": [f"{WORD} again"]}) + "\n", encoding="utf-8"
    )


def _logs(workspace: Workspace) -> None:
    (workspace.logs / "bot.log").write_text(
        f"[2026-01-01 00:00:00] [WARNING] [bot] odd event of {MIRA}: {WORD}\n"
        "[2026-01-01 00:00:01] [INFO] [bot] kept line\n",
        encoding="utf-8",
    )


def _copies(store: Store) -> None:
    """What a migration, a restore and damage leave behind."""
    folder = store.workspace.database_folder
    store.messages_db.backup_to(folder / "messages.before-schema-9.db")
    aside = folder / "before-restore-20260101-000000"
    aside.mkdir()
    store.messages_db.backup_to(aside / "messages.db")
    store.control_db.backup_to(aside / "control.db")
    damaged = folder / "messages.damaged-1.db"
    store.messages_db.backup_to(damaged)
    content = bytearray(damaged.read_bytes())
    content[:100] = b"\0" * 100
    damaged.write_bytes(content)
