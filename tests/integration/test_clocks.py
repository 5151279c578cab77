"""A clock that is wrong, set back or set ahead: what was stored by it lasts as long as was meant."""

from __future__ import annotations

import os
import time

import pytest

from bot.server_clock import ServerClock
from bot.watchdog import is_watched
from bot_controller import BotController, ControllerState, ControllerView
from gui import terminal
from gui.presenters.snapshot import ControllerLook, Pulse
from gui.presenters.status import clock_is_ahead, status_view
from storage.backup import create_backup, list_backups, prune
from storage.control import PANEL_WANTED
from storage.deletions import Deletions, erase_due
from storage.paths import Workspace
from storage.records import BotPhase, BotStatus, Message
from storage.settings import QUIET_UNTIL, Settings
from storage.store import Store
from storage.withheld import GRACE_SECONDS
from tests.support.sim_bot import SimBot, play

NOW, DAY, YEAR = 1_800_000_000.0, 86_400.0, 365 * 86_400.0


class TestDiscordsTime:
    """The clock that quiet times and the age of a question go by."""

    def test_it_goes_on_evenly_whatever_is_done_to_the_computers_clock(self) -> None:
        """Fault 133."""
        wall, ticks = [NOW + YEAR], [50.0]
        clock = ServerClock(lambda: wall[0], lambda: ticks[0])
        assert clock.now() == NOW + YEAR, "nothing else is known yet"
        clock.heard(NOW)
        assert clock.now() == NOW
        assert clock.computer_is_ahead == YEAR
        ticks[0] += 600
        wall[0] = NOW - DAY
        assert clock.now() == NOW + 600
        assert clock.computer_is_ahead == -DAY - 600

    def test_a_message_that_was_late_or_is_told_again_does_not_set_it_back(self) -> None:
        """Fault 133: a flood, or a resumed session."""
        ticks = [0.0]
        clock = ServerClock(lambda: NOW, lambda: ticks[0])
        clock.heard(NOW)
        clock.heard(NOW - 300)
        assert clock.now() == NOW
        ticks[0] = 10.0  # the computer slept for an hour, which no tick shows
        clock.heard(NOW + 3600)
        assert clock.now() == NOW + 3600

    def test_quiet_for_an_hour_is_an_hour_of_discords(self, store: Store) -> None:
        """Fault 133: the simulated server's clock is not this computer's, as after a wrong time zone."""

        async def scene(bot: SimBot) -> None:
            assert abs(bot.env.now().timestamp() - time.time()) > DAY
            await bot.admin.send(bot.general, "!quiet 1h")
            asked = await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> hello?")
            assert bot.reason(asked) == "quiet for now"
            await bot.env.advance_time(3700)
            asked = await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> hello?")
            assert bot.reason(asked) == "mentioned"

        play(store, scene)

    @pytest.mark.parametrize("ahead", [YEAR, -DAY, 0.0])
    def test_the_panel_reckons_with_the_difference_and_shows_its_own_clocks_time(self, ahead: float) -> None:
        """Fault 133."""
        status = BotStatus(1, BotPhase.RUNNING, NOW, NOW, is_connected=True, clock_is_ahead=ahead)
        settings = Settings({QUIET_UNTIL.key: NOW - ahead + 600})
        pulse = Pulse(NOW, ControllerLook("running"), status, settings)
        assert clock_is_ahead(pulse) == ahead
        view = status_view(pulse)
        assert view.is_quiet
        later = Pulse(NOW + 700, pulse.controller, status, settings)
        assert not status_view(later).is_quiet


def test_starts_of_a_future_that_never_came_keep_no_bot_from_starting(workspace: Workspace) -> None:
    """Faults 1 and 133: a hundred starts in a day, and the clock is set back by a year."""
    with Store.open(workspace, clock=lambda: NOW) as store:
        for number in range(150):
            store.control_db.execute("INSERT INTO bot_starts (started_at) VALUES (?)", (NOW + YEAR + number,))
        controller = BotController(
            store, spawn=_Child, clock=lambda: 1.0, wall_clock=lambda: NOW, is_alive=lambda _: True
        )
        assert controller.start().state is ControllerState.STARTING


class _Child:
    pid = 4_000_001

    def poll(self) -> int | None:
        return None


def test_what_the_owner_deletes_is_gone_in_seven_days_although_the_clock_was_years_ahead(store: Store) -> None:
    """Faults 66 and 133."""
    store.messages.save([Message(n, 1, 7, "m", f"line {n}", n, username="m") for n in (1, 2)])
    Deletions(store, clock=lambda: NOW + 50 * YEAR).delete_member(7, by="owner")
    assert erase_due(store, clock=lambda: NOW) == 0
    assert [deletion.due_at for deletion in Deletions(store).all()] == [NOW + GRACE_SECONDS]
    assert erase_due(store, clock=lambda: NOW + GRACE_SECONDS - 60) == 0
    assert erase_due(store, clock=lambda: NOW + GRACE_SECONDS + 60) == 2


def test_the_newest_backup_is_the_one_that_was_made_last_whatever_the_clock_said(store: Store) -> None:
    """Faults 31 and 133: pruning must not take the backup that was made a moment ago."""
    made = []
    for number, moment in enumerate((NOW, NOW + YEAR, NOW - YEAR, NOW - YEAR), start=1):
        store.messages.save([Message(number, 1, 7, "m", "x", number)])
        made.append(create_backup(store, clock=lambda moment=moment: moment).folder.name)
    assert len(set(made)) == 4
    found = list_backups(store.workspace.backups)
    assert [backup.folder.name for backup in found] == made
    assert [backup.messages for backup in found] == [1, 2, 3, 4]
    prune(store.workspace.backups, keep=1)
    assert [backup.folder.name for backup in list_backups(store.workspace.backups)] == made[-1:]


def test_a_watcher_that_is_gone_is_none_however_fresh_its_stamp(workspace: Workspace) -> None:
    """Fault 133: the clock was set back, so that the stamp stays fresh for long."""
    with Store.open(workspace, clock=lambda: time.time() + YEAR) as store:
        store.status.write_supervisor(os.getpid())
        assert is_watched(store)
        store.status.write_supervisor(2**22 + 1)
        assert not is_watched(store)


class _Counting(BotController):
    """Somebody asks for the panel at its third look."""

    looks = 0

    def tick(self) -> ControllerView:
        self.looks += 1
        if self.looks == 3:
            self.store_of_the_test.facts.set(PANEL_WANTED, 1.0)
        return super().tick()

    store_of_the_test: Store


def test_a_wish_for_the_panel_from_another_time_ends_no_supervision(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 133: left by a panel that was killed while the clock was ahead; a new wish is heard all the same."""
    monkeypatch.setattr(terminal, "TICK_SECONDS", 0.01)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    store.facts.set(PANEL_WANTED, time.time() + YEAR)
    controller = _Counting(store, spawn=_Child, is_alive=lambda _: True, ask_to_end=lambda _: None)
    controller.store_of_the_test = store
    said = list[str]()
    assert terminal.supervise(store, controller, tell=said.append) == 0
    assert controller.looks == 3
    assert said[-1] == "The control panel takes over."
