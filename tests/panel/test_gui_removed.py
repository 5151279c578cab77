"""What was removed, in the real window: hidden on a click, back on another, and the question a fetch leaves."""

from __future__ import annotations

import pytest

from gui import texts
from storage.records import Channel, Message
from storage.store import Store
from tests.support.panel import PanelDriver, open_panel

pytestmark = pytest.mark.usefixtures("display")


@pytest.fixture
def filled(store: Store) -> Store:
    store.channels.add(
        [
            Channel(1, "general", is_private=False, learn=True, recall=True),
            Channel(2, "memes", is_private=False, learn=True, recall=True),
        ]
    )
    store.messages.save(
        [
            Message(n, 1 + n % 2, 70 + n % 3, ("Ana", "Bo", "Cleo")[n % 3], f"line {n}", 1_700_000_000_000 + n)
            for n in range(1, 121)
        ]
    )
    return store


def open_removed(panel: PanelDriver) -> object:
    room = panel.go("people")
    panel.wait(lambda: room._census is not None, "the census")
    panel.click(room.tabs.parts["removed"])
    panel.wait(lambda: room.removed.winfo_ismapped(), "the list of what was removed")
    return room


def test_a_deleted_member_is_gone_at_once_and_back_on_undo(filled: Store) -> None:
    """Fault 66."""
    before = filled.messages.count()
    with open_panel(filled) as panel:
        room = panel.go("people")
        panel.wait(lambda: len(room.people._rows) == 3, "three members")
        room._ask_forget(71, "Bo")
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[-1])
        panel.wait(lambda: filled.messages.count() < before and len(room.people._rows) == 2, "Bo to be gone")
        room = open_removed(panel)
        panel.wait(lambda: len(room.removed._rows) == 1, "the row")
        key = room.removed._rows[0].key
        assert room.removed._rows[0].cells[0].text == texts.REMOVED_MEMBER.format(name="Bo")
        place = room.removed.row_at(key)
        table = room.removed.canvas
        panel.click_at(table.winfo_rootx() + room.removed.column_x("action"), table.winfo_rooty() + place[1])
        panel.key("Down", "Return")
        panel.wait(lambda: filled.messages.count() == before, "everything to be back")
        panel.wait(lambda: room.removed._rows == (), "the empty list")


def test_a_channel_is_emptied_from_its_menu_and_brought_back(filled: Store) -> None:
    with open_panel(filled) as panel:
        room = panel.go("people")
        panel.wait(lambda: room._census is not None, "the census")
        room._ask_empty(2)
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[-1])
        panel.wait(lambda: filled.messages.counts_by_channel() == {1: 60}, "the channel to be empty")
        assert not filled.channels.get(2).learn
        room = open_removed(panel)
        panel.wait(lambda: len(room.removed._rows) == 1, "the row")
        room.removed.undo(room.removed._rows[0].key)
        panel.wait(lambda: filled.messages.counts_by_channel() == {1: 60, 2: 60}, "it to be back")
        assert filled.channels.get(2).learn


@pytest.mark.parametrize(("button", "left"), [(2, 60), (1, 20)], ids=["keep", "deleted"])
def test_the_question_of_a_fetch_names_the_channel_and_takes_both_answers(
    filled: Store, button: int, left: int
) -> None:
    """Fault 61."""
    with open_panel(filled) as panel:
        filled.withheld.ask(1, [m.id for m in filled.messages.recent(1, limit=40)])
        room = panel.go("people")
        panel.wait(lambda: room.question.winfo_ismapped(), "the banner")
        assert "#general" in room.question.what.cget("text")
        assert "40 of 60" in room.question.what.cget("text")
        panel.click(room.question.button)
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[button])
        panel.wait(lambda: filled.withheld.questions() == [], "the answer")
        panel.wait(lambda: not room.question.winfo_ismapped(), "the banner to go")
        assert filled.messages.counts_by_channel()[1] == left


def test_a_fetch_that_ends_with_a_question_asks_in_the_window(filled: Store) -> None:
    """Fault 61."""
    with open_panel(filled) as panel:
        panel.turn(0.5)
        with filled.jobs.running("fetch") as job:
            job.result = {"attention": ["#general: 40 of 60 messages were not there."], "channels": [{"unclear": 40}]}
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.click(panel.app.dialog._buttons[-1])
        panel.wait(lambda: panel.app.window.front.key == "people", "the room with the answer")
