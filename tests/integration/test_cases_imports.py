"""Files as people really have them: each is read, or refused with a sentence that says what to do."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from data.export_sources import readable
from storage.errors import BadInputError
from storage.forgetting import forget_member
from storage.paths import Workspace
from storage.records import PRIVATE_THREAD, Channel
from storage.store import Store
from tests.support.exports import (
    ANA,
    CLEO,
    FIRST_ID,
    GENERAL,
    SERVER,
    Terminal,
    case,
    document,
    pack,
    package_files,
    save,
    unpack,
    written,
)

HERE = ("--server", SERVER)


@pytest.fixture
def terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(tmp_path / "workspace", capsys)


# ---- who -------------------------------------------------------------------------------------------


def test_case_01_modern_user_names_are_people_and_bots_are_told_by_their_flag(terminal: Terminal) -> None:
    """Fault 67."""
    terminal.imports(case("01") / "general.json")
    assert terminal.code == 0
    assert [terminal.figure(name) for name in ("messages read", "bots", "kept")] == ["6", "2", "4"]
    assert terminal.said() == ["anyone up", "always", "ranked or nah", "ranked"]


def test_deleted_accounts_are_one_author_by_export_and_by_discord(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 67: their discriminator is 0000 as well, and Discord gives all of them one id."""
    gone = {"id": "456226577798135808", "name": "Deleted User", "discriminator": "0000", "isBot": False}
    export = save(tmp_path / "a.json", document(written(1, "old times", author=gone | {"nickname": "Deleted User"})))
    raw = {"id": str(FIRST_ID + (2 << 22)), "channel_id": str(GENERAL), "content": "older", "type": 0}
    raw["author"] = {"id": gone["id"], "username": "Deleted User", "discriminator": "0000", "global_name": None}
    fetched = save(tmp_path / "b.jsonl", raw, indent=None)
    terminal.imports(export, fetched)
    assert {(m.author_id, m.author_name) for m in terminal.messages()} == {(456226577798135808, "Deleted User")}


@pytest.mark.parametrize("order", [("fetched.jsonl", "general.json"), ("general.json", "fetched.jsonl")])
def test_case_10_one_person_has_one_name_and_one_text_whatever_came_first(
    terminal: Terminal, order: tuple[str, str]
) -> None:
    """Fault 68."""
    files = [case("10") / name for name in order]
    for path in [*files, *files, files[0], files[0]]:
        terminal.imports(path)
        assert terminal.code == 0
        assert terminal.figure("edited") == "0"
    (message,) = terminal.messages()
    assert message.content == "<@301000000000000001> nice <:cheese:777000000000000001>"
    assert (message.author_name, message.mentions[0].name) == ("Cleo C.", "Ana")
    with terminal.store() as store:
        assert [member.display_name for member in store.members.all()] == ["Cleo C."]


def test_a_mention_written_out_follows_its_member_and_goes_with_them(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 68. Two people of one name stay written out: nobody can tell who is meant."""
    two = [CLEO | {"id": "301000000000000005", "nickname": "Ana L"}, ANA]
    rows = [
        written(1, "@Ana L, mail@Ana L @Ana Lo @cleo!", author=CLEO, mentions=[ANA, CLEO]),
        written(2, "@Ana L?", author=CLEO, mentions=two),
    ]
    terminal.imports(save(tmp_path / "a.json", document(*rows)))
    assert terminal.said() == [
        "<@301000000000000001>, mail@Ana L @Ana Lo <@301000000000000003>!",
        "@Ana L?",
    ]
    with terminal.store() as store:
        forget_member(store, 301000000000000001)
        assert store.messages.get([FIRST_ID + (1 << 22)])[FIRST_ID + (1 << 22)].mentions[0].name == "someone"


# ---- which version ---------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [("now", "before"), ("before", "now"), ("now", "before", "now", "before")])
def test_case_24_words_edited_away_stay_away(terminal: Terminal, order: tuple[str, ...]) -> None:
    """Fault 68."""
    terminal.imports(*dict.fromkeys(case("24") / f"{name}.jsonl" for name in order))
    for name in order:
        terminal.imports(case("24") / f"{name}.jsonl")
    (message,) = terminal.messages()
    assert message.content == "my number: ask me"
    assert message.edited_ms == 1_715_853_600_000, "a kept edit has its time"


def test_an_edit_down_to_a_bare_link_takes_the_older_words_with_it(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 68."""
    at = "2024-05-16T12:00:00+02:00"
    before = save(tmp_path / "before.json", document(written(1, "call 0170 0000000 https://x.org"), written(2, "hi")))
    now = save(tmp_path / "now.json", document(written(1, "https://x.org", timestampEdited=at), written(2, "hi")))
    terminal.imports(before)
    terminal.imports(now)
    assert terminal.said() == ["https://x.org", "hi"]
    assert terminal.figure("edited") == "1"
    terminal.imports(before)
    assert terminal.said() == ["https://x.org", "hi"]
    only = save(tmp_path / "only.json", document(written(3, "https://x.org/3", timestampEdited=at)))
    assert terminal.imports(only).figure("new") == "0", "a bare link nobody said anything with is not kept"


def test_a_data_package_over_an_export_keeps_what_it_does_not_know(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 68: no reactions, replies and pins are in a package; that is no reason to lose them."""
    reference = {"messageId": str(FIRST_ID), "channelId": str(GENERAL), "guildId": str(SERVER)}
    liked = [{"emoji": {"id": "", "name": "😂"}, "count": 2, "users": [ANA]}]
    row = written(
        0, "**yes** @Cleo", type="Reply", reference=reference, isPinned=True, reactions=liked, mentions=[CLEO]
    )
    package = pack(tmp_path / "package.zip", package_files("**yes** <@301000000000000003>"))
    for path in (save(tmp_path / "a.json", document(row)), package, tmp_path / "a.json", package):
        assert terminal.imports(path, *HERE).figure("edited") == "0"
    message = terminal.messages()[0]
    assert (message.content, message.reply_to_id, message.is_pinned) == (
        "**yes** <@301000000000000003>",
        FIRST_ID,
        True,
    )
    assert [reaction.count for reaction in message.reactions] == [2]
    assert message.mentions[0].name == "Cleo"


# ---- data packages ---------------------------------------------------------------------------------


def test_case_13_a_package_packed_again_on_a_mac_is_read_like_the_original(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    package = case("13") / "package.zip"
    assert terminal.imports(package, *HERE).figure("kept") == "2"
    with zipfile.ZipFile(package) as packed:
        packed.extractall(tmp_path / "unpacked")
    (tmp_path / "unpacked" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for folder in (tmp_path / "unpacked", tmp_path / "unpacked" / "package"):
        assert terminal.imports(folder, *HERE).figure("new") == "0"
        assert terminal.code == 0
    for messages in terminal.messages():
        assert messages.author_id == 301000000000000003


def test_case_14_a_package_without_account_says_whose_it_may_be_told_to_be(terminal: Terminal) -> None:
    """Fault 69."""
    package = case("14") / "package.zip"
    terminal.imports(package, *HERE)
    assert terminal.code == 1
    assert "no account/user.json" in terminal.words
    assert "--author ID" in terminal.words
    assert terminal.imports(package, *HERE, "--author", 301000000000000001).figure("kept") == "2"
    assert {m.author_name for m in terminal.messages()} == {"member 301000000000000001"}
    terminal.imports(case("01") / "general.json")
    with terminal.store() as store:
        member = store.members.get(301000000000000001)
        assert member is not None
        assert member.display_name == "Ana L", "any other source has a better name"


def test_case_15_a_package_without_messages_is_named_as_one(terminal: Terminal) -> None:
    """Fault 69."""
    terminal.imports(case("15") / "package.zip", *HERE)
    assert terminal.code == 1
    assert f"no messages in it for the server {SERVER}" in terminal.words
    assert "left the messages files out" in terminal.words
    assert terminal.imports(case("15") / "package.zip").code == 1, "without --server as well"


def test_parts_of_a_package_given_together_are_one(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    account = {"Account/user.json": json.dumps({"id": ANA["id"], "username": "ana.l"}), "Activity/a.json": "{}"}
    pack(tmp_path / "package-1.zip", account)
    pack(tmp_path / "package-2.zip", package_files("one", account=False))
    pack(tmp_path / "package-3.zip", {"Servers/index.json": "{}", "Account/avatar.png": b"x", **account})
    terminal.imports(tmp_path / "package-*.zip", *HERE)
    assert terminal.code == 0, terminal.words
    assert terminal.said() == ["one"]
    assert "package-1.zip holds no messages" in terminal.words
    terminal.imports(tmp_path / "package-2.zip", *HERE)
    assert terminal.code == 1
    assert "give all of them at once" in " ".join(terminal.words.split())


def test_another_members_package_never_tells_whose_messages_a_part_holds(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    ana = pack(tmp_path / "ana.zip", package_files("from ana"))
    part = pack(tmp_path / "cleo-2.zip", package_files("from cleo", account=False))
    terminal.imports(ana, part, *HERE)
    assert terminal.code == 1
    assert terminal.said() == ["from ana"]
    assert "cleo-2.zip has no account" in terminal.words


def test_packages_of_two_members_side_by_side_keep_their_owners(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    unpack(tmp_path / "both" / "ana", package_files("from ana"))
    other = {
        name: text.replace(str(FIRST_ID), str(FIRST_ID + (9 << 22)))
        for name, text in package_files("from cleo", member=CLEO).items()
    }
    unpack(tmp_path / "both" / "cleo", other)
    assert terminal.imports(tmp_path / "both", *HERE).code == 0
    assert {(m.content, m.author_id) for m in terminal.messages()} == {
        ("from ana", 301000000000000001),
        ("from cleo", 301000000000000003),
    }


def test_a_package_in_another_language_and_in_the_old_table_format_is_read(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    files = package_files("weg", root="paket/", folder="Nachrichten")
    files["paket/Konto/user.json"] = files.pop("paket/Account/user.json")
    place = f"paket/Nachrichten/c{GENERAL}/messages"
    del files[f"{place}.json"]
    files[f"{place}.csv"] = f'ID,Timestamp,Contents,Attachments\r\n{FIRST_ID},2020-05-01 12:00:00,"naja,\nnein",\r\n'
    assert terminal.imports(pack(tmp_path / "paket.zip", files), *HERE).code == 0
    assert terminal.said() == ["naja,\nnein"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", [".json", ",", ";", "\t"])
def test_a_package_that_a_spreadsheet_or_editor_saved_again_is_read(
    terminal: Terminal, tmp_path: Path, encoding: str, ending: str
) -> None:
    """Fault 121."""
    files: dict[str, str | bytes] = dict(package_files('straße; "ja", und\tmehr'))
    if ending != ".json":
        row = (str(FIRST_ID), "2020-05-01 12:00:00", '"straße; ""ja"", und\tmehr"', "")
        table = "\r\n".join([ending.join(("ID", "Timestamp", "Contents", "Attachments")), ending.join(row), ""])
        del files[f"Messages/c{GENERAL}/messages.json"]
        files[f"Messages/c{GENERAL}/messages.csv"] = table
    saved = {name.replace("/", "\\"): str(text).encode(encoding) for name, text in files.items()}
    assert terminal.imports(pack(tmp_path / "package.zip", saved), *HERE).code == 0, terminal.words
    assert terminal.said() == ['straße; "ja", und\tmehr']


def test_one_file_of_a_package_is_named_as_one(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 121: whose the messages are, and of which channel, stands in the others."""
    folder = unpack(tmp_path / "package", dict(package_files("hi")))
    table = folder / "messages.csv"
    table.write_text(f"ID,Timestamp,Contents,Attachments\n{FIRST_ID},2020-05-01,hi,\n", encoding="utf-8")
    inner = folder / "Messages" / f"c{GENERAL}"
    packed = pack(tmp_path / "some.zip", {"messages.csv": table.read_bytes()})
    for given in (table, inner / "messages.json", inner, packed):
        terminal.imports(given, *HERE)
        assert terminal.code == 1
        assert "one file of a member's data package" in terminal.words
        assert "Give the whole package" in terminal.words


def test_ids_that_a_spreadsheet_rounded_are_told_as_lost(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 121."""
    files = package_files("hi")
    files[f"Messages/c{GENERAL}/messages.csv"] = "ID,Timestamp,Contents,Attachments\n1.23538E+18,2020-05-01,hi,\n"
    terminal.imports(pack(tmp_path / "package.zip", files), *HERE)
    assert terminal.code == 1
    assert "rounded to 1.23538E+18" in terminal.words


def test_a_package_of_nineteen_gigabytes_is_read_without_reading_it_whole(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69: the pictures in it are a hole in the file; the messages lie behind them."""
    path, size = tmp_path / "package.zip", 19 * 2**30
    files = package_files("small words")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        big = zipfile.ZipInfo("Activity/pictures.bin")
        assert package.fp is not None
        big.file_size = big.compress_size = size
        big.CRC = 0
        big.header_offset = package.fp.tell()
        package.fp.write(big.FileHeader(zip64=True))
        package.fp.seek(size, os.SEEK_CUR)
        package.start_dir = package.fp.tell()
        package.filelist.append(big)
        for name, text in files.items():
            package.writestr(name, text)
    assert path.stat().st_size > size
    assert terminal.imports(path, *HERE).code == 0
    assert terminal.said() == ["small words"]


def test_the_server_in_the_settings_is_the_one_a_package_is_read_for(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69: the panel has no field for it."""
    terminal.root.mkdir()
    (terminal.root / ".env").write_text(f"SERVER_ID={SERVER}\n", encoding="utf-8")
    assert terminal.imports(pack(tmp_path / "package.zip", package_files("hi"))).code == 0
    assert terminal.said() == ["hi"]


def test_a_damaged_or_locked_zip_is_a_sentence(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 69."""
    whole = pack(tmp_path / "package.zip", package_files("hi" * 5000)).read_bytes()
    (tmp_path / "half.zip").write_bytes(whole[: len(whole) // 2])
    terminal.imports(tmp_path / "half.zip", *HERE)
    assert terminal.code == 1
    assert "damaged ZIP" in terminal.words
    assert "get it again" in terminal.words
    encrypted = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = encrypted.find(mark)
        while at >= 0:
            encrypted[at + offset] |= 1
            at = encrypted.find(mark, at + 4)
    (tmp_path / "locked.zip").write_bytes(encrypted)
    terminal.imports(tmp_path / "locked.zip", *HERE)
    assert terminal.code == 1
    assert "encrypted" in terminal.words


# ---- folders, stars and packed files -----------------------------------------------------------------


def test_case_62_a_star_and_a_folder_stand_for_the_files_in_them(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    folder = tmp_path / "My exports"
    save(folder / "general.json", json.loads((case("01") / "general.json").read_text(encoding="utf-8")))
    save(folder / "deep" / "memes [part 2].json", document(written(7, "part two"), channel=GENERAL + 1))
    (folder / "general.json_Files").mkdir()
    (folder / "general.json_Files" / "cat.json").write_text("{", encoding="utf-8")
    (folder / "cat.png").write_bytes(b"x")
    (folder / "general.html").write_text("<!DOCTYPE html>", encoding="utf-8")  # the same channel to look at
    (folder / "README.txt").write_text("exported by mira", encoding="utf-8")
    save(folder / "deep" / "general.json", document(written(8, "of the same name"), channel=GENERAL + 2))
    (folder / "again").symlink_to(folder, target_is_directory=True)
    terminal.imports(folder / "*.json")
    assert terminal.code == 0
    assert terminal.figure("kept") == "4"
    terminal.imports(folder, folder / "general.json", f'"{folder / "deep" / "memes [part 2].json"}"')
    assert terminal.code == 0
    assert "part two" in terminal.said()
    assert terminal.words.count("(DiscordChatExporter)") == 3, "each file once"
    terminal.imports(folder / "*.xml")
    assert terminal.code == 1
    assert "No file matches" in terminal.words
    (tmp_path / "empty").mkdir()
    terminal.imports(tmp_path / "empty")
    assert terminal.code == 1
    assert "There is no export in" in terminal.words


def test_one_bad_file_of_many_is_named_and_keeps_no_other_out(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    folder = tmp_path / "exports"
    save(folder / "a.json", document(written(1, "first")))
    (folder / "b.json").write_text(json.dumps(document(written(2, "second")), indent=2)[:-30], encoding="utf-8")
    (folder / "c.html").write_text("<!DOCTYPE html>\n<html>", encoding="utf-8")
    save(folder / "d.json", document(written(3, "third"), channel=GENERAL + 1))
    terminal.imports(folder, "--enable-channels", GENERAL + 1)
    assert terminal.code == 1
    assert terminal.said() == ["first", "third"]
    assert "Imported: 2 files. Not imported: 2." in terminal.words
    assert "- b.json:" in terminal.words
    assert "- c.html is" in terminal.words
    with terminal.store() as store:
        job = store.jobs.latest("import")
        assert job is not None
        assert "c.html" in job.error
        assert len(job.result["files"]) == 2
        assert [channel.learn for channel in store.channels.all()].count(True) == 1
    for name in ("e", "f", "g"):
        (folder / f"{name}.html").write_text("<html>", encoding="utf-8")
    terminal.imports(folder)
    assert "Not imported: 5." in terminal.words
    assert "and 2 more, see logs/import.log" in terminal.words
    log = (terminal.root / "logs" / "import.log").read_text(encoding="utf-8")
    assert "g.html is" in terminal.words
    assert "g.html is" in log
    terminal.imports(folder / "a.json", folder / "d.json", "--enable-channels", 42)
    assert terminal.code == 1
    assert "The channel 42 is in none of the files" in terminal.words


def test_a_channel_list_beside_the_files_gives_the_channels_their_names(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    row = {"id": "9", "channel_id": "5", "type": 0, "content": "hi", "author": {"id": "7", "username": "mira"}}
    save(tmp_path / "x" / "a.jsonl", row, indent=None)
    (tmp_path / "x" / "channels.json").write_text('[{"id": "5", "type": 0, "name": "lounge"}]', encoding="utf-8")
    save(tmp_path / "x" / "stats.json", {"messages": 14930, "members": 12})
    save(tmp_path / "x" / "roles.jsonl", {"id": "1", "name": "admin"}, indent=None)
    (tmp_path / "x" / "emoji.json").write_text('[{"id": "1", "name": "cheese"}]', encoding="utf-8")
    assert terminal.imports(tmp_path / "x").code == 0, terminal.words
    assert "3 other files left alone (emoji.json, roles.jsonl, stats.json)" in terminal.words
    terminal.imports(tmp_path / "x" / "channels.json")
    assert terminal.code == 1
    assert "not of messages (its first fields: id, type, name)" in terminal.words
    with terminal.store() as store:
        assert [channel.name for channel in store.channels.all()] == ["lounge"]


def test_an_old_export_renames_no_channel_and_opens_no_private_thread(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    with terminal.store() as store:
        store.channels.add([Channel(GENERAL, "today", kind=12, parent_id=5, guild_id=SERVER)])
    terminal.imports(save(tmp_path / "a.json", document(written(1, "hi"))))
    terminal.imports(pack(tmp_path / "package.zip", package_files("hi")), *HERE)
    with terminal.store() as store:
        assert [(c.name, c.kind, c.parent_id) for c in store.channels.all()] == [("today", 12, 5)]


def test_packed_exports_are_read_or_say_what_to_do(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    text = json.dumps(document(written(1, "packed")), indent=2).encode()
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(text))
    assert terminal.imports(tmp_path / "a.json.gz").code == 0
    assert terminal.said() == ["packed"]
    (tmp_path / "half.json.gz").write_bytes(gzip.compress(text * 9)[:-40])
    other = json.dumps(document(written(2, "zipped"), channel=GENERAL + 1))
    pack(
        tmp_path / "exports.zip",
        {"in/a.json": text, "in/b.json": other, "__MACOSX/in/._a.json": b"\0", "in/x.png": b""},
    )
    assert terminal.imports(tmp_path / "exports.zip").code == 0
    assert sorted(terminal.said()) == ["packed", "zipped"]
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.json"), io.BytesIO())
    pack(tmp_path / "nested.zip", {"package-1.zip": pack(tmp_path / "inner.zip", {"a": b""}).read_bytes()})
    pack(tmp_path / "photos.zip", {"cat.png": b"x"})
    (tmp_path / "a.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    for name, words in {
        "half.json.gz": "damaged compressed file",
        "a.tar.gz": "is a tar archive. Unpack it",
        "nested.zip": "holds other ZIP files. Unpack it",
        "photos.zip": "neither a data package nor an export",
        "a.7z": "is a 7z archive. Unpack it",
    }.items():
        terminal.imports(tmp_path / name)
        assert terminal.code == 1, terminal.words
        assert words in terminal.words, terminal.words


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "utf-16-le"])
def test_what_windows_programs_make_of_a_text_file_is_read(terminal: Terminal, tmp_path: Path, encoding: str) -> None:
    """Fault 70: PowerShell's > and Notepad write UTF-16, with and without a mark."""
    (tmp_path / "a.json").write_text(
        json.dumps(document(written(1, "größer 😀")), ensure_ascii=False), encoding=encoding
    )
    assert terminal.imports(tmp_path / "a.json").code == 0
    row = {"id": "9", "channel_id": "5", "type": 0, "content": "zweite\nZeile", "author": {"id": "7", "username": "m"}}
    (tmp_path / "b.jsonl").write_text(json.dumps(row) + "\r\n", encoding=encoding)
    assert terminal.imports(tmp_path / "b.jsonl").code == 0
    assert sorted(terminal.said()) == ["größer 😀", "zweite\nZeile"]


# ---- DiscordChatExporter ---------------------------------------------------------------------------


def test_case_04_direct_messages_are_refused_as_what_they_are(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    terminal.imports(case("04") / "dm.json")
    assert terminal.code == 1
    assert "is an export of direct messages" in terminal.words
    assert terminal.said() == []
    group = save(tmp_path / "group.json", document(written(1, "psst"), guild=0, kind="DirectGroupTextChat"))
    terminal.imports(group)
    assert terminal.code == 1
    assert "the direct messages of a group" in terminal.words
    assert terminal.said() == []
    terminal.imports(group, case("01") / "general.json", *HERE)
    assert terminal.code == 0
    assert "Direct messages, left out: 1 file." in terminal.words


def test_a_thread_whose_kind_is_written_as_a_number_is_one(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70: what was said in a private thread leaves it never, so its kind must not be lost."""
    thread = save(tmp_path / "thread.json", document(written(1, "among us"), channel=77, kind="12"))
    assert terminal.imports(thread).code == 0
    with Store.open(Workspace.at(terminal.root)) as store:
        channel = store.channels.get(77)
    assert channel is not None
    assert channel.kind == PRIVATE_THREAD
    terminal.imports(save(tmp_path / "dm.json", document(written(2, "psst"), channel=78, kind="1")))
    assert terminal.code == 1
    assert "is an export of direct messages" in terminal.words


def test_exports_of_several_servers_ask_which_one(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70: an export of everything holds all servers of its user."""
    ours = save(tmp_path / "ours.json", document(written(1, "ours")))
    save(tmp_path / "theirs.json", document(written(2, "theirs"), channel=77, guild=404))
    terminal.imports(tmp_path / "*s.json")
    assert terminal.code == 1
    assert "several servers: Server 404 (404), Friends of Cheese" in terminal.words
    assert terminal.said() == []
    assert terminal.imports(tmp_path / "*s.json", *HERE).code == 0
    assert terminal.said() == ["ours"]
    assert "left out: theirs.json" in terminal.words
    terminal.imports(ours, "--server", 5)
    assert terminal.code == 1
    assert "Nothing here is of the server 5, but of Friends of Cheese" in terminal.words
    (terminal.root / ".env").write_text("SERVER_ID=404\n", encoding="utf-8")
    terminal.imports(ours)
    assert terminal.code == 1
    assert "of the server 404 (SERVER_ID in .env)" in terminal.words
    assert terminal.imports(ours, *HERE).code == 0


def test_every_field_and_kind_of_newer_versions_is_understood(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    kinds = ("RecipientAdd", "ThreadCreated", "ChannelPinnedMessage", "GuildMemberJoin", "Call", "22", "46", 20, "New")
    rows = [written(n, "a notice", type=kind) for n, kind in enumerate(kinds)]
    rows += [
        written(
            20,
            "look :cheese:",
            type="0",
            timestamp="2024-05-02T02:00:01+02:00",
            timestampEdited="",
            callEndedTimestamp=None,
            author=ANA | {"color": None, "roles": [{"id": "1", "name": "r", "color": None, "position": 1}]},
            stickers=[{"id": "5", "name": "wave", "format": "Lottie", "sourceUrl": "https://x"}],
            reactions=[{"emoji": {"id": "", "name": "👍", "code": "thumbsup"}, "count": 1, "users": [ANA, CLEO]}],
            inlineEmojis=[{"id": "777", "name": "cheese", "code": "cheese", "isAnimated": False, "imageUrl": "x"}],
            interaction=None,
        ),
        written(21, "", embeds=[{"title": "a link's preview", "fields": [], "images": []}]),
        written(22, "", forwardedMessage={"content": "somebody else's words"}, reference={"type": "Forward"}),
        written(23, "", poll={"question": "cheese?", "answers": [{"text": "yes"}]}),
        written(24, "plain"),
    ]
    bare = {key: rows[-1][key] for key in ("id", "type", "content", "author", "timestamp")}
    terminal.imports(save(tmp_path / "a.json", document(*rows[:-1], bare)))
    assert terminal.code == 0, terminal.words
    assert [terminal.figure(name) for name in ("system", "without content", "kept")] == ["9", "3", "2"]
    assert [(m.content, m.stickers) for m in terminal.messages()] == [("look :cheese:", ("wave",)), ("plain", ())]


def test_the_same_edit_in_other_time_zones_and_without_milliseconds_is_one_edit(
    terminal: Terminal, tmp_path: Path
) -> None:
    """Fault 70."""
    raw: dict[str, Any] = {"id": str(FIRST_ID), "channel_id": str(GENERAL), "type": 0, "content": "**now**"}
    raw |= {"author": {"id": ANA["id"], "username": "ana.l"}, "edited_timestamp": "2024-05-16T10:00:00.987654+00:00"}
    terminal.imports(save(tmp_path / "api.jsonl", raw, indent=None))
    for at in ("2024-05-16T12:00:00.9876543+02:00", "2024-05-16T05:00:00-05:00", "2024-05-16T10:00:00.987"):
        export = save(tmp_path / "a.json", document(written(0, "now", timestampEdited=at)))
        assert terminal.imports(export).figure("edited") == "0"
        assert terminal.said() == ["**now**"]


def test_other_formats_of_the_exporter_say_to_export_as_json(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    for name, text in {
        "a.csv": "AuthorID,Author,Date,Content,Attachments,Reactions\n1,ana,now,hi,,",
        "a.html": "<!DOCTYPE html>\n<html><body>",
        "a.txt": "=" * 62 + "\nGuild: Friends\nChannel: general\n",
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        terminal.imports(tmp_path / name)
        assert terminal.code == 1
        assert f"{name} is DiscordChatExporter's" in terminal.words
        assert "--format Json" in terminal.words


def test_an_export_that_is_still_running_or_was_stopped_says_so(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70: wherever it is cut, nothing of it is kept and the sentence says that the file ends too early."""
    whole = json.dumps(document(written(1, "one"), written(2, "two")), indent=2)
    path = tmp_path / "a.json"
    for length in range(whole.index('"messages"'), len(whole) - 1, 37):
        path.write_text(whole[:length], encoding="utf-8")
        terminal.imports(path)
        assert terminal.code == 1, (length, terminal.words)
        assert "ends in the middle" in terminal.words, (length, terminal.words)
        assert "a.json:" in terminal.words
    assert terminal.said() == []


def test_other_layouts_of_the_same_json_are_read_and_two_documents_in_one_file_are_not_half_read(
    terminal: Terminal, tmp_path: Path
) -> None:
    """Fault 70: jq sorts keys and takes out blanks; cat puts two exports into one file."""
    value = document(written(1, "one"))
    save(tmp_path / "sorted.json", value, sort_keys=True)
    save(tmp_path / "small.json", document(written(2, "two")), indent=None, separators=(",", ":"))
    assert terminal.imports(tmp_path / "sorted.json", tmp_path / "small.json").code == 0
    assert terminal.said() == ["one", "two"]
    with terminal.store() as store:
        assert [channel.guild_id for channel in store.channels.all()] == [SERVER]
    (tmp_path / "both.json").write_text(json.dumps(value) + "\n" + json.dumps(value), encoding="utf-8")
    terminal.imports(tmp_path / "both.json")
    assert terminal.code == 1
    assert "both.json:2: more text follows" in terminal.words


def test_empty_files_and_exports_without_messages_are_told(terminal: Terminal, tmp_path: Path) -> None:
    """Fault 70."""
    (tmp_path / "a.json").write_bytes(b"")
    terminal.imports(tmp_path / "a.json")
    assert terminal.code == 1
    assert "a.json is empty" in terminal.words
    terminal.imports(save(tmp_path / "b.json", document()))
    assert terminal.code == 0
    assert "b.json: no messages in it" in terminal.words


def test_a_file_in_use_and_a_missing_one_are_sentences() -> None:
    """Fault 70. On Windows an exporter that still writes locks its file."""
    for error, words in (
        (PermissionError(13, "x"), "another program has it open"),
        (FileNotFoundError(2, "x"), "no such"),
    ):
        with pytest.raises(BadInputError, match=words), readable("general.json"):
            raise error
