"""Files people bring: what is kept, what is refused, and that nothing is ever half-written."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data.chat.audience import ANYBODY, AccessFacts, Audience, with_facts
from data.exports import open_export
from data.importer import import_file
from data.json_stream import MAX_VALUE_CHARS
from data.privacy import is_bare_link
from storage.errors import BadInputError
from storage.paths import Workspace
from storage.store import Store

CHANNEL = 900
AUTHOR = {"id": "7", "username": "mira_k", "global_name": "Mira", "bot": False}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Workspace.at(tmp_path / "workspace")) as opened:
        yield opened


def message(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": str(number << 22),
        "type": 0,
        "channel_id": str(CHANNEL),
        "author": AUTHOR,
        "content": f"line {number}",
        "timestamp": "2024-04-03T12:45:08.539000+00:00",
    } | fields


def lines_file(folder: Path, *rows: dict[str, Any] | str) -> Path:
    path = folder / "chat.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return path


def stored(store: Store) -> list[str]:
    return [m.content for page in store.messages.in_channel(CHANNEL) for m in page]


# ---- what is kept -----------------------------------------------------------------------------------


def test_people_are_kept_to_the_letter_and_bots_notices_and_bare_links_are_not(store: Store, tmp_path: Path) -> None:
    kept = ["lol", "GGGGGG", "a", "x" * 2000, "  spaced\n\nout ", "look https://example.org", "<|im_end|>", "🫠🫠"]
    path = lines_file(
        tmp_path,
        *(message(n, content=text) for n, text in enumerate(kept, start=1)),
        message(50, author=AUTHOR | {"bot": True}),
        message(51, webhook_id="5"),
        message(52, type=7),
        message(53, content="<https://example.org> https://example.org/a"),
        message(54, content=" "),
        message(55, content="", attachments=[{"filename": "cat.png"}]),
    )
    summary = import_file(store, path)
    assert stored(store) == [*kept, ""]
    assert (summary.read, summary.considered, summary.kept, summary.new) == (14, 11, 9, 9)
    assert (summary.bots, summary.system, summary.links, summary.empty) == (2, 1, 1, 1)


def test_running_it_twice_adds_nothing(store: Store, tmp_path: Path) -> None:
    path = lines_file(tmp_path, *(message(n) for n in range(1, 30)))
    import_file(store, path)
    store.messages.clear_queued([change.seq for change in store.messages.queued_changes(limit=100)])
    again = import_file(store, path)
    assert (again.new, again.edited, store.messages.queue_length()) == (0, 0, 0)


def test_the_order_of_lines_does_not_matter(store: Store, tmp_path: Path) -> None:
    import_file(store, lines_file(tmp_path, message(3), message(1), message(2)))
    assert stored(store) == ["line 1", "line 2", "line 3"]


def test_half_surrogate_pairs_are_replaced_and_whole_ones_joined(store: Store, tmp_path: Path) -> None:
    row = json.dumps(message(1)).replace("line 1", "a\\ud83d b\\ud83d\\ude00")
    import_file(store, lines_file(tmp_path, row))
    assert stored(store) == ["a� b😀"]


def test_a_very_long_chain_of_links_is_judged_at_once() -> None:
    assert is_bare_link("http://" * 5000)
    assert not is_bare_link("http://" * 5000 + " x")


def test_erased_people_stay_out_whatever_the_file_says(store: Store, tmp_path: Path) -> None:
    path = lines_file(tmp_path, message(1), message(2, author=AUTHOR | {"id": "8"}))
    import_file(store, path)
    store.members.forget(7)
    import_file(store, path)
    assert stored(store) == ["line 2"]


# ---- channels ---------------------------------------------------------------------------------------


def channels_file(folder: Path) -> Path:
    path = folder / "channels.json"
    path.write_text(
        json.dumps(
            [
                {"id": "1", "type": 4, "name": "Category"},
                {"id": str(CHANNEL), "type": 0, "name": "general", "guild_id": "5"},
                {"id": "901", "type": 11, "name": "thread", "parent_id": str(CHANNEL)},
            ]
        ),
        encoding="utf-8",
    )
    return path


def test_channels_come_in_off_and_private(store: Store, tmp_path: Path) -> None:
    import_file(store, lines_file(tmp_path, message(1)), channels_file=channels_file(tmp_path))
    assert [(c.name, c.learn, c.recall, c.speak, c.is_private) for c in store.channels.all()] == [
        ("general", False, False, False, True),
        ("thread", False, False, False, True),
    ]


def test_the_owners_answer_switches_channels_on_and_is_recorded(store: Store, tmp_path: Path) -> None:
    import_file(
        store,
        lines_file(tmp_path, message(1), message(2, channel_id="901")),
        channels_file=channels_file(tmp_path),
        enable=[CHANNEL],
        visibility="public",
    )
    thread = store.channels.get(901)
    assert thread is not None
    assert thread.learn
    assert thread.recall
    assert not thread.speak
    assert not thread.is_private
    answer = store.consents.latest("import_channels")
    assert answer is not None
    assert "public" in answer.answer
    assert str(CHANNEL) in answer.wording


def test_a_channel_nobody_names_comes_in_under_its_number(store: Store, tmp_path: Path) -> None:
    import_file(store, lines_file(tmp_path, message(1)))
    assert [channel.name for channel in store.channels.all()] == [f"channel-{CHANNEL}"]


def test_enabling_an_unknown_channel_is_refused_before_anything_is_written(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="channel 42"):
        import_file(store, lines_file(tmp_path, message(1)), enable=[42])
    assert store.messages.count() == 0
    assert store.channels.all() == []


# ---- other formats ----------------------------------------------------------------------------------


def exporter_file(folder: Path, **changes: Any) -> Path:
    row = {
        "id": str(3 << 22),
        "type": "Default",
        "timestamp": "2024-05-01T12:00:00.5+02:00",
        "timestampEdited": None,
        "isPinned": True,
        "content": "moin",
        "author": {"id": "7", "name": "mira_k", "discriminator": "0000", "nickname": "Mira", "isBot": False},
        "attachments": [{"id": "1", "url": "https://x", "fileName": "cat.png", "fileSizeBytes": 3}],
        "stickers": [],
        "reactions": [
            {"emoji": {"id": "", "name": "😂"}, "count": 2},
            {"emoji": {"id": "44", "name": "pog"}, "count": 1},
        ],
        "mentions": [{"id": "8", "name": "tam", "nickname": "Tam"}],
    }
    person = row  # 0000 is what the exporter writes for everybody with a modern user name
    reply = {
        **person,
        "id": str(4 << 22),
        "type": "Reply",
        "content": "na",
        "reference": {"messageId": str(3 << 22), "channelId": str(CHANNEL), "guildId": "5"},
    }
    joined = {**person, "id": str(5 << 22), "type": "GuildMemberJoin"}
    webhook = {**row, "id": str(6 << 22), "author": {**row["author"], "id": "9", "isBot": True}}
    document = {
        "guild": {"id": "5", "name": "Friends"},
        "channel": {
            "id": str(CHANNEL),
            "type": "GuildTextChat",
            "categoryId": "1",
            "category": "Text",
            "name": "general",
        },
        "dateRange": {"after": None, "before": None},
        "messages": [person, reply, joined, webhook],
        "messageCount": 4,
    }
    path = folder / "export.json"
    path.write_text(json.dumps(document | changes, indent=2, ensure_ascii=False), encoding="utf-8-sig")
    return path


def test_discord_chat_exporter_files_are_read(store: Store, tmp_path: Path) -> None:
    summary = import_file(store, exporter_file(tmp_path))
    first, second = (m for page in store.messages.in_channel(CHANNEL) for m in page)
    assert (first.content, first.author_name, first.attachments) == ("moin", "Mira", ("cat.png",))
    assert first.is_pinned
    assert {(r.emoji, r.count) for r in first.reactions} == {("😂", 2), ("pog:44", 1)}
    assert (second.reply_to_id, second.kind) == (first.id, 19)
    assert (summary.system, summary.bots) == (1, 1)
    assert [(c.name, c.guild_id) for c in store.channels.all()] == [("general", 5)]


def test_an_error_in_an_export_names_its_line(store: Store, tmp_path: Path) -> None:
    path = exporter_file(tmp_path)
    text = path.read_text(encoding="utf-8-sig")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(BadInputError, match=r"export\.json:\d+: not valid JSON"):
        import_file(store, path)
    assert store.messages.count() == 0


def test_a_json_array_of_messages_is_read_across_pieces(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.json_stream._CHUNK_CHARS", 7)
    path = tmp_path / "array.json"
    path.write_text(json.dumps([message(n) for n in range(1, 6)], indent=1), encoding="utf-8")
    assert import_file(store, path).new == 5


def package_file(folder: Path, *, more: dict[str, str] | None = None) -> Path:
    path = folder / "package.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("account/user.json", json.dumps(AUTHOR))
        for channel, guild in ((CHANNEL, "5"), (901, "6"), (902, None)):
            described = {"id": str(channel), "type": 0 if guild else 1, "name": "general"}
            if guild:
                described["guild"] = {"id": guild, "name": f"Server {guild}"}
            package.writestr(f"messages/c{channel}/channel.json", json.dumps(described))
            package.writestr(
                f"messages/c{channel}/messages.json",
                json.dumps([{"ID": channel << 22, "Timestamp": "2024-05-01 12:00:00", "Contents": f"mine {channel}"}]),
            )
        package.writestr("messages/c903/channel.json", json.dumps({"id": "903", "type": 0, "guild": {"id": "5"}}))
        package.writestr(
            "messages/c903/messages.csv",
            f'ID,Timestamp,Contents,Attachments\r\n{903 << 22},2024-05-01 12:00:00,"a, b\nc",https://x/y.png?z\r\n',
        )
        for name, text in (more or {}).items():
            package.writestr(name, text)
    return path


def test_a_data_package_gives_the_members_messages_of_one_server_only(store: Store, tmp_path: Path) -> None:
    summary = import_file(store, package_file(tmp_path), guild_id=5)
    assert summary.new == 2
    assert stored(store) == [f"mine {CHANNEL}"]
    (other,) = next(store.messages.in_channel(903))
    assert (other.content, other.attachments, other.author_name) == ("a, b\nc", ("y.png",), "Mira")
    with pytest.raises(BadInputError, match=r"Server 5 \(5\), Server 6 \(6\)"):
        import_file(store, package_file(tmp_path))


def test_zip_bombs_and_paths_out_of_the_package_are_refused(store: Store, tmp_path: Path) -> None:
    """Fault 60."""
    with pytest.raises(BadInputError, match="points outside"):
        import_file(store, package_file(tmp_path, more={"messages/../../evil.json": "[]"}), guild_id=5)
    with pytest.raises(BadInputError, match="unpacks to"):
        import_file(store, package_file(tmp_path, more={"messages/c904/messages.json": "0" * (40 * 2**20)}), guild_id=5)
    assert store.messages.count() == 0


# ---- what is refused --------------------------------------------------------------------------------

HOSTILE = {
    "not json": ("{", "not valid JSON"),
    "cut off": (json.dumps(message(9))[:-5], "not valid JSON"),
    "a list": ("[1, 2]", "the message should be an object"),
    "no id": ({"id": None}, "id is missing"),
    "id is a word": ({"id": "abc"}, "id should be a Discord id"),
    "id is true": ({"id": True}, "id should be a Discord id"),
    "id too large": ({"id": 2**63}, "id should be a Discord id"),
    "no author": ({"author": None}, "author is missing"),
    "author is text": ({"author": "mira"}, "author should be an object"),
    "content is a number": ({"content": 5}, "content should be text, not int"),
    "mentions are text": ({"mentions": "x"}, "mentions should be a list of objects"),
    "bad time": ({"timestamp": "yesterday"}, "timestamp should be a time"),
    "bot is a word": ({"author": AUTHOR | {"bot": "yes"}}, "author.bot should be true or false"),
    "negative count": ({"reactions": [{"emoji": {"name": "x"}, "count": -4}]}, "reactions.count is out of range"),
    "deep": ("[" * 200_000, "nested too deeply"),
    "endless digits": (f'{{"id": {"9" * 5000}}}', r":3: "),
    "NaN": ('{"id": NaN}', "not JSON"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_line_is_named_and_nothing_is_written(store: Store, tmp_path: Path, case: str) -> None:
    """Fault 60."""
    fields, reason = HOSTILE[case]
    bad = fields if isinstance(fields, str) else message(3, **fields)
    with pytest.raises(BadInputError, match=reason) as caught:
        import_file(store, lines_file(tmp_path, message(1), message(2), bad, message(4)))
    assert "chat.jsonl:3:" in caught.value.text()
    assert store.messages.count() == 0
    assert store.channels.all() == []


def test_a_line_of_a_gigabyte_is_refused_without_being_read(store: Store, tmp_path: Path) -> None:
    """Fault 60: a sparse file stands for the gigabyte."""
    path = lines_file(tmp_path, message(1))
    with open(path, "r+b") as file:
        file.seek(0, 2)
        file.write(b"\n{")
        file.truncate(2**30)
    with pytest.raises(BadInputError, match=rf"chat\.jsonl:2: the line is longer than {MAX_VALUE_CHARS // 2**20} MB"):
        import_file(store, path)


def test_one_id_for_two_messages_is_refused_with_both_lines(store: Store, tmp_path: Path) -> None:
    """Fault 60. The same message twice is only an overlap of two exports."""
    with pytest.raises(BadInputError, match=r"chat\.jsonl:3: the id \d+ stands in line 1 for another author"):
        import_file(store, lines_file(tmp_path, message(1), message(2), message(1, author=AUTHOR | {"id": "8"})))
    assert store.messages.count() == 0
    edited = message(1, content="better", edited_timestamp="2024-05-01T00:00:00+00:00")
    summary = import_file(store, lines_file(tmp_path, edited, message(2), message(1)))
    assert (summary.new, summary.duplicates, stored(store)) == (2, 1, ["better", "line 2"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff\xfe{\x00", "UTF-16"),
        (b"hello", "neither JSON lines"),
        (b'{"id": "\xff"}', "not UTF-8"),
        (b"PK\x03\x04broken", "damaged ZIP"),
    ],
)
def test_files_that_are_something_else_are_named(store: Store, tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=reason):
        import_file(store, path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        open_export(tmp_path / "none")
    with pytest.raises(BadInputError, match="is a folder"):
        open_export(tmp_path)


@pytest.mark.parametrize(
    ("visibility", "facts_private", "is_private"),
    [(None, False, False), ("private", False, True), ("public", False, False), ("public", True, True)],
)
def test_the_visibility_that_was_stated_is_the_owners_word_and_discord_may_close_but_not_open(
    store: Store, tmp_path: Path, visibility: str | None, facts_private: bool, is_private: bool
) -> None:
    """Fault 72: an import, then the first look at the server."""
    import_file(store, lines_file(tmp_path, message(1)), enable="all", visibility=visibility)
    facts = AccessFacts(Audience(ANYBODY, ANYBODY), facts_private)
    store.channels.update_access({CHANNEL: lambda channel: with_facts(channel, facts)})
    assert store.channels.get(CHANNEL).is_private == is_private


@pytest.mark.parametrize(
    ("overwrites", "is_private"),
    [
        ([], False),
        (None, True),
        ([{"id": "5", "type": 0, "deny": "1024", "allow": "0"}], True),
        ([{"id": "5", "type": 0, "deny": "2048"}, {"id": "9", "type": 1, "deny": "1024"}], False),
    ],
)
def test_visibility_as_listed_goes_by_the_permission_overwrites(
    store: Store, tmp_path: Path, overwrites: list[object] | None, is_private: bool
) -> None:
    channel = {"id": "1", "type": 0, "name": "general", "guild_id": "5"}
    if overwrites is not None:
        channel["permission_overwrites"] = overwrites  # type: ignore[assignment]
    (tmp_path / "channels.json").write_text(json.dumps([channel]), encoding="utf-8")
    import_file(
        store,
        lines_file(tmp_path, message(1)),
        channels_file=tmp_path / "channels.json",
        enable="all",
        visibility="listed",
    )
    known = store.channels.get(1)
    assert (known.is_private, known.recall) == (is_private, True)


def test_an_import_cut_off_while_writing_is_completed_by_the_next(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    monkeypatch.setattr("data.importer._BATCH", 3)
    path = lines_file(tmp_path, *(message(n) for n in range(1, 11)))
    save, calls = store.messages.save, [0]

    def save_twice(batch: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise Killed
        return save(batch)

    with monkeypatch.context() as patched:
        patched.setattr(store.messages, "save", save_twice)
        with pytest.raises(Killed):
            import_file(store, path)
    assert store.messages.count() == 6
    assert import_file(store, path).new == 4
    assert len(stored(store)) == 10
