"""The channels in the real window: what Discord says, what the owner says, and the question between them."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from data.chat.audience import access_facts, recall_sources, with_facts
from data.chat.permissions import READ_MESSAGE_HISTORY, VIEW_CHANNEL, Overwrite, ServerRoles
from gui import texts
from gui.presenters.people import CHANNEL_COLUMNS
from storage.records import Channel
from storage.store import Store
from tests.support.panel import PanelDriver, open_panel

pytestmark = pytest.mark.usefixtures("display")
GENERAL, STAFF, ARCHIVE = 1001, 1002, 1003
SERVER = ServerRoles(1, 9, {1: VIEW_CHANNEL | READ_MESSAGE_HISTORY, 10: 0})
CLOSED = (Overwrite(1, deny=VIEW_CHANNEL), Overwrite(10, allow=VIEW_CHANNEL))


def tell(store: Store, **closed: bool) -> None:
    """Discord says of #general and #staff whether they are closed to all but the moderators."""
    listed = {
        number: (0, CLOSED if closed.get(name, False) else ())
        for name, number in (("general", GENERAL), ("staff", STAFF))
    }
    facts = access_facts(SERVER, listed)
    store.channels.add([Channel(GENERAL, "general", guild_id=1), Channel(STAFF, "staff", guild_id=1)])
    store.channels.update_access({number: lambda c, n=number: with_facts(c, facts[n]) for number in listed})


@pytest.fixture
def channels(store: Store) -> Store:
    tell(store, staff=True)
    store.channels.add([Channel(ARCHIVE, "archive-2021")])
    for number in (GENERAL, STAFF):
        store.channels.switch(number, recall=True)
    return store


def open_channels(driver: PanelDriver) -> Any:
    room = driver.go("people")
    driver.click(room.tabs.parts["channels"])
    driver.wait(lambda: room.channels.winfo_ismapped() and room.channels._rows, "the channels")
    picture(driver, "channels")
    return room


def picture(driver: PanelDriver, name: str) -> None:
    """For the eye, when a folder for pictures is named."""
    if folder := os.environ.get("PANEL_PICTURES"):
        driver.turn(0.3)
        subprocess.run(["import", "-window", "root", f"{folder}/{name}.png"], check=True)


def switch(driver: PanelDriver, room: Any, number: int, key: str) -> None:
    """Click a switch in a row of the list of channels, long enough after the last click to be no double one."""
    driver.turn(0.6)
    row, table = room.channels.row_at(number), room.channels.canvas
    driver.click_at(table.winfo_rootx() + room.channels.column_x(key), table.winfo_rooty() + row[1])


def shows(room: Any, number: int, key: str) -> bool:
    """What the switch in the list says."""
    at = [column.key for column in CHANNEL_COLUMNS].index(key)
    return next(row.cells[at].value for row in room.channels._rows if row.key == number)


def dialog_button(driver: PanelDriver, label: str) -> Any:
    return next(button for button in driver.app.dialog._buttons if button.text == label)


def test_a_channel_that_discord_opened_stays_closed_until_the_owner_answers(channels: Store) -> None:
    """Fault 72."""
    tell(channels)
    with open_panel(channels, demo=False, size=(1200, 800)) as driver:
        room = open_channels(driver)
        assert room.opened.winfo_ismapped()
        assert "#staff" in room.opened.what.cget("text")
        assert recall_sources(channels.channels.all(), GENERAL) == [GENERAL]
        driver.click(room.opened.button)
        driver.wait(lambda: driver.app.dialog.is_open, "the question")
        picture(driver, "question")
        driver.click(dialog_button(driver, texts.OPENED_OPEN))
        driver.wait(lambda: not room.opened.winfo_ismapped(), "the answer")
        assert set(recall_sources(channels.channels.all(), GENERAL)) == {GENERAL, STAFF}


def test_keeping_it_closed_is_the_owners_word_from_then_on(channels: Store) -> None:
    """Fault 72."""
    tell(channels)
    with open_panel(channels, demo=False, size=(1200, 800)) as driver:
        room = open_channels(driver)
        driver.click(room.opened.button)
        driver.wait(lambda: driver.app.dialog.is_open, "the question")
        driver.click(dialog_button(driver, texts.OPENED_CLOSE))
        driver.wait(lambda: not room.opened.winfo_ismapped(), "the answer")
        picture(driver, "kept-closed")
    for closed in (True, False):
        tell(channels, staff=closed)
        staff = channels.channels.get(STAFF)
        assert staff is not None
        assert staff.owner_private
        assert staff.is_private


def test_the_owners_private_is_switched_by_hand_and_no_word_of_discord_undoes_it(channels: Store) -> None:
    """Fault 72."""
    with open_panel(channels, demo=False, size=(1200, 800)) as driver:
        room = open_channels(driver)
        assert not room.opened.winfo_ismapped()
        switch(driver, room, GENERAL, "is_private")
        driver.wait(lambda: shows(room, GENERAL, "is_private"), "the owner's word")
        tell(channels, staff=True)
        assert recall_sources(channels.channels.all(), STAFF) == [STAFF]
        switch(driver, room, GENERAL, "is_private")
        driver.wait(lambda: not shows(room, GENERAL, "is_private"), "the owner to take it back")
        assert set(recall_sources(channels.channels.all(), STAFF)) == {GENERAL, STAFF}
        switch(driver, room, STAFF, "is_private")
        driver.wait(lambda: shows(room, STAFF, "is_private"), "the owner's word")
        switch(driver, room, STAFF, "is_private")
        driver.wait(lambda: not shows(room, STAFF, "is_private"), "the owner to take it back")
        assert channels.channels.get(STAFF).is_private, "Discord's word stays"
        picture(driver, "taken-back")


def test_learn_recall_and_speak_are_three_switches_in_a_private_channel_too(channels: Store) -> None:
    """Fault 74."""
    with open_panel(channels, demo=False, size=(1200, 800)) as driver:
        room = open_channels(driver)
        switch(driver, room, STAFF, "recall")
        driver.wait(lambda: not channels.channels.get(STAFF).recall, "recall to be off")
        switch(driver, room, STAFF, "learn")
        driver.wait(lambda: driver.app.dialog.is_open, "the question about the private channel")
        driver.key("Tab", "Return")
        driver.wait(lambda: channels.channels.get(STAFF).learn, "the second yes")
        staff = channels.channels.get(STAFF)
        assert (staff.recall, staff.speak, staff.include_private) == (False, False, True)


def test_the_headings_are_those_of_the_columns() -> None:
    assert [column.title for column in CHANNEL_COLUMNS] == list(texts.CHANNEL_COLUMNS)


def test_several_channels_are_switched_at_once_and_one_undo_brings_all_back(channels: Store) -> None:
    """Fault 177: a private one is left out of Learn, because it asks a question of its own."""
    with open_panel(channels, demo=False, size=(900, 600)) as driver:
        room = open_channels(driver)
        before = channels.channels.all()
        switch(driver, room, GENERAL, "chosen")
        driver.wait(lambda: room.bulk.words.cget("text") == texts.CHOSEN.format(count=1), "the tick")
        driver.click(room.bulk.all)
        driver.wait(lambda: room.bulk.words.cget("text") == texts.CHOSEN.format(count=3), "all of them")
        room.bulk.switch("speak", True)
        driver.wait(lambda: all(channel.speak for channel in channels.channels.all()), "all to speak")
        driver.wait(lambda: texts.UNDO_TIP and driver.app.toasts.titles, "the message")
        picture(driver, "several")
        driver.click(driver.app.toasts._stack[-1].undo)
        driver.wait(lambda: channels.channels.all() == before, "the way back")
        room.bulk.switch("learn", True)
        driver.wait(lambda: channels.channels.get(GENERAL).learn, "Learn")
        assert not channels.channels.get(STAFF).learn
        assert channels.consents.all() == []
        driver.wait(lambda: "Learn is on in #general" in driver.app.toasts.titles, "the message")


def test_a_switch_is_undone_from_its_message_or_by_keyboard(channels: Store) -> None:
    """Fault 177: learning from a private channel is taken back as an answer, too."""
    with open_panel(channels, demo=False, size=(1200, 800)) as driver:
        room = open_channels(driver)
        before = channels.channels.get(STAFF)
        switch(driver, room, STAFF, "learn")
        driver.wait(lambda: driver.app.dialog.is_open, "the question about the private channel")
        driver.key("Tab", "Return")
        driver.wait(lambda: channels.channels.get(STAFF).learn, "the second yes")
        driver.wait(lambda: driver.app.toasts.titles, "the message")
        driver.key("ctrl+z")
        driver.wait(lambda: channels.channels.get(STAFF) == before, "the way back")
        assert channels.consents.latest("private_channel", subject_id=STAFF).answer == "no"
        switch(driver, room, STAFF, "is_private")
        driver.wait(lambda: channels.channels.get(STAFF).owner_private, "the owner's word")
        driver.key("ctrl+z")
        driver.wait(lambda: channels.channels.get(STAFF).owner_private is None, "no word, as before")


def test_what_discord_said_meanwhile_is_not_undone(channels: Store) -> None:
    """Fault 177."""
    before = channels.channels.get(GENERAL)
    assert not before.is_private
    channels.channels.switch(GENERAL, recall=False)
    tell(channels, general=True)
    channels.channels.put_back([before])
    after = channels.channels.get(GENERAL)
    assert after.recall
    assert after.is_private, "Discord closed it in the meantime"
