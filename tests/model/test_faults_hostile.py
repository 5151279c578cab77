"""Hostile input by property tests: whatever comes in, a named error or a clean result comes out, never a crash."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.config import is_named, parse_duration
from bot.outbox import MAX_LENGTH, Outgoing, prepare, shortened
from data.importer import import_file
from model.files.gguf_check import check_gguf
from model.markup import to_discord_text, to_model_text
from storage.environment import TOKEN, Environment, read_environment, write_value
from storage.errors import BadInputError, ConfigurationError, ModelFileError, SettingError
from storage.paths import Workspace
from storage.quiet_hours import is_quiet_time
from storage.records import Activity, Channel, Mention, Message, Reaction
from storage.settings import REGISTRY, Settings
from storage.store import Store
from tests.support import hostile_text

# Derandomised: the same examples on every machine; no deadlines, since other work shares the processor.
bounded = settings(
    max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

VALID_MESSAGE = {
    "id": str(5 << 22),
    "type": 0,
    "channel_id": "900",
    "content": "hello",
    "timestamp": "2024-04-03T12:45:08.5+00:00",
    "edited_timestamp": None,
    "pinned": False,
    "author": {"id": "7", "username": "mira", "global_name": "Mira"},
    "attachments": [{"filename": "a.png"}],
    "mentions": [{"id": "8", "username": "tam"}],
    "webhook_id": None,
    "reactions": [{"emoji": {"id": None, "name": "x"}, "count": 2}],
    "message_reference": {"message_id": "4"},
    "sticker_items": [{"name": "wave"}],
}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Store]:
    with Store.open(Workspace.at(folder / "shared")) as opened:
        yield opened


# ---- files people bring ---------------------------------------------------------------------------------


@bounded
@given(rows=st.lists(hostile_text.broken(VALID_MESSAGE) | hostile_text.json_value, min_size=1, max_size=3))
def test_any_message_object_is_imported_whole_or_refused_by_line(shared: Store, folder: Path, rows: list[Any]) -> None:
    """Fault 60."""
    path = folder / "chat.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in [VALID_MESSAGE | {"id": "1"}, *rows]), encoding="utf-8")
    shared.messages_db.execute("DELETE FROM messages")
    try:
        summary = import_file(shared, path)
    except BadInputError as error:
        assert "chat.jsonl" in error.text()
        assert shared.messages.count() == 0
    else:
        assert shared.messages.count() == summary.new


@bounded
@given(
    content=st.binary(max_size=400)
    | st.text(max_size=200).map(lambda words: words.encode("utf-8", "replace"))
    | st.binary(max_size=200).map(lambda tail: json.dumps(VALID_MESSAGE).encode() + b"\n" + tail)
    | st.binary(max_size=60).map(lambda tail: b"PK\x03\x04" + tail)
    | st.just(b"[" * 5000)
)
def test_any_bytes_are_imported_or_refused_with_a_sentence(shared: Store, folder: Path, content: bytes) -> None:
    """Fault 60."""
    path = folder / "bytes.json"
    path.write_bytes(content)
    shared.messages_db.execute("DELETE FROM messages")
    try:
        import_file(shared, path)
    except BadInputError as error:
        assert error.text()
        assert shared.messages.count() == 0


def test_channels_that_name_each_other_as_parents_do_not_hang_anything(store: Store) -> None:
    """Fault 60."""
    store.channels.add(
        [
            Channel(1, "a", kind=11, parent_id=2),
            Channel(2, "b", kind=11, parent_id=1),
            Channel(3, "c", kind=11, parent_id=3),
        ]
    )
    assert [store.channels.get(number) is not None for number in (1, 2, 3)] == [True] * 3
    assert all(channel.is_private and not channel.speak for channel in store.channels.all())


# ---- what the store keeps -----------------------------------------------------------------------------


@bounded
@given(words=hostile_text.text, name=hostile_text.text)
def test_any_text_and_name_can_be_kept_and_read_back(shared: Store, words: str, name: str) -> None:
    """Fault 52: half surrogate pairs become U+FFFD, everything else stays to the letter."""
    number = shared.messages.count() + 1  # words are not replaced by none
    shared.messages.save(
        [
            Message(
                number,
                1,
                7,
                name,
                words,
                9,
                attachments=(words,),
                stickers=(name,),
                username=name,
                mentions=(Mention(8, name),),
                reactions=(Reaction(words, 2),),
            )
        ]
    )
    kept = shared.messages.get([number])[number]
    is_whole = not any("\ud800" <= c <= "\udfff" for c in words)
    assert kept.content == words if is_whole else "\ufffd" in kept.content or kept.content
    shared.activity.add([Activity(1.0, 9, 1, 7, name, False, "reason", error=words)])
    shared.channels.add([Channel(4, name)])
    question = shared.playground.ask(words)
    shared.playground.answer(question, name, error=words)
    assert shared.playground.answer_to(question) is not None
    json.dumps([kept.content, kept.author_name], ensure_ascii=False).encode("utf-8")


# ---- settings, commands, environment ------------------------------------------------------------------


@settings(bounded, max_examples=25)
@given(raw=hostile_text.scalar | st.sampled_from(["nan", "inf", "-inf", "1e999", "0x10", "1_0", "٣", "½", " 0.5 ", ""]))
@pytest.mark.parametrize("key", sorted(REGISTRY))
def test_a_typed_setting_is_taken_within_its_range_or_refused_with_the_range(key: str, raw: Any) -> None:
    """Fault 52: what is typed in the panel or a command."""
    setting = REGISTRY[key]
    try:
        value = setting.parse(raw)
    except SettingError as error:
        assert error.text().isprintable() or "\n" not in error.what
        return
    assert type(value) is setting.type
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        assert setting.low is None or setting.low <= value
        assert setting.high is None or value <= setting.high
    assert Settings().with_values({key: value})[setting] == value


@bounded
@given(words=hostile_text.text | st.sampled_from(["²", "١h", "1h²", "9" * 5000 + "h", "1d" * 3000, "9" * 12]))
def test_command_arguments_are_understood_or_refused(words: str) -> None:
    """Fault 52."""
    try:
        assert 0 < parse_duration(words) <= 30 * 86_400
    except SettingError as error:
        assert error.cure
    assert is_quiet_time(words, 5) in (True, False)
    assert is_named(words, ["bo", words.casefold()]) in (True, False)


@bounded
@given(
    content=st.binary(max_size=300)
    | st.builds(
        lambda form, words: form.format(words).encode("utf-8", "replace"),
        st.sampled_from(["SERVER_ID={0}\n", TOKEN + "='{0}\nADMIN_USERS=1,{0}", "export {0}={0}\n"]),
        hostile_text.text,
    )
)
def test_any_env_file_is_read_or_refused_with_a_sentence(folder: Path, content: bytes) -> None:
    """Fault 52."""
    path = folder / "any.env"
    path.write_bytes(content)
    try:
        environment = read_environment(path, process={})
    except ConfigurationError as error:
        assert error.cure
    else:
        assert isinstance(environment, Environment)
        assert "token" not in repr(environment).lower()


@bounded
@given(token=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80).map(str.strip))
def test_a_pasted_token_is_read_back_as_it_was(folder: Path, token: str) -> None:
    """Fault 52."""
    path = folder / "pasted.env"
    path.unlink(missing_ok=True)
    try:
        write_value(path, TOKEN, token)
    except ConfigurationError:
        return
    assert read_environment(path, process={}).token == token
    assert os.name == "nt" or path.stat().st_mode & 0o077 == 0


# ---- model files ---------------------------------------------------------------------------------------


def _string(words: bytes) -> bytes:
    return struct.pack("<Q", len(words)) + words


GGUF = (
    b"GGUF"
    + struct.pack("<IQQ", 3, 1, 2)
    + _string(b"general.architecture")
    + struct.pack("<I", 8)
    + _string(b"llama")
    + _string(b"list")
    + struct.pack("<IIQ", 9, 4, 2)
    + struct.pack("<II", 1, 2)
    + _string(b"w")
    + struct.pack("<IQIQ", 1, 8, 0, 0)
).ljust(256, b"\0") + b"\1" * 64


def test_the_sample_header_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(GGUF)
    assert check_gguf(tmp_path / "m.gguf").architecture == "llama"


@bounded
@given(
    flips=st.lists(st.tuples(st.integers(0, len(GGUF) - 1), st.integers(0, 255)), max_size=6),
    length=st.integers(0, len(GGUF)) | st.just(len(GGUF)),
)
def test_any_damaged_model_header_is_named_and_never_crashes_or_fills_the_memory(
    folder: Path, flips: list[tuple[int, int]], length: int
) -> None:
    """Fault 50."""
    content = bytearray(GGUF)
    for place, value in flips:
        content[place] = value
    path = folder / "any.gguf"
    path.write_bytes(bytes(content[:length]))
    try:
        check_gguf(path)
    except ModelFileError as error:
        assert "any.gguf" in error.what
        assert error.cure


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<!DOCTYPE html><title>404</title>", "web page"),
        (b"\x80\x04\x95", "pickle"),
        (b"PK\x03\x04", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS"),
        (b"", "empty"),
        (GGUF[:40], "ends in the middle"),
        (GGUF[:170], "cut short"),
    ],
)
def test_files_that_are_no_model_are_named_for_what_they_are(tmp_path: Path, content: bytes, reason: str) -> None:
    """Faults 50 and 51."""
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=reason):
        check_gguf(path)


def test_a_gigabyte_of_zeros_is_refused_at_once(tmp_path: Path) -> None:
    """Fault 50: a sparse file."""
    with open(tmp_path / "zeros.gguf", "wb") as file:
        file.truncate(2**30)
    with pytest.raises(ModelFileError, match="only zeros"):
        check_gguf(tmp_path / "zeros.gguf")


# ---- what goes into and comes out of the model ------------------------------------------------------------


@bounded
@given(words=hostile_text.text, name=hostile_text.text)
def test_markup_is_total_in_both_directions(words: str, name: str) -> None:
    """Fault 52."""
    read = to_model_text(
        words, [Mention(1, name)], {1: name}, role_names={1: name}, attachments=[words], stickers=[name]
    )
    assert isinstance(to_discord_text(read + words, {name: 1}, {"wave": "<:wave:1>"}, {name: 2}), str)


@bounded
@given(words=hostile_text.text | st.lists(hostile_text.text, max_size=6).map("\n".join))
def test_whatever_the_model_writes_only_sound_messages_leave(words: str) -> None:
    """Faults 21 and 44."""
    ready = prepare(words, Settings(), secrets=["sesame-open-now"])
    bursts = ready.bursts if isinstance(ready, Outgoing) else ()
    for burst in (*bursts, shortened(words)):
        assert 0 < len(burst) <= MAX_LENGTH
        assert burst.strip()
        burst.encode("utf-8")
        assert not any(control.strip() in burst for control in hostile_text.CONTROL_STRINGS)
        assert not any(c in "\x00\x1b\u202e\u2066" for c in burst)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_env_file_saved_by_a_windows_editor_is_read_and_kept(tmp_path: Path, encoding: str) -> None:
    """Fault 52."""
    path = tmp_path / ".env"
    path.write_bytes("# Zoë\r\nSERVER_ID=5\r\n".encode(encoding))
    assert read_environment(path, process={}).server_id == 5
    write_value(path, TOKEN, "new")
    environment = read_environment(path, process={})
    assert (environment.server_id, environment.token) == (5, "new")
    assert "Zoë" in path.read_text(encoding="utf-8")
