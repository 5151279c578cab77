"""The real window, driven with a real mouse and keyboard (xdotool) under X."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bot_controller import ControllerState, ControllerView
from gui import texts
from model.catalog import offline_chat_model
from storage.paths import PROJECT_ROOT
from storage.records import Activity, BotPhase, BotStatus, Channel, Message, ModelState
from storage.settings import (
    APPEARANCE,
    COOLDOWN_SECONDS,
    MAX_TOKENS,
    MENTIONS_ONLY,
    MODEL_PATH,
    QUIET_HOURS,
    QUIET_UNTIL,
    RESPONSE_RATE,
    TEMPERATURE,
)
from storage.store import Store
from tests.support.panel import StillController, StillJobs, open_panel

pytestmark = pytest.mark.usefixtures("display")
ROOMS = (
    "home",
    "figures",
    "live",
    "taught",
    "playground",
    "people",
    "training",
    "logs",
    "settings",
    "first_run",
    "blind_test",
)
LONG_AGO_MS = 1_700_000_000_000
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAwMA.GabcdE.abcdefghijklmnopqrstuvwxyz0123456789ab"


def running_status(**changes: Any) -> BotStatus:
    now = time.time()
    values: dict[str, Any] = dict(
        pid=os.getpid(),
        phase=BotPhase.RUNNING,
        heartbeat_at=now,
        started_at=now - 7260,
        is_connected=True,
        latency_ms=42.0,
        model_state=ModelState.READY,
        model_name="Qwen2.5-3B-Instruct",
        model_bytes=2_104_932_768,
        memory_bytes=2_612_000_000,
        last_reply_at=now - 60,
        last_reply_seconds=2.3,
    )
    return BotStatus(**(values | changes))


def add_people(store: Store) -> None:
    store.channels.add([Channel(1, "general", is_private=False), Channel(2, "staff", is_private=True)])
    store.messages.save(
        [
            Message(
                number << 22,
                1 if number % 3 else 2,
                10 + number % 4,
                f"member {number % 4}",
                f"line {number}",
                LONG_AGO_MS + number,
            )
            for number in range(1, 120)
        ]
    )


def widgets(root: Any) -> list[Any]:
    found = [root]
    for widget in found:
        found.extend(widget.winfo_children())
    return found


def test_importing_the_panel_needs_no_display() -> None:
    modules = [
        path.relative_to(PROJECT_ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in (PROJECT_ROOT / "gui").rglob("*.py")
        if path.name != "__init__.py"
    ]
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in modules)
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_nothing_is_clipped_in_any_room_of_the_smallest_window(store: Store, mode: str) -> None:
    add_people(store)
    store.settings.set(APPEARANCE, mode, changed_by="test")
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller, size=(900, 600)) as panel:
        for room in ROOMS:
            front = panel.go(room)
            panel.turn(0.6)
            right = panel.root.winfo_rootx() + panel.root.winfo_width()
            for widget in widgets(front):
                if widget.winfo_ismapped() and widget.winfo_width() > 1:
                    assert widget.winfo_rootx() + widget.winfo_width() <= right, f"{room}: {widget} leaves the window"
                is_label = widget.winfo_class() == "Label" and widget.winfo_ismapped()
                if is_label and not int(str(widget.cget("wraplength"))):
                    words = widget.cget("text")
                    assert widget.winfo_width() >= widget.winfo_reqwidth() - 2, f"{room}: {words!r} is cut"
        panel.root.geometry("700x400")
        panel.turn(0.3)
        assert panel.root.winfo_width() >= 900
        assert panel.root.winfo_height() >= 600


def test_a_click_on_start_shows_at_once_and_reaches_the_controller(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller) as panel:
        panel.wait(lambda: "start" in controller.asked, "the demo's own start")
        controller.asked.clear()
        hero = panel.go("home").hero
        panel.wait(lambda: hero.start.cget("state") == "normal", "Start to be possible")
        panel.click(hero.start)
        assert hero.state.cget("text") == texts.STATE_STARTING or controller.asked
        panel.wait(lambda: controller.asked == ["start"], "the controller")


def test_buttons_are_enabled_only_when_they_make_sense(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller) as panel:
        hero = panel.go("home").hero

        def states() -> dict[str, bool]:
            names = ("start", "stop", "restart", "force", "free")
            return {name: getattr(hero, name).cget("state") == "normal" for name in names}

        panel.wait(
            lambda: states() == {"start": True, "stop": False, "restart": False, "force": False, "free": False},
            "stopped",
        )
        controller.become(ControllerState.RUNNING, running_status())
        panel.wait(
            lambda: states() == {"start": False, "stop": True, "restart": True, "force": True, "free": True}, "running"
        )
        assert hero.state.cget("text") == texts.STATE_RUNNING
        panel.click(hero.more)
        panel.wait(hero.free.winfo_ismapped, "the rarer buttons")
        panel.click(hero.free)
        panel.wait(lambda: "free" in controller.asked, "the wish for its memory")
        controller.become(ControllerState.RUNNING, running_status(is_resting=True))
        panel.wait(lambda: not states()["free"], "the memory to be free")
        panel.click(hero.stop)
        panel.wait(lambda: "stop" in controller.asked and states()["start"], "stopped again")


def test_force_stop_asks_first_and_neither_escape_nor_enter_means_yes(store: Store) -> None:
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller) as panel:
        hero = panel.go("home").hero
        panel.wait(lambda: hero.force.cget("state") == "normal", "Force stop")
        panel.click(hero.more)
        panel.wait(hero.force.winfo_ismapped, "the rarer buttons")
        panel.click(hero.force)
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.key("Escape")
        panel.wait(lambda: not panel.app.dialog.is_open, "the question to go")
        assert "force" not in controller.asked
        panel.click(hero.force)
        panel.wait(lambda: panel.app.dialog.is_open, "the question again")
        panel.key("Return")
        panel.wait(lambda: not panel.app.dialog.is_open, "the safe answer")
        assert "force" not in controller.asked
        panel.click(hero.force)
        panel.wait(lambda: panel.app.dialog.is_open, "the question once more")
        panel.key("Tab", "Return")
        panel.wait(lambda: "force" in controller.asked, "force stop")


def test_sliders_write_at_once_by_mouse_and_by_arrow_keys(store: Store) -> None:
    with open_panel(store) as panel:
        card = panel.go("home").behaviour
        panel.click(card.temperature.slider, x=0.9)
        panel.wait(lambda: store.settings.get(TEMPERATURE) > 0.9, "the temperature")
        before = store.settings.get(TEMPERATURE)
        panel.key("Left", "Left")
        panel.wait(lambda: store.settings.get(TEMPERATURE) < before, "two steps to the left")
        panel.click(card.tokens.slider, x=0.02)
        panel.wait(lambda: store.settings.get(MAX_TOKENS) <= 70, "max tokens")
        panel.click(card.rate.slider, x=0.5)
        panel.wait(lambda: 0.4 < store.settings.get(RESPONSE_RATE) < 0.6, "the rate")
        assert card.rate.value.cget("text") == "5 in 10"
        panel.click(card.mentions._picture)
        panel.wait(lambda: store.settings.get(MENTIONS_ONLY), "the switch")
        panel.wait(lambda: card.rate.tip.text == texts.RATE_HINT_MENTIONS, "the hint")


def test_the_wheel_over_a_slider_scrolls_the_page_and_leaves_the_value(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("home")
        slider = room.behaviour.rate.slider
        panel.reveal(slider)
        panel.do("mousemove", str(slider.winfo_rootx() + 30), str(slider.winfo_rooty() + 8))
        at = room.area.canvas.canvasy(0)
        panel.do("click", "--repeat", "3", "5")
        panel.wait(lambda: room.area.canvas.canvasy(0) > at, "the page to scroll")
        assert store.settings.get(RESPONSE_RATE) == RESPONSE_RATE.default


def test_another_process_changes_a_setting_and_the_slider_follows(store: Store) -> None:
    with open_panel(store) as panel:
        card = panel.go("home").behaviour
        store.settings.set(TEMPERATURE, 0.95, changed_by="!settemp")
        panel.wait(lambda: card.temperature.value.cget("text") == "0.95", "the slider to follow")


def test_quiet_for_an_hour_is_one_click_and_another_ends_it(store: Store) -> None:
    with open_panel(store) as panel:
        hero = panel.go("home").hero
        panel.click(hero.quiet)
        panel.wait(lambda: store.settings.get(QUIET_UNTIL) > time.time() + 3500, "quiet")
        panel.wait(lambda: hero.quiet.cget("text") == texts.BUTTON_UNQUIET, "the button's other side")
        panel.click(hero.quiet)
        panel.wait(lambda: store.settings.get(QUIET_UNTIL) == 0.0, "speaking again")


def test_everything_can_be_reached_and_pressed_by_keyboard(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller, demo=False) as panel:
        panel.go("home")
        panel.wait(lambda: panel.app.window.front.hero.start.cget("state") == "normal", "Start")
        reached = set()
        for _ in range(60):
            panel.do("key", "Tab")
            panel.root.update()
            focus = panel.root.focus_get()
            reached.add(str(focus))
            if focus is panel.app.window.front.hero.start:
                break
        assert len(reached) >= 6
        panel.key("Return")
        panel.wait(lambda: controller.asked == ["start"], "Enter on Start")


def test_decisions_show_who_what_and_why(store: Store) -> None:
    store.activity.add(
        [
            Activity(time.time(), 1, 1, 1, "Ines", False, "rolled 0.73 against 5 %"),
            Activity(time.time(), 2, 1, 2, "Moss", True, "mentioned", latency_ms=2300.0),
        ]
    )
    with open_panel(store) as panel:
        table = panel.go("figures").decisions
        panel.wait(lambda: len(table._rows) == 2, "two decisions")
        newest = [cell.text for cell in table._rows[0].cells]
        assert newest[1:] == ["Moss", texts.SPOKE, "mentioned", "2.3 s"]


def test_a_running_job_shows_its_step_and_can_be_cancelled(store: Store) -> None:
    jobs = StillJobs()
    with open_panel(store, jobs=jobs) as panel:
        room = panel.go("home")
        with store.jobs.running("backup") as job:
            job.report(0.4, "Copying messages")
            panel.wait(lambda: room.jobs.winfo_ismapped() and room.jobs.lines, "the job")
            line = room.jobs.lines[0]
            panel.wait(lambda: "Copying messages" in line.step.cget("text"), "its step")
            assert room.quick.buttons["backup"].cget("state") == "disabled"
            panel.click(line.cancel)
            panel.wait(lambda: jobs.cancelled == ["backup"], "cancel")
            assert line.step.cget("text") == texts.JOB_CANCELLING
        panel.wait(lambda: "Backing up: done" in panel.app.toasts.titles, "the end to be told")
        panel.click(room.quick.buttons["backup"])
        panel.wait(lambda: jobs.started == [("backup", ["--keep", "4"])], "the job to start")


# ---- settings -----------------------------------------------------------------------------------------


def test_a_setting_is_found_by_what_people_call_it_and_set_where_it_is_found(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.key("ctrl+f")
        panel.type("how often")
        panel.wait(
            lambda: room.group == "found" and list(room.forms["found"].rows) == [RESPONSE_RATE.key], "the setting"
        )
        panel.key("ctrl+a")
        panel.type("gibberish")
        panel.wait(room.nothing.winfo_ismapped, "the sentence that there is none")
        panel.key("ctrl+a")
        panel.type("mention")
        panel.wait(lambda: MENTIONS_ONLY.key in getattr(room.forms.get("found"), "rows", {}), "another one")
        panel.key("Escape")
        panel.wait(lambda: room.group == "Startup", "the group from before")


def test_settings_are_checked_as_typed_stored_when_right_and_reset(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        line = room.forms["Behaviour"].rows[COOLDOWN_SECONDS.key]
        panel.click(line._field)
        panel.key("ctrl+a")
        panel.type("99999")
        panel.wait(lambda: "0 to 3600" in line.help.cget("text"), "the range")
        assert store.settings.get(COOLDOWN_SECONDS) == 10
        panel.key("ctrl+a")
        panel.type("25")
        panel.key("Return")
        panel.wait(lambda: store.settings.get(COOLDOWN_SECONDS) == 25, "the value")
        panel.wait(line.reset.winfo_ismapped, "the way back")
        panel.click(line.reset)
        panel.wait(lambda: store.settings.get(COOLDOWN_SECONDS) == 10, "the default")


def test_a_value_that_cannot_be_stays_to_be_corrected_and_escape_brings_the_stored_one_back(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        line = room.forms["Behaviour"].rows[COOLDOWN_SECONDS.key]
        other = room.forms["Behaviour"].rows[QUIET_HOURS.key]
        panel.click(line._field)
        panel.key("ctrl+a")
        panel.type("99999")
        panel.click(other._field)
        panel.turn(1.0)
        assert line._field.get() == "99999"
        assert "10 still holds" in line.help.cget("text")
        panel.click(line._field)
        panel.key("Escape")
        panel.wait(
            lambda: line._field.get() == "10" and "still holds" not in line.help.cget("text"), "the stored value"
        )


def test_quiet_hours_are_read_as_typed_and_nonsense_stays_with_a_sentence(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        rows = room.forms["Behaviour"].rows
        line, other = rows[QUIET_HOURS.key], rows[COOLDOWN_SECONDS.key]
        panel.click(line._field.start)
        panel.type("22.00-6am")
        panel.wait(lambda: "from 22:00 to 06:00 (8 h)" in line.help.cget("text"), "the reading")
        assert store.settings.get(QUIET_HOURS) == "", "half a time is another time: it is stored when the field is left"
        panel.click(other._field)
        panel.wait(lambda: store.settings.get(QUIET_HOURS) == "22:00-06:00", "the span")
        panel.wait(lambda: line._field.get() == "22:00-06:00", "how it is stored")
        panel.click(line._field.start)
        panel.key("ctrl+a")
        panel.type("0:00 to 23:59")
        panel.key("Return")
        panel.wait(lambda: "whole day" in line.help.cget("text"), "the refusal")
        panel.click(other._field)
        panel.turn(0.8)
        assert line._field.get() == "0:00 to 23:59"
        assert "22:00-06:00 still holds" in line.help.cget("text")
        assert store.settings.get(QUIET_HOURS) == "22:00-06:00"


def test_quiet_hours_are_two_times_that_step_by_keyboard_and_wheel(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        rows = room.forms["Behaviour"].rows
        span, other = rows[QUIET_HOURS.key]._field, rows[COOLDOWN_SECONDS.key]._field
        panel.click(span.start)
        panel.type("22")
        assert "still to come" in rows[QUIET_HOURS.key].help.cget("text"), "half a span is no mistake"
        panel.click(span.end)
        panel.type("7.10")
        panel.key("Up")
        assert span.end.get() == "07:15"
        panel.click(span.end, button=5)
        panel.key("Next")
        assert span.end.get() == "06:00"
        panel.click(other)
        panel.wait(lambda: store.settings.get(QUIET_HOURS) == "22:00-06:00", "the span")
        top = room.area.canvas.canvasy(0)
        panel.click(span.end, button=5)
        panel.turn(0.2)
        assert span.get() == "22:00-06:00", "the wheel scrolls the page unless a field has the focus"
        assert room.area.canvas.canvasy(0) >= top
        panel.click(span.start)
        panel.key("ctrl+a", "BackSpace")
        panel.click(span.end)
        panel.key("ctrl+a", "BackSpace", "Return")
        panel.wait(lambda: store.settings.get(QUIET_HOURS) == "", "no quiet hours")


def test_the_rate_is_typed_in_percent_and_shown_in_percent(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        line = room.forms["Behaviour"].rows[RESPONSE_RATE.key]
        panel.wait(lambda: line._field.get() == "5 %", "the rate")
        panel.click(line._field)
        panel.key("ctrl+a")
        panel.type("12")
        panel.key("Return")
        panel.wait(lambda: store.settings.get(RESPONSE_RATE) == 0.12 and line._field.get() == "12 %", "twelve percent")


def test_a_missing_token_is_one_click_from_where_it_is_entered(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller) as panel:
        room = panel.go("home")
        controller.become(ControllerState.FAILED)
        failed = ControllerView(
            ControllerState.FAILED, detail="No Discord bot token is set.", cure="Enter it in Settings > Discord."
        )
        controller.tick = lambda: failed  # type: ignore[method-assign]
        panel.wait(lambda: room.todo.winfo_ismapped(), "what is missing")
        assert room.hero.state.cget("text") == texts.STATE_NO_TOKEN
        assert not room.problem.winfo_ismapped()
        assert room.todo.button.text == texts.BUTTON_TOKEN
        panel.click(room.todo.button)
        panel.wait(lambda: panel.app.window.front.key == "settings", "the settings")
        panel.wait(lambda: panel.app.window.front.group == "Discord", "their group")


def test_what_was_typed_a_moment_before_leaving_is_stored(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        panel.click(room.forms["Behaviour"].rows[COOLDOWN_SECONDS.key]._field)
        panel.key("ctrl+a")
        panel.do("type", "25")
        panel.app.quit(leave_running=True)
    assert store.settings.get(COOLDOWN_SECONDS) == 25


@pytest.mark.parametrize("was_keyboard_used", [False, True])
def test_a_click_never_moves_the_page_under_the_pointer(store: Store, was_keyboard_used: bool) -> None:
    """A card taller than the view: Tk tells every ancestor of the focus, and keys were used before."""
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        form = room.forms["Behaviour"]
        panel.turn(0.3)
        canvas = room.area.canvas
        for line in list(form.rows.values())[2:6]:
            if was_keyboard_used:
                panel.key("Tab")
            field = getattr(line, "_field", None)
            if field is None:
                continue
            panel.reveal(field)
            room.area.scroll_by(-7)
            panel.root.update()
            before = canvas.canvasy(0)
            x, y = field.winfo_rootx() + 20, field.winfo_rooty() + field.winfo_height() // 2
            panel.click_at(x, y)
            assert canvas.canvasy(0) == before
            panel.click_at(x, y)
            assert canvas.canvasy(0) == before
            assert panel.root.focus_get() is field._entry


def test_what_tab_reaches_is_scrolled_into_view(store: Store) -> None:
    with open_panel(store, size=(900, 600)) as panel:
        room = panel.go("settings")
        panel.click(room.names["Behaviour"])
        panel.wait(lambda: room.group == "Behaviour", "the group")
        first = room.forms["Behaviour"].rows[COOLDOWN_SECONDS.key]._field
        panel.click(first)
        for _ in range(8):
            panel.key("Tab")
        holder = panel.root.focus_get()
        top = holder.winfo_rooty() - room.area.canvas.winfo_rooty()
        assert top >= 0
        assert top + holder.winfo_height() <= room.area.canvas.winfo_height()


def test_cases_a_model_file_is_tried_when_it_is_chosen_and_a_bad_one_leaves_the_good_one(
    store: Store, tmp_path: Path
) -> None:
    """Faults 82, 83 and 84: the sentence stands under the field, the setting as it was."""
    store.settings.set(MODEL_PATH, "smollm2-135m-instruct", changed_by="test")
    shutil.copy(Path(__file__).parents[1] / "cases" / "70-gguf-wrong-kind" / "mmproj-model-f16.gguf", tmp_path)
    good = Path(shutil.copy(offline_chat_model(), tmp_path / "my model.gguf"))
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Model"])
        panel.wait(lambda: room.group == "Model", "the group")
        line = room.forms["Model"].rows[MODEL_PATH.key]
        for name, words in ((f'"{tmp_path}/mmproj-model-f16.gguf"', "eyes or ears"), (f'"{good}"', "can be used")):
            panel.click(line._field)
            line._field.set_text(name)
            line._typed()  # pasted
            panel.key("Return")
            panel.wait(lambda words=words: words in line.help.cget("text"), words, seconds=60)
            if words == "eyes or ears":
                assert store.settings.get(MODEL_PATH) == "smollm2-135m-instruct"
        panel.wait(lambda: store.settings.get(MODEL_PATH) == str(good), "the good one")


def test_settings_survive_a_new_start(store: Store) -> None:
    with open_panel(store) as panel:
        room = panel.go("settings")
        line = room.forms["Startup"].rows["start_minimised"]
        panel.click(line.control._picture)
        panel.wait(lambda: store.settings.stored().get("start_minimised") is True, "the switch")
        panel.click(line.control._picture)
        panel.wait(lambda: store.settings.stored().get("start_minimised") is False, "the switch back")
        panel.app.set_appearance("dark")
        panel.wait(lambda: store.settings.get(APPEARANCE) == "dark", "the appearance")
    with open_panel(store) as panel:
        assert panel.app.theme.is_dark


def test_the_token_goes_to_env_alone_and_is_shown_as_dots(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """Fault 48: no artefact but .env holds the token."""
    env_file = store.workspace.env_file
    with open_panel(store) as panel:
        room = panel.go("settings")
        panel.click(room.names["Discord"])
        panel.wait(lambda: room.group == "Discord", "the group")
        from gui.components.environment_lines import TokenLine

        line = next(w for w in widgets(room) if isinstance(w, TokenLine))
        panel.click(line.edit)
        panel.type("nonsense")
        panel.key("Return")
        panel.wait(lambda: line.help.cget("text") == texts.TOKEN_LOOKS_WRONG, "the hint")
        assert not env_file.exists()
        panel.key("ctrl+a")
        panel.type(TOKEN)
        panel.key("Return")
        panel.wait(lambda: env_file.exists() and TOKEN in env_file.read_text(encoding="utf-8"), ".env")
        panel.wait(lambda: line.value.cget("text").startswith("•"), "dots")
        panel.click(line.show_button)
        panel.wait(lambda: line.value.cget("text") == TOKEN, "the token when asked for")
    assert os.name == "nt" or stat.S_IMODE(env_file.stat().st_mode) == 0o600
    holders = [
        path
        for path in Path(store.workspace.root).rglob("*")
        if path.is_file() and path != env_file and TOKEN.encode() in path.read_bytes()
    ]
    assert holders == []
    assert TOKEN not in caplog.text


# ---- logs ----------------------------------------------------------------------------------------------


def log_lines(first: int, last: int, level: str = "INFO") -> str:
    return "".join(f"[2025-11-02 14:32:15] [{level}] [bot] line number {n}\n" for n in range(first, last))


def test_logs_are_live_filtered_and_leave_a_reader_in_peace(store: Store) -> None:
    path = store.workspace.logs / "bot.log"
    path.write_text(log_lines(0, 800) + log_lines(800, 803, "ERROR"), encoding="utf-8")
    with open_panel(store) as panel:
        room = panel.go("logs")
        panel.wait(lambda: room._shown == 803, "803 lines")
        panel.wait(lambda: room.text.yview()[1] > 0.999, "the end")
        with path.open("a", encoding="utf-8") as file:
            file.write(log_lines(803, 903))
        panel.wait(lambda: room._shown == 903 and room.text.yview()[1] > 0.999, "to follow new lines")
        panel.click(room.text)
        panel.do("click", "--repeat", "30", "4")
        panel.turn(0.2)
        top = room.text.index("@0,0")
        with path.open("a", encoding="utf-8") as file:
            file.write(log_lines(903, 1003))
        panel.wait(lambda: room._shown == 1003, "more lines")
        assert room.text.index("@0,0") == top, "the reader was moved"
        panel.click(room.jump)
        panel.wait(lambda: room.text.yview()[1] > 0.999, "the newest lines")
        panel.key("ctrl+f")
        panel.type("number 80")
        panel.wait(lambda: room._shown == 11, "the search")
        panel.key("Escape")
        panel.wait(lambda: room._shown == 1003, "the search to end")
        room._set_level("ERROR")
        panel.wait(lambda: room._shown == 3, "errors only")
        out = store.workspace.root / "export.log"
        room.export_to(out)
        panel.wait(out.exists, "the export")
        panel.wait(lambda: out.read_text(encoding="utf-8") == log_lines(800, 803, "ERROR"), "its content")
        panel.click(room.clear)
        panel.wait(lambda: room._shown == 0 and room.note.winfo_ismapped(), "an empty view")
        assert path.stat().st_size > 0


def test_fifty_thousand_log_lines_arrive_in_bounded_steps(store: Store) -> None:
    """Fault 11: the panel stays responsive."""
    path = store.workspace.logs / "bot.log"
    path.write_text(log_lines(0, 60_000), encoding="utf-8")
    with open_panel(store) as panel:
        room = panel.go("logs")
        panel.wait(lambda: len(room.book.rows) == 50_000 and not room._newer, "everything", seconds=60)
        assert room._shown <= 50_000
        assert "59999" in room.text.get("end-2l", "end")


# ---- people, first run, leaving -------------------------------------------------------------------------


def test_a_member_is_left_out_and_a_private_channel_needs_a_second_yes(store: Store) -> None:
    add_people(store)
    with open_panel(store) as panel:
        room = panel.go("people")
        panel.wait(lambda: len(room.people._rows) == 4, "four members")
        key = room.people._rows[0].key
        row = room.people.row_at(key)
        assert row is not None
        table = room.people.canvas
        panel.click_at(table.winfo_rootx() + room.people.column_x("included"), table.winfo_rooty() + row[1])
        panel.wait(lambda: key in store.members.absent_ids(), "the member to be left out")
        panel.click(room.tabs.parts["channels"])
        panel.wait(lambda: room.channels.winfo_ismapped(), "the channels")
        private = room.channels.row_at(2)
        assert private is not None
        table = room.channels.canvas
        panel.click_at(table.winfo_rootx() + room.channels.column_x("learn"), table.winfo_rooty() + private[1])
        panel.wait(lambda: panel.app.dialog.is_open, "the question about the private channel")
        panel.key("Return")
        panel.wait(lambda: not panel.app.dialog.is_open, "the safe answer")
        assert not store.channels.trainable()
        panel.click_at(table.winfo_rootx() + room.channels.column_x("learn"), table.winfo_rooty() + private[1])
        panel.wait(lambda: panel.app.dialog.is_open, "the question again")
        panel.key("Tab", "Return")
        panel.wait(lambda: [c.id for c in store.channels.trainable()] == [2], "the second yes")
        assert store.consents.latest("private_channel", subject_id=2) is not None


def test_a_members_menu_opens_with_a_plain_click(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting what somebody wrote needs no right click. Menus grab the pointer, so it is noted instead of shown."""
    add_people(store)
    opened: list[list[str]] = []
    monkeypatch.setattr(
        "tkinter.Menu.tk_popup",
        lambda menu, *_: opened.append([menu.entrycget(n, "label") for n in range(menu.index("end") + 1)]),
    )
    with open_panel(store) as panel:
        room = panel.go("people")
        panel.wait(lambda: room.people._rows, "the members")
        row = room.people.row_at(room.people._rows[0].key)
        table = room.people.canvas
        panel.click_at(table.winfo_rootx() + room.people.column_x("more"), table.winfo_rooty() + row[1])
        panel.wait(lambda: opened, "the menu")
    assert texts.MENU_FORGET in opened[0]


def test_an_empty_workspace_opens_with_the_checklist_and_takes_a_token(store: Store) -> None:
    jobs = StillJobs()
    with open_panel(store, jobs=jobs, demo=False) as panel:
        room = panel.app.window.front
        assert room.key == "first_run"
        panel.wait(lambda: room.view is not None, "the checklist")
        assert room.view.step("token").state == "next"
        panel.click(room.lines["token"].field)
        panel.type(TOKEN)
        panel.key("Return")
        panel.wait(lambda: ("doctor", []) in jobs.started, "the check")
        panel.wait(lambda: room.view.step("token").text == texts.STEP_TOKEN_SET, "the token's line")
        assert not room.lines["rule"].buttons[0].is_enabled, "one step at a time"


def test_without_a_tray_the_cross_minimises_while_the_bot_runs_and_ends_the_panel_otherwise(store: Store) -> None:
    """Fault 54: no tray."""
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller) as panel:
        panel.app.tray.stop()
        panel.wait(lambda: panel.app.pulse.is_alive, "the running bot")
        panel.app.close_window()
        panel.wait(lambda: panel.root.state() == "iconic", "minimised")
        panel.root.deiconify()
        controller.become(ControllerState.STOPPED)
        panel.wait(lambda: not panel.app.pulse.is_alive, "the bot to stop")
        panel.app.close_window()
        assert panel.app._is_closing
        assert controller.asked[-1] == "close True"


def test_leaving_asks_whether_the_bot_goes_on(store: Store) -> None:
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller) as panel:
        panel.wait(lambda: panel.app.pulse.is_alive, "the running bot")
        panel.key("ctrl+q")
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        stop = panel.app.dialog._buttons[1]
        panel.click(stop)
        panel.wait(lambda: panel.app._is_closing, "the end")
        assert "stop" in controller.asked
        assert controller.asked[-1] == "close False"


def test_the_chat_keeps_its_end_whatever_changes_its_size(store: Store) -> None:
    for number in range(25):
        store.playground.ask(f"line {number}, long enough to be wrapped when the chat is narrow " * 2)
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller, size=(1200, 800)) as panel:
        room = panel.go("playground")
        canvas = room.area.canvas
        panel.wait(lambda: len(room._bubbles) >= 25 and canvas.yview()[1] > 0.98, "the chat")
        panel.click(room.compare._picture)
        panel.turn(0.4)
        assert canvas.yview()[1] > 0.98
        panel.root.geometry("900x600")
        panel.turn(0.5)
        assert canvas.yview()[1] > 0.98
        room.area.scroll_by(-400)
        before = canvas.canvasy(0)
        panel.click(room.compare._picture)
        panel.turn(0.4)
        assert abs(canvas.canvasy(0) - before) < 2, "who reads further up stays there"


def test_pages_grow_no_wider_than_can_be_read(store: Store) -> None:
    with open_panel(store, size=(1900, 900)) as panel:
        room = panel.go("home")
        panel.turn(0.3)
        assert room.area.inner.winfo_width() <= panel.app.theme.px(1100)


def test_three_toasts_at_most_and_the_oldest_gives_way(store: Store) -> None:
    with open_panel(store) as panel:
        for number in range(5):
            panel.app.toast(f"message {number}")
        panel.turn(0.1)
        assert panel.app.toasts.titles == ["message 2", "message 3", "message 4"]


@pytest.mark.parametrize("size", [(900, 600), (1300, 900)])
def test_a_message_never_lies_on_top_of_anything(store: Store, size: tuple[int, int]) -> None:
    add_people(store)
    with open_panel(store, size=size) as panel:
        panel.do("mousemove", "40", "40")
        for room in ROOMS:
            front = panel.go(room)
            panel.app.toast("Something went wrong", "A long sentence that says what, and what to do about it. " * 3)
            panel.wait(panel.app.window.lane.winfo_ismapped, "the message")
            panel.turn(0.1)
            top = panel.app.window.lane.winfo_rooty()
            assert front.winfo_rooty() + front.winfo_height() <= top, room
            edges = panel.app.toasts._stack[-1]
            assert edges.winfo_rooty() + edges.winfo_height() <= panel.root.winfo_rooty() + panel.root.winfo_height()


def test_a_message_waits_for_the_pointer_to_leave_its_place(store: Store) -> None:
    with open_panel(store, size=(900, 600)) as panel:
        panel.turn(0.3)
        panel.app.toasts._drop(panel.app.toasts._stack[0]) if panel.app.toasts._stack else None
        panel.wait(lambda: not panel.app.window.lane.winfo_ismapped(), "a free lane")
        panel.do("mousemove", "600", "590")
        panel.app.toast("Saved")
        panel.turn(0.6)
        assert not panel.app.window.lane.winfo_ismapped()
        assert "Saved" in panel.app.toasts.titles
        panel.do("mousemove", "600", "100")
        panel.wait(panel.app.window.lane.winfo_ismapped, "the message")


def test_switching_the_appearance_repaints_every_room(store: Store) -> None:
    with open_panel(store) as panel:
        for room in ("home", "logs", "settings"):
            panel.go(room)
        for mode in ("dark", "light"):
            panel.app.set_appearance(mode)
            panel.turn(0.2)
            ground = panel.app.theme.now("window")
            assert all(str(room.cget("bg")) == ground for room in panel.app.window.rooms.values())


def test_a_failing_widget_does_not_stop_the_loop(store: Store) -> None:
    with open_panel(store) as panel:
        panel.app.ask(lambda: 1, lambda _: 1 / 0)
        panel.wait(lambda: any("ZeroDivisionError" in title for title in panel.app.toasts.titles), "the toast")
        before = panel.app.pulse
        panel.wait(lambda: panel.app.pulse is not before, "the loop to go on")


def test_the_playground_takes_a_line_only_while_the_bot_runs_and_explains_the_reply(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller) as panel:
        room = panel.go("playground")
        panel.wait(lambda: room.stopped.winfo_ismapped(), "the way to start the bot")
        assert room.send_button.cget("state") == "disabled"
        controller.become(ControllerState.RUNNING, running_status())
        panel.wait(lambda: room.send_button.cget("state") == "normal", "sending to be possible")
        panel.click(room.input)
        panel.type("hello there")
        panel.key("Return")
        question = panel.wait(lambda: store.playground.history(), "the question")[0]
        assert question.text == "hello there"
        panel.wait(lambda: any(line.is_waiting for line in room._lines), "the waiting mark")
        store.playground.answer(
            question.id,
            "hey",
            details={
                "total_ms": 900.0,
                "reply_tokens": 2,
                "prompt": "p",
                "first_token_ms": 300.0,
                "model": "a" * 80,
                "recalled": [{"name": "Baz", "text": "long " * 60}],
            },
        )
        panel.wait(lambda: any(line.text == "hey" for line in room._lines), "the answer")
        reply = next(bubble for bubble in room._bubbles.values() if bubble._line.text == "hey")
        panel.click(reply._links[0])
        panel.wait(lambda: room.details.winfo_ismapped(), "the details")
        panel.wait(lambda: int(str(room.details.recalled.cget("wraplength"))), "the recalled line to be wrapped")
        from gui.components.chat_parts import DETAILS_WIDTH

        assert room.details.winfo_width() == panel.app.theme.px(DETAILS_WIDTH), "the chat keeps its room"


def test_two_temperatures_are_compared_without_influencing_each_other(store: Store) -> None:
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller) as panel:
        room = panel.go("playground")
        panel.wait(lambda: room.send_button.cget("state") == "normal", "sending")
        panel.click(room.compare._picture)
        panel.click(room.input)
        panel.type("compare this")
        panel.key("Return")
        for temperature, reply in ((0.5, "calm"), (1.0, "wild")):
            question = panel.wait(
                lambda: next(
                    (
                        e
                        for e in store.playground.history()
                        if e.role == "owner" and e.options.get("temperature") == temperature  # noqa: B023
                    ),
                    None,
                ),
                f"the question at {temperature}",
            )
            assert len([e for e in store.playground.history() if e.role == "owner"]) == 1
            store.playground.answer(question.id, reply)
        panel.wait(lambda: [line.text for line in room._lines if line.column >= 0] == ["calm", "wild"], "both columns")
        left, right = (b for b in room._bubbles.values() if b._line.column >= 0)
        assert left.winfo_rooty() == right.winfo_rooty()
        assert left.winfo_rootx() < right.winfo_rootx()


def test_comparing_models_is_refused_with_its_reason_on_discord_and_can_be_cancelled(store: Store) -> None:
    (store.workspace.base_models / "other.gguf").write_bytes(b"GGUF")
    controller = StillController(store)
    controller.become(ControllerState.RUNNING, running_status())
    with open_panel(store, controller, demo=False) as panel:
        room = panel.go("playground")
        panel.wait(lambda: room.send_button.cget("state") == "normal", "sending")
        panel.click(room.compare._picture)
        panel.click(room.bar.kind.parts["models"])
        panel.wait(lambda: room.bar.note.cget("text") == texts.COMPARE_ON_DISCORD, "the reason")
        assert room.send_button.cget("state") == "disabled"
        assert not room.bar.models.choice.is_enabled
        controller.become(ControllerState.RUNNING, running_status(mode="offline"))
        panel.wait(lambda: room.send_button.cget("state") == "normal", "sending without Discord")
        panel.click(room.input)
        panel.type("first this")
        panel.key("Return")
        question = panel.wait(lambda: store.playground.history(), "the question")[0]
        assert question.options == {}, "the first answer is the model in use"
        store.playground.answer(question.id, "one")
        question = panel.wait(lambda: next((e for e in store.playground.history() if e.options), None), "the second")
        assert question.options["model_path"].endswith("other.gguf")
        panel.wait(lambda: room.comparison.question_id == question.id, "the panel to know it")
        panel.click(room.send_button)
        panel.wait(lambda: not store.playground.history(), "the question to be withdrawn")
        assert room.input.get() == "first this"
        assert room.send_button.text == texts.CHAT_SEND


def test_a_stopped_bot_can_be_started_without_discord_from_the_playground(store: Store) -> None:
    controller = StillController(store)
    with open_panel(store, controller, demo=False) as panel:
        room = panel.go("playground")
        panel.wait(lambda: room.stopped.winfo_ismapped(), "the ways to start the bot")
        panel.click(room.stopped.second)
        panel.wait(lambda: "start offline" in controller.asked, "the start")
