"""How Discord's JSON becomes our records."""

from __future__ import annotations

from typing import Any

import pytest

from data.discord_objects import channels_from_objects, message_from_object
from data.privacy import skip_reason
from storage.records import Mention, Reaction

AUTHOR = {"id": "7", "username": "mira_k", "global_name": "Mira", "bot": False}


def raw(**fields: object) -> dict:
    return {
        "id": str(5 << 22),
        "channel_id": "3",
        "type": 0,
        "author": AUTHOR,
        "content": "hi",
        "edited_timestamp": None,
        "mentions": [],
        "attachments": [],
        "pinned": False,
    } | fields


def test_a_message_object_is_read_with_everything_the_project_keeps() -> None:
    message = message_from_object(
        raw(
            type=19,
            content="<@8> look",
            message_reference={"message_id": "4", "channel_id": "3"},
            edited_timestamp="2024-04-03T12:45:08.539000+00:00",
            mentions=[{"id": "8", "username": "tam"}],
            attachments=[{"filename": "cat.png"}],
            sticker_items=[{"name": "wave"}],
            pinned=True,
            reactions=[
                {"count": 2, "emoji": {"id": None, "name": "😂"}},
                {"count": 1, "emoji": {"id": "9", "name": "pog"}},
            ],
        )
    )
    assert (message.author_name, message.username, message.reply_to_id) == ("Mira", "mira_k", 4)
    assert message.edited_ms == 1712148308539
    assert message.mentions == (Mention(8, "tam"),)
    assert (message.attachments, message.stickers, message.is_pinned) == (("cat.png",), ("wave",), True)
    assert message.reactions == (Reaction("😂", 2), Reaction("pog:9", 1))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"author": AUTHOR | {"bot": True}}, "bot"),
        ({"webhook_id": "5"}, "bot"),
        ({"type": 7}, "system"),
        ({"content": "https://example.org <http://example.org/x>"}, "bare link"),
        ({"content": "see https://example.org"}, None),
        ({"content": "https://example.org", "attachments": [{"filename": "a.png"}]}, None),
        ({"content": "", "attachments": [{"filename": "a.png"}]}, None),
        ({"content": "", "sticker_items": [{"name": "wave"}]}, None),
        ({"content": "  "}, "empty"),
    ],
)
def test_bots_system_messages_and_bare_links_are_left_out_and_nothing_else(fields: dict, reason: str | None) -> None:
    assert skip_reason(raw(**fields)) == reason


def channels(guild: dict[str, Any], *overwrites: object) -> list[bool]:
    raws = [{"id": str(n), "type": 0, "permission_overwrites": o} for n, o in enumerate(overwrites, 3)]
    return [channel.is_private for channel in channels_from_objects(guild, raws)]


def test_a_channel_is_private_unless_everyone_may_see_it() -> None:
    view = str(1 << 10)
    hidden = [{"id": "1", "type": 0, "deny": view, "allow": "0"}]
    everyone = {"id": "1", "permissions": view}
    assert channels({"id": "1", "roles": [everyone]}, [], hidden) == [False, True]
    assert channels({"id": "1", "roles": [everyone | {"permissions": "8"}]}, [], hidden) == [False, False]


@pytest.mark.parametrize("overwrites", [None, "x", [3], [{"id": "one"}], [{"allow": "1024"}]])
def test_a_channel_whose_permissions_cannot_be_read_is_private_and_nothing_is_known_of_its_readers(
    overwrites: object,
) -> None:
    guild = {"id": "1", "roles": [{"id": "1", "permissions": "1024"}]}
    raw = {"id": "4", "type": 0, "permission_overwrites": overwrites}
    (found,) = channels_from_objects(guild, [raw])
    assert (found.is_private, found.audience) == (True, "")
    assert channels({"id": "1"}, []) == channels({"id": "1", "roles": [{}]}, []) == [True]
    (found,) = channels_from_objects({"id": "1", "roles": []}, [raw | {"permission_overwrites": []}])
    assert (found.is_private, found.audience) == (True, "")
