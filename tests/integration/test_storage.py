"""The ground floor: settings, messages, people, jobs, locks, environment, logs."""

from __future__ import annotations

import logging
import logging.handlers
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.chat.audience import recall_sources
from storage import environment, logs
from storage.activity import ENDED_EARLY
from storage.errors import (
    AlreadyRunningError,
    CancelledError,
    ConfigurationError,
    SettingError,
    StorageError,
)
from storage.paths import PROJECT_ROOT, Workspace
from storage.records import Activity, Channel, CommandKind, JobState, Mention, Message, Reaction
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, REGISTRY, RESPONSE_RATE, TEMPERATURE, Setting
from storage.store import Store
from storage.system.locks import FileLock


def message(number: int, *, channel: int = 1, author: int = 7, content: str = "yo", **fields: object) -> Message:
    values = {
        "id": number,
        "channel_id": channel,
        "author_id": author,
        "author_name": f"name{author}",
        "content": content,
        "created_ms": number,
    }
    return Message(**(values | fields))  # type: ignore[arg-type]


# ---- settings ---------------------------------------------------------------------------------------


def test_every_default_is_allowed_by_its_own_setting() -> None:
    assert all(setting.parse(setting.default) == setting.default for setting in REGISTRY.values())


def test_a_setting_reaches_another_process_at_its_next_read(store: Store) -> None:
    other = Store.open(store.workspace)
    store.settings.set(TEMPERATURE, "0.9", changed_by="panel")
    assert other.settings.get(TEMPERATURE) == 0.9
    other.close()


@pytest.mark.parametrize(
    ("setting", "raw"),
    [
        (TEMPERATURE, "1.6"),
        (TEMPERATURE, "hot"),
        (TEMPERATURE, "nan"),
        (MAX_TOKENS, "49"),
        (MAX_TOKENS, "60.5"),
        (MENTIONS_ONLY, "maybe"),
        (RESPONSE_RATE, "-1"),
        (RESPONSE_RATE, None),
        (MAX_TOKENS, "1e999"),
    ],
)
def test_a_value_out_of_range_names_the_range_and_changes_nothing(
    store: Store, setting: Setting[object], raw: object
) -> None:
    with pytest.raises(SettingError) as caught:
        store.settings.set(setting, raw, changed_by="x")
    assert setting.range_text in caught.value.text()
    assert store.settings.get(setting) == setting.default


def test_a_row_from_another_version_falls_back_to_the_default(store: Store) -> None:
    store.control_db.execute("INSERT INTO config VALUES ('temperature', '\"hot\"', 'x', 0), ('gone', '1', 'x', 0)")
    assert store.settings.get(TEMPERATURE) == TEMPERATURE.default


@given(st.one_of(st.text(), st.floats(), st.integers(), st.none(), st.binary()))
def test_no_typed_value_gets_anything_but_a_value_in_range_or_an_error(raw: object) -> None:
    for setting in REGISTRY.values():
        try:
            value = setting.parse(raw)
        except SettingError:
            continue
        assert setting.parse(value) == value


# ---- messages and people ----------------------------------------------------------------------------


def test_a_message_comes_back_to_the_letter(store: Store) -> None:
    original = message(
        5,
        content="GGGGG  \n 😂 <@3>",
        reply_to_id=4,
        mentions=(Mention(3, "Ann"),),
        username="bob",
        reactions=(Reaction("😂", 2),),
        attachments=("cat.png",),
        stickers=("wave",),
        is_pinned=True,
    )
    store.messages.save([original])
    assert store.messages.get([5])[5] == original


def test_saving_twice_adds_nothing_and_an_edit_counts_once(store: Store) -> None:
    assert store.messages.save([message(1), message(2)]).new == 2
    again = store.messages.save([message(1), message(2, content="edited", edited_ms=9)])
    assert (again.new, again.edited) == (0, 1)


def test_the_newest_message_names_the_member_whatever_the_order_of_pages(store: Store) -> None:
    store.messages.save([message(9, author_name="New name")])
    store.messages.save([message(3, author_name="Old name")])
    assert store.messages.get([3])[3].author_name == "New name"


def test_only_what_changed_waits_for_the_index(store: Store) -> None:
    store.messages.save([message(1), message(2), message(3, is_own=True), message(4, content="")])
    changes = store.messages.queued_changes(limit=10)
    assert [(c.message_id, c.message is not None) for c in changes] == [(1, True), (2, True), (4, False)]
    store.messages.clear_queued([c.seq for c in changes])
    store.messages.save([message(1)])
    assert store.messages.queue_length() == 0
    store.messages.save([message(1, content="new")])
    store.messages.delete([2])
    assert {c.message_id: c.message is not None for c in store.messages.queued_changes(limit=10)} == {1: True, 2: False}


@pytest.mark.parametrize(
    ("reading", "content"),
    [
        # the content intent is off: neither words nor files, whatever else changed
        ({"content": ""}, "yo"),
        ({"content": " \n", "edited_ms": 9}, "yo"),
        ({"content": "", "is_pinned": True, "reactions": (Reaction("😂", 1),)}, "yo"),
        # a file is there, but nothing says that the words were edited away
        ({"content": "", "attachments": ("cat.png",)}, "yo"),
        # edited down to the picture, and any edit to other words
        ({"content": "", "attachments": ("cat.png",), "edited_ms": 9}, ""),
        ({"content": "oy", "edited_ms": 9}, "oy"),
    ],
)
@pytest.mark.parametrize("is_from_server", [False, True])
def test_a_reading_without_words_never_replaces_words(
    store: Store, reading: dict[str, object], content: str, is_from_server: bool
) -> None:
    """Fault 62: one rule for every way in."""
    store.messages.save([message(1, edited_ms=5)])
    store.messages.save([message(1, **({"edited_ms": 5} | reading))], is_from_server=is_from_server)
    kept = store.messages.get([1])[1]
    assert kept.content == content
    assert kept.reactions == reading.get("reactions", ()), "reactions come with and without the intent"


def test_a_change_during_indexing_stays_queued(store: Store) -> None:
    store.messages.save([message(1)])
    taken = store.messages.queued_changes(limit=10)
    store.messages.save([message(1, content="meanwhile")])
    store.messages.clear_queued([c.seq for c in taken])
    assert store.messages.queue_length() == 1


def test_an_opt_out_takes_every_line_out_of_the_index(store: Store) -> None:
    store.messages.save([message(1), message(2), message(3, author=8)])
    store.messages.clear_queued([c.seq for c in store.messages.queued_changes(limit=10)])
    store.members.set_opted_out(7, True)
    assert [(c.message_id, c.message) for c in store.messages.queued_changes(limit=10)] == [(1, None), (2, None)]


def test_deleted_and_forgotten_messages_never_come_back(store: Store) -> None:
    """Fault 40 and the member's right to be forgotten."""
    store.messages.save([message(1), message(2, author=8)])
    store.messages.delete([1])
    assert store.members.forget(8) == [2]
    assert store.messages.save([message(1), message(2, author=8), message(3, author=8)]).new == 0
    assert store.messages.count() == 0
    forgotten = store.members.get(8)
    assert forgotten is not None
    assert forgotten.is_opted_out
    assert "name8" not in forgotten.display_name


def test_recall_sees_its_own_channel_and_what_everyone_may_read(store: Store) -> None:
    """Fault 45: unknown, private, off and lost channels give nothing to others."""
    public = {"recall": True, "is_private": False}
    store.channels.add(
        [
            Channel(1, "general", **public),
            Channel(2, "secret", recall=True),
            Channel(3, "off", is_private=False),
            Channel(4, "lost", is_access_lost=True, **public),
            Channel(5, "thread", kind=11, parent_id=1),
            Channel(6, "whisper", kind=12, parent_id=1),
        ]
    )
    assert recall_sources(store.channels.all(), 1) == [1, 5]
    assert recall_sources(store.channels.all(), 2) == [1, 2, 5]
    assert recall_sources(store.channels.all(), 99) == [1, 5]


def test_a_private_channel_trains_only_after_the_second_yes(store: Store) -> None:
    store.channels.add([Channel(1, "general", learn=True, is_private=False), Channel(2, "secret", learn=True)])
    assert [c.id for c in store.channels.trainable()] == [1]
    store.channels.switch(2, include_private=True)
    assert [c.id for c in store.channels.trainable()] == [1, 2]


def test_long_reads_go_page_by_page_with_no_read_left_open(store: Store) -> None:
    store.messages.save([message(n) for n in range(1, 26)])
    pages = store.messages.in_channel(1, page_rows=10)
    first = next(pages)
    assert not store.messages_db.connection().in_transaction
    assert [len(first), *(len(page) for page in pages)] == [10, 10, 5]


# ---- jobs, commands, activity -----------------------------------------------------------------------


def test_a_job_row_tells_how_the_work_ended(store: Store) -> None:
    with store.jobs.running("fetch") as job:
        job.result = {"new": 3}
    with pytest.raises(ZeroDivisionError), store.jobs.running("train"):
        _ = 1 / 0
    with pytest.raises(StorageError), store.jobs.running("backup"):
        raise StorageError("Disk full.", "Free some space.")
    states = {job.kind: (job.state, job.error, job.result) for job in store.jobs.recent()}
    assert states == {
        "fetch": (JobState.DONE, "", {"new": 3}),
        "train": (JobState.FAILED, "ZeroDivisionError: division by zero", {}),
        "backup": (JobState.FAILED, "Disk full. Free some space.", {}),
    }


def test_cancelling_ends_a_job_at_its_next_report(store: Store) -> None:
    with pytest.raises(CancelledError), store.jobs.running("train") as job:  # noqa: PT012
        store.jobs.request_cancel(job.job_id)
        job.report(0.3, "step 3")
    latest = store.jobs.latest("train")
    assert latest is not None
    assert latest.state is JobState.CANCELLED


def test_a_command_is_taken_once_and_old_ones_never(store: Store) -> None:
    """Fault 3."""
    store.commands.ask(CommandKind.RESTART, asked_by="panel")
    store.commands.discard_older(pid=1)
    assert store.commands.take(pid=1) is None
    asked = store.commands.ask(CommandKind.STOP, asked_by="panel")
    taken = store.commands.take(pid=1)
    assert taken is not None
    assert (taken.id, taken.kind) == (asked, CommandKind.STOP)
    assert store.commands.take(pid=1) is None


def test_old_activity_becomes_daily_totals_and_no_reply_is_lost_from_the_count(workspace: Workspace) -> None:
    now = 100 * 86_400.0
    with Store.open(workspace, clock=lambda: now) as store:
        old, new = now - 40 * 86_400, now - 60
        store.activity.add(
            [Activity(at, number, 1, 2, "x", True, "mentioned", 100.0) for number, at in enumerate((old, old, new))]
        )
        assert store.activity.roll_up() == 2
        assert store.activity.total_replies() == 3
        assert store.activity.totals_since(0).spoken == 1
        assert store.activity.roll_up() == 0


def test_a_decision_is_completed_where_it_was_stored_and_not_stored_twice(store: Store) -> None:
    due = [Activity(1.0, number, 1, 2, "x", False, "mentioned", is_due=True) for number in (1, 2)]
    store.activity.add(due)
    assert store.activity.due() == 2
    store.activity.forget_author(2)
    answered = [replace(row, spoke=True, reply_id=9, is_due=False) for row in due]
    store.activity.settle([*answered, replace(answered[0], message_id=3, author_id=4)])
    rows = [store.activity.about(number) for number in (1, 2, 3)]
    assert [(row.spoke, row.is_due, row.author_id) for row in rows if row] == [
        (True, False, 0),
        (True, False, 0),
        (True, False, 4),
    ]
    assert store.activity.totals_since(0).seen == 3


def test_what_an_ended_bot_left_unanswered_says_so(store: Store) -> None:
    store.activity.add(
        [Activity(1.0, 1, 1, 2, "x", False, "mentioned", is_due=True), Activity(1.0, 2, 1, 2, "x", False, "rolled")]
    )
    assert (store.activity.close_due(), store.activity.close_due()) == (1, 0)
    left, other = store.activity.about(1), store.activity.about(2)
    assert left is not None
    assert left.error == ENDED_EARLY
    assert left.reason == f"mentioned; {ENDED_EARLY}"
    assert other is not None
    assert (other.reason, other.error) == ("rolled", "")


# ---- locks, environment, logs -----------------------------------------------------------------------


def test_the_second_holder_is_told_who_has_the_lock(tmp_path: Path) -> None:
    """Fault 10."""
    with FileLock(tmp_path / "bot.lock", holder="A bot").acquire(), pytest.raises(AlreadyRunningError) as caught:
        FileLock(tmp_path / "bot.lock", holder="A bot").acquire()
    assert str(os.getpid()) in caught.value.text()
    FileLock(tmp_path / "bot.lock", holder="A bot").acquire().release()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    """Fault 10: kill -9."""
    code = (
        f"import sys; sys.path.insert(0, {str(PROJECT_ROOT)!r})\nfrom pathlib import Path\n"
        "from storage.system.locks import FileLock\n"
        f"lock = FileLock(Path({str(tmp_path / 'x.lock')!r}), holder='x').acquire()\nprint('held', flush=True)\n"
        "input()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(AlreadyRunningError):
        FileLock(tmp_path / "x.lock", holder="x").acquire()
    child.kill()
    child.communicate()
    FileLock(tmp_path / "x.lock", holder="x").acquire().release()


def test_the_environment_is_read_as_written_and_its_token_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    environment.write_value(file, environment.TOKEN, "abc$HOME'\"x")
    environment.write_value(file, environment.ADMIN_USERS, "12, 34")
    read = environment.read_environment(file, process={})
    assert (read.token, read.admin_ids) == ("abc$HOME'\"x", frozenset({12, 34}))
    assert "abc" not in repr(read)
    assert os.name == "nt" or stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("line", ["SERVER_ID=general", "ADMIN_USERS=12,x", "SERVER_ID=-4", f"SERVER_ID={'9' * 25}"])
def test_an_id_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(line, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=line.split("=")[0]):
        environment.read_environment(tmp_path / ".env", process={})


@pytest.fixture
def quiet_root_logger() -> object:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in root.handlers[:]:
        root.removeHandler(handler)
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_logs_are_written_and_parsed_by_the_same_format_without_secrets(
    tmp_path: Path, quiet_root_logger: object
) -> None:
    """Fault 48."""
    path = logs.configure_logging(tmp_path, "bot", secrets=["sesame-token-123"])
    logging.getLogger("a.b").warning("login with sesame-token-123\nsecond line 😀 \ud800")
    first, *more = path.read_text(encoding="utf-8").splitlines()
    entry = logs.LINE.match(first)
    assert entry is not None
    assert entry.groups()[1:] == ("WARNING", "a.b", "login with [secret]")
    assert more[0].startswith("second line 😀")


def test_log_files_stay_under_their_cap(
    tmp_path: Path, quiet_root_logger: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 11, scaled down."""
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 10_000)
    logs.configure_logging(tmp_path, "bot")
    for number in range(5000):
        logging.getLogger("x").info("line %d %s", number, "y" * 50)
    assert sum(path.stat().st_size for path in tmp_path.glob("bot.log*")) <= 10_000 * (logs.FILES_KEPT + 1)


def rotated(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("bot.log.*")}


def test_rotation_goes_on_while_somebody_reads_the_log(
    tmp_path: Path, quiet_root_logger: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 97: on Windows a file that is open cannot be renamed; real there, and with a stand-in elsewhere."""
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 2_000)
    path = logs.configure_logging(tmp_path, "bot")
    replace = os.replace

    def refused(source: Any, target: Any) -> None:
        if Path(source) == path:
            raise PermissionError(13, "The process cannot access the file", str(source))
        replace(source, target)

    monkeypatch.setattr(logs.os, "replace", refused)
    with open(path, encoding="utf-8") as reader:
        for number in range(60):
            logging.getLogger("x").info("line %03d %s", number, "y" * 150)
            reader.read()
    kept = "".join(text for _, text in sorted(rotated(tmp_path).items(), reverse=True)) + path.read_text("utf-8")
    numbers = [int(line.split("line ")[1][:3]) for line in kept.splitlines()]
    assert numbers == list(range(numbers[0], 60))
    assert len(numbers) > 40
    assert path.stat().st_size <= 2_200
    assert len(rotated(tmp_path)) == logs.FILES_KEPT


def test_a_rotation_that_is_refused_altogether_loses_no_older_line(
    tmp_path: Path, quiet_root_logger: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 97: an older file is held, so there is nowhere to go; the log goes on in the same file."""
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 2_000)
    path = logs.configure_logging(tmp_path, "bot")
    for number in range(1, logs.FILES_KEPT + 1):
        (tmp_path / f"bot.log.{number}").write_text(f"old {number}", encoding="utf-8")
    before = rotated(tmp_path)
    replace, tries = os.replace, []

    def refused(source: Any, target: Any) -> None:
        if str(source).endswith(f".{logs.FILES_KEPT - 1}"):
            tries.append(source)
            raise PermissionError(13, "The process cannot access the file", str(source))
        replace(source, target)

    monkeypatch.setattr(logs.os, "replace", refused)
    for number in range(60):
        logging.getLogger("x").info("line %03d %s", number, "y" * 150)
    after = rotated(tmp_path)
    waiting = after.pop("bot.log.rotating")
    assert after == before
    assert tries
    assert [f"line {number:03d}" in waiting + path.read_text("utf-8") for number in range(60)] == [True] * 60
    monkeypatch.setattr(logs.os, "replace", replace)
    monkeypatch.setattr(logs._Rotating, "shouldRollover", logging.handlers.RotatingFileHandler.shouldRollover)
    logging.getLogger("x").info("let go")
    assert rotated(tmp_path)["bot.log.1"] == waiting
    assert "bot.log.rotating" not in rotated(tmp_path)


def test_a_log_tail_follows_across_rotation_and_partial_lines(tmp_path: Path) -> None:
    path = tmp_path / "bot.log"
    tail = logs.LogTail(path)
    assert tail.read() == []
    path.write_text("one\ntw", encoding="utf-8")
    assert tail.read() == ["one"]
    with open(path, "a", encoding="utf-8") as file:
        file.write("o\n")
    assert tail.read() == ["two"]
    path.rename(tmp_path / "bot.log.1")
    path.write_text("three\n", encoding="utf-8")
    assert tail.read() == ["three"]


def test_lines_of_windows_logs_end_where_they_end(tmp_path: Path) -> None:
    """Fault 97: no carriage return reaches the panel or what is copied from it."""
    path = tmp_path / "bot.log"
    path.write_bytes(b"one\r\ntwo\r\n")
    assert logs.LogTail(path).read() == ["one", "two"]
