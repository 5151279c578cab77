"""Getting started: it stays until everything is done or the owner closes it, by either way, one open step at a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bot_controller import ControllerState
from gui import texts
from gui.presenters.first_run import WAYS
from storage import policy
from storage.environment import SERVER_ID, TOKEN, write_value
from storage.first_steps import read_first_steps
from storage.records import Activity, Channel, JobState, Message
from storage.settings import EMBEDDING_MODEL
from storage.store import Store
from tests.support.panel import StillController, StillJobs, open_panel

pytestmark = pytest.mark.usefixtures("display")
LONG_AGO_MS = 1_700_000_000_000
FINDINGS = [
    {"name": name, "verdict": "good", "words": "fine", "cure": ""}
    for name in ("Discord", "Server", "Message content intent")
]


def states(room: Any) -> dict[str, str]:
    return {step.key: step.state for step in room.view.steps} if room.view else {}


def finish(store: Store, kind: str, state: JobState = JobState.DONE, error: str = "", **result: Any) -> None:
    job = store.jobs.start(kind)
    store.jobs.finish(job.job_id, state, error=error, result=result)


def import_something(store: Store) -> None:
    store.channels.add([Channel(1, "general", is_private=False)])
    store.messages.save([Message(n << 22, 1, 10, "mira", f"hello {n}", LONG_AGO_MS + n) for n in range(1, 9)])


def put_model(store: Store) -> Path:
    model = store.workspace.base_models / "small.gguf"
    model.write_bytes(b"GGUF")
    return model


def test_a_large_server_is_asked_about_in_the_window_and_the_answer_kept(store: Store) -> None:
    """Fault 167."""
    text = policy.large_server_text("the lounge", 500, is_discoverable=False)
    with open_panel(store, demo=False) as panel:
        policy.ask_about_large_server(store.facts, 7, text, now=1.0)
        finish(store, "fetch")
        panel.wait(lambda: panel.app.dialog.is_open, "the question")
        panel.wait(lambda: len(panel.app.dialog._buttons) == 3, "its answers")
        panel.click(panel.app.dialog._buttons[-1])
        panel.wait(lambda: policy.is_large_server_confirmed(store.consents, 7), "the answer")
    assert store.consents.latest(policy.LARGE_SERVER, subject_id=7).wording == text


@pytest.mark.parametrize("begun", ["token", "import"])
def test_the_list_is_still_there_after_its_first_step_and_a_restart(store: Store, begun: str) -> None:
    with open_panel(store, demo=False) as panel:
        assert panel.app.window.front.key == "first_run"
    if begun == "token":
        write_value(store.workspace.env_file, TOKEN, "a.b.c")
    else:
        import_something(store)
    controller = StillController(store)
    with open_panel(store, controller, demo=False) as panel:
        room = panel.app.window.front
        panel.turn(0.6)
        assert room.key == "first_run"
        assert panel.app.window.sidebar.items["first_run"].winfo_ismapped()
        assert "start" not in controller.asked, "the first start is a step of its own"


def test_the_way_without_a_token_goes_from_an_export_to_the_first_reply(store: Store) -> None:
    jobs, controller = StillJobs(), StillController(store)
    with open_panel(store, controller, jobs, demo=False) as panel:
        room = panel.app.window.front
        panel.wait(lambda: room.view is not None, "the list")
        panel.click(room.ways.parts["import"])
        panel.wait(lambda: room.view.way == "import", "the other way")
        assert list(states(room)) == list(WAYS["import"])
        assert states(room)["import"] == "next"
        assert not room.lines["token"].winfo_ismapped()
        assert not room.lines["channels"].buttons[1].is_enabled
        import_something(store)
        panel.wait(lambda: states(room)["channels"] == "next", "the channels")
        panel.click(room.lines["channels"].buttons[1])
        panel.wait(lambda: states(room)["model"] == "next", "the model")
        panel.click(room.lines["model"].buttons[0])
        panel.wait(lambda: jobs.started == [("download", [])], "the download")
        put_model(store)
        panel.wait(lambda: states(room)["search"] == "next", "the search model")
        panel.click(room.lines["search"].buttons[0])
        panel.wait(lambda: jobs.started[-1] == ("download", [EMBEDDING_MODEL.default]), "its download")
        panel.click(room.lines["search"].buttons[1])
        panel.wait(lambda: states(room)["search"] == "skipped" and states(room)["train"] == "next", "teaching")
        panel.click(room.lines["train"].buttons[0])
        panel.wait(lambda: panel.app.dialog.is_open, "the question before it")
        panel.key("Escape")
        panel.wait(lambda: not panel.app.dialog.is_open, "no")
        panel.click(room.lines["train"].buttons[1])
        panel.wait(lambda: states(room)["start"] == "next", "the start")
        assert not room.lines["start"].buttons[0].winfo_ismapped(), "there is no token to start with"
        panel.click(room.lines["start"].buttons[1])
        panel.wait(lambda: "start offline" in controller.asked, "the start without Discord")
        controller.become(ControllerState.RUNNING)
        panel.wait(lambda: states(room)["hello"] == "next", "the last step")
        panel.click(room.lines["hello"].buttons[0])
        panel.wait(lambda: panel.app.window.front.key == "playground", "the playground")
        store.activity.add([Activity(time.time(), 1, 1, 1, "Ines", True, "mentioned", latency_ms=900.0)])
        panel.go("first_run")
        panel.wait(lambda: room.view.is_finished, "the end")
        assert room.progress.cget("text") == texts.FIRST_FINISHED
        panel.click(room.dismiss)
        panel.wait(lambda: read_first_steps(store).is_closed, "the list to be closed")
        assert not panel.app.window.sidebar.items["first_run"].winfo_ismapped()
    with open_panel(store, demo=False) as panel:
        assert panel.app.window.front.key == "home"


def test_the_way_from_discord_opens_one_step_after_the_other(store: Store) -> None:
    with open_panel(store, demo=False) as panel:
        room = panel.app.window.front
        panel.wait(lambda: room.view is not None, "the list")

        def is_at(key: str) -> None:
            panel.wait(lambda: states(room).get(key) == "next", key)
            assert [each for each, state in states(room).items() if state in ("next", "bad")] == [key]
            later = list(states(room).values())[list(states(room)).index(key) + 1 :]
            assert set(later) <= {"locked", "done", "skipped"}

        is_at("token")
        write_value(store.workspace.env_file, TOKEN, "a.b.c")
        write_value(store.workspace.env_file, SERVER_ID, "123456789")
        finish(store, "doctor", findings=FINDINGS)
        is_at("rule")
        panel.click(room.lines["rule"].buttons[0])
        panel.wait(lambda: panel.app.dialog.is_open, "the rule")
        panel.key("Return")
        panel.wait(lambda: not panel.app.dialog.is_open, "Enter answers nothing that binds")
        assert store.consents.latest(policy.POLICY) is None
        panel.click(room.lines["rule"].buttons[0])
        panel.wait(lambda: panel.app.dialog.is_open, "the rule again")
        panel.key("Tab", "Tab", "Return")
        is_at("channels")


def test_an_error_stands_in_its_row_with_a_button_that_tries_again(store: Store) -> None:
    import_something(store)
    store.channels.switch(1, learn=True, recall=True, speak=True)
    finish(store, "download", JobState.FAILED, "The disk is full. Run scripts/download_model.py again.")
    jobs = StillJobs()
    with open_panel(store, jobs=jobs, demo=False) as panel:
        room = panel.app.window.front
        panel.wait(lambda: states(room).get("model") == "bad", "the failed step")
        line = room.lines["model"]
        assert line.text.cget("text").startswith("The disk is full.")
        assert "scripts/" not in line.text.cget("text")
        panel.click(line.buttons[0])
        panel.wait(lambda: jobs.started == [("download", [])], "another try")


def test_a_finding_is_read_whole_and_cured_by_its_button(store: Store) -> None:
    long = "Long words about what is wrong with the search index of this workspace, to the very last of them. " * 2
    finish(
        store,
        "doctor",
        findings=[
            {"name": "Search index", "verdict": "bad", "words": long, "cure": "Rebuild it: python scripts/x.py --y"},
            {"name": "Python", "verdict": "good", "words": "3.11", "cure": ""},
        ],
    )
    jobs = StillJobs()
    with open_panel(store, jobs=jobs, demo=False) as panel:
        room = panel.app.window.front
        line = panel.wait(lambda: len(room.checkup.lines) == 2 and room.checkup.lines[0], "the findings")
        panel.reveal(line)
        panel.turn(0.2)
        assert line.words.cget("text") == long.strip()
        assert line.words.winfo_height() >= line.words.winfo_reqheight()
        assert not line.cure.winfo_ismapped()
        assert not room.checkup.lines[1].button.winfo_ismapped()
        panel.click(line.button)
        panel.wait(lambda: jobs.started == [("index", ["--rebuild-index"])], "the cure")


def test_what_is_typed_into_a_step_survives_the_list_being_read_again(store: Store) -> None:
    with open_panel(store, demo=False) as panel:
        room = panel.app.window.front
        panel.wait(lambda: room.view is not None, "the list")
        panel.click(room.lines["token"].field)
        panel.type("half a token")
        panel.turn(2.0)
        panel.go("home")
        panel.go("first_run")
        panel.turn(1.0)
        assert room.lines["token"].field.get() == "half a token"


def test_a_workspace_that_has_long_been_answering_is_not_asked_to_begin(store: Store) -> None:
    """From before there was a record of the first steps."""
    store.activity.add([Activity(time.time(), 1, 1, 1, "Ines", True, "mentioned", latency_ms=900.0)])
    with open_panel(store, demo=False) as panel:
        assert panel.app.window.front.key == "home"


def test_the_list_can_be_hidden_and_is_found_again(store: Store) -> None:
    with open_panel(store, demo=False) as panel:
        room = panel.app.window.front
        panel.wait(lambda: room.view is not None, "the list")
        panel.click(room.dismiss)
        panel.wait(lambda: panel.app.window.front.key == "home", "Home")
    with open_panel(store, demo=False) as panel:
        assert panel.app.window.front.key == "home"
        panel.go("first_run")
