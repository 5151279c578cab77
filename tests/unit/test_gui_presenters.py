"""What the panel says, decided without a toolkit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gui import texts
from gui.components.system_tray import TEXT_UNITS, TITLE_UNITS, cut
from gui.presenters import dashboard, first_run, live, logs, notifications, people, playground, settings, training
from gui.presenters import format as words
from gui.presenters.charts import histogram, nice_ceiling, thin
from gui.presenters.comparison import ComparedAnswers, models_problem, read_shelf, temperature_side
from gui.presenters.snapshot import ControllerLook, Pulse
from gui.presenters.status import status_view
from storage import policy
from storage.activity import Totals
from storage.deletions import Deletion, DeletionKind
from storage.environment import Environment
from storage.incidents import Incident, IncidentKind
from storage.jobs.kinds import job_label
from storage.records import (
    Activity,
    BotPhase,
    BotStatus,
    Channel,
    Job,
    JobState,
    Member,
    ModelState,
    PlaygroundEntry,
)
from storage.settings import ADAPTER_PATH, COOLDOWN_SECONDS, GPU_LAYERS, QUIET_UNTIL, REGISTRY, TEMPERATURE, Settings
from storage.store import Store
from storage.withheld import AbsenceQuestion, MissingMessages

NOW = 1_760_000_000.0


def status(**changes: Any) -> BotStatus:
    values: dict[str, Any] = dict(
        pid=7,
        phase=BotPhase.RUNNING,
        heartbeat_at=NOW,
        started_at=NOW - 8040,
        is_connected=True,
        latency_ms=42.4,
        model_state=ModelState.READY,
        model_name="Qwen",
        model_bytes=2_100_000_000,
        memory_bytes=2_600_000_000,
    )
    return BotStatus(**(values | changes))


def pulse(state: str = "running", row: BotStatus | None = None, **changes: Any) -> Pulse:
    values: dict[str, Any] = dict(
        now=NOW, controller=ControllerLook(state), status=row or status(), settings=Settings()
    )
    return Pulse(**(values | changes))


def job(kind: str, result: dict[str, Any] | None = None, state: JobState = JobState.DONE, **changes: Any) -> Job:
    return Job(1, kind, 1, state, result=result or {}, **changes)


# ---- the bot's state -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "changes", "title", "tone"),
    [
        ("running", {}, texts.STATE_RUNNING, "good"),
        ("running", {"mode": "offline"}, texts.STATE_OFFLINE, "good"),
        ("running", {"is_connected": False}, texts.STATE_CONNECTING, "busy"),
        ("running", {"model_state": ModelState.LOADING}, texts.STATE_LOADING, "busy"),
        ("running", {"model_state": ModelState.FAILED}, texts.STATE_NO_MODEL, "bad"),
        ("starting", {}, texts.STATE_STARTING, "busy"),
        ("stopping", {}, texts.STATE_STOPPING, "busy"),
        ("stopped", {"exit_code": 0}, texts.STATE_STOPPED, "idle"),
        ("failed", {"exit_code": 78}, texts.STATE_ERROR, "bad"),
    ],
)
def test_each_state_has_its_words_and_its_colour(state: str, changes: dict[str, Any], title: str, tone: str) -> None:
    view = status_view(pulse(state, status(**changes)))
    assert (view.title, view.tone) == (title, tone)


@pytest.mark.parametrize(
    ("state", "changes", "can_free", "model"),
    [
        ("running", {}, True, "Qwen · 2.1 GB"),
        ("running", {"is_resting": True}, False, texts.MODEL_RESTING),
        ("running", {"is_borrowed": True}, False, "Qwen · 2.1 GB"),
        ("running", {"model_state": ModelState.LOADING}, False, texts.MODEL_LOADING),
        ("stopping", {}, False, "Qwen · 2.1 GB"),
    ],
)
def test_the_models_memory_can_be_freed_while_it_is_there(
    state: str, changes: dict[str, Any], can_free: bool, model: str
) -> None:
    view = status_view(pulse(state, status(**changes)))
    assert view.can_free is can_free
    assert next(fact.value for fact in view.facts if fact.label == texts.FACT_MODEL) == model


def test_a_restart_counts_down_and_says_why() -> None:
    look = ControllerLook("backoff", detail="ended by signal 9", seconds_until_retry=7.6)
    view = status_view(pulse("backoff", controller=look))
    assert view.title == "Restarting in 8 s"
    assert view.detail == "ended by signal 9"
    assert view.can_start
    assert view.can_stop
    assert not view.can_restart


def test_a_click_shows_before_anything_happened() -> None:
    view = status_view(pulse("stopped"), clicked="start")
    assert view.title == texts.STATE_STARTING
    assert not view.can_start


def test_a_configuration_error_shows_cause_and_cure() -> None:
    look = ControllerLook("failed", detail="Discord refused the token.", cure="Enter it again in Settings.")
    view = status_view(pulse("failed", controller=look))
    assert (view.problem, view.cure) == ("Discord refused the token.", "Enter it again in Settings.")


def test_memory_above_the_warning_is_told_with_what_follows() -> None:
    view = status_view(pulse(row=status(memory_bytes=4_200_000_000)))
    assert "4.2 GB" in view.problem
    assert "5.0 GB" in view.cure
    assert view.facts[1].tone == "busy"


def test_quiet_says_until_when() -> None:
    view = status_view(pulse(settings=Settings({QUIET_UNTIL.key: NOW + 600})))
    assert view.title == texts.STATE_QUIET
    assert view.is_quiet
    assert words.clock(NOW + 600) in view.detail


def test_facts_of_a_stopped_bot_are_dashes_not_old_figures() -> None:
    assert {fact.value for fact in status_view(pulse("stopped", status(exit_code=0))).facts} == {texts.NONE}


# ---- dashboard -------------------------------------------------------------------------------------------


def figures(**changes: Any) -> dashboard.Figures:
    values: dict[str, Any] = dict(
        now=NOW,
        day=Totals(1247, 63, 0, 2300.0, 1800.0, 4200.0, 20),
        week=Totals(8000, 421, 4, 2300.0, 1800.0, 4200.0, 87),
        latencies=(1800.0, 2000.0, 9000.0),
        replies_per_hour=(0,) * 23 + (5,),
        samples=(),
        decisions=(),
    )
    return dashboard.Figures(**(values | changes))


def test_the_figures_of_the_specification_read_as_in_the_specification() -> None:
    view = dashboard.figures_view(figures())
    assert [(f.label, f.value) for f in view.day] == [
        (texts.SEEN, "1\u2009247"),
        (texts.RESPONSES, "63"),
        (texts.AVERAGE, "2.3 s"),
        (texts.ERRORS, "0"),
    ]
    assert view.day[1].note == "5.1\u2009%"
    assert [f.value for f in view.week] == ["421", "87", "1.8 s", "4.2 s"]


def test_targets_are_judged_against_the_owners_own_figures() -> None:
    rows = {row.key: row.cells[1] for row in dashboard.figures_view(figures()).targets}
    assert rows[texts.TARGET_P50].tone == "good"
    assert rows[texts.TARGET_P99].tone == "bad"
    assert rows[texts.TARGET_MEMORY].text == texts.NONE


def test_an_empty_server_has_empty_charts_that_say_so() -> None:
    view = dashboard.figures_view(figures(latencies=(), replies_per_hour=(0,) * 24, day=Totals(), week=Totals()))
    assert view.hours.is_empty
    assert view.times.is_empty
    assert view.memory.is_empty
    assert view.hours.empty_text == texts.NO_REPLIES_DAY


def test_the_memory_curve_breaks_where_the_bot_was_down() -> None:
    samples = [(NOW + i * 60, 2_000_000_000, True) for i in range(30)]
    samples += [(NOW + (90 + i) * 60, 2_000_000_000, True) for i in range(30)]
    assert len(dashboard.memory_curve(samples).segments) == 2


def test_a_decision_keeps_its_reason_and_its_error() -> None:
    entry = Activity(NOW, 1, 1, 1, "Ines", True, "mentioned", latency_ms=900.0, error="403 Forbidden")
    row = dashboard.figures_view(figures(decisions=(entry,))).decisions[0]
    assert [cell.text for cell in row.cells][1:] == ["Ines", texts.SPOKE, "mentioned · 403 Forbidden", "0.90 s"]


def test_rates_say_what_they_mean() -> None:
    assert dashboard.rate_view(0.05).hint == "joins in about 5 of 100 messages"
    assert dashboard.rate_view(0.05, mentions_only=True).hint == texts.RATE_HINT_MENTIONS


def test_a_job_shows_step_and_remaining_time() -> None:
    running = Job(3, "train", 1, JobState.RUNNING, 0.5, "epoch 2 of 5", started_at=NOW - 600)
    view = dashboard.job_views(pulse(jobs=(running,)), starting=frozenset({"backup"}), remaining={3: 600.0})
    assert view[0].text == "epoch 2 of 5 · 10 min left"
    assert view[1].name == job_label("backup")
    assert view[1].job_id == 0


# ---- numbers as people read them ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (60, "1 min"), (8040, "2 h 14 min"), (90_000, "1 d 1 h"), (-5, "0 s")]
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_sizes_and_percentiles() -> None:
    assert [words.size(n) for n in (512, 45_000, 812_000_000, 2_104_932_768)] == ["512 B", "45 KB", "812 MB", "2.1 GB"]
    assert words.percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert words.percentile([], 0.5) is None


def test_charts_end_on_round_numbers_and_keep_their_peaks() -> None:
    assert [nice_ceiling(v) for v in (0, 0.9, 2.3, 4.2, 7)] == [1.0, 1, 2.5, 5, 10]
    assert histogram([0.5, 1.5, 99], (0.0, 1.0, 2.0)) == [1, 1, 1]
    points = [(float(i), 1.0) for i in range(1000)]
    points[500] = (500.0, 9.0)
    assert max(y for _, y in thin(points, 50)) == 9.0


# ---- logs ---------------------------------------------------------------------------------------------------


def test_a_traceback_belongs_to_its_entry_and_is_found_with_it() -> None:
    book = logs.LogBook()
    book.add(
        [
            "[2025-11-02 14:32:15] [ERROR] [bot.outbox] Sending failed",
            "Traceback (most recent call last):",
            "[2025-11-02 14:32:18] [INFO] Bot started",
        ]
    )
    assert [row.level for row in book.rows] == ["ERROR", "ERROR", "INFO"]
    assert len(book.matching(logs.LogFilter("ERROR"))) == 2
    assert [row.text for row in book.matching(logs.LogFilter("DEBUG", "STARTED"))] == ["Bot started"]
    assert book.rows[0].raw == "[2025-11-02 14:32:15] [ERROR] [bot.outbox] Sending failed"


def test_the_log_keeps_its_newest_lines_and_counts_what_matters() -> None:
    book = logs.LogBook(most=10)
    book.add(f"[2025-11-02 14:32:15] [WARNING] [bot] {n}" for n in range(25))
    assert next(row.text for row in book.rows) == "15"
    assert book.warnings == 25
    assert book.summary(3).startswith("3 of 10 lines")


def test_the_bots_log_comes_first_and_raw_output_last() -> None:
    assert logs.order_files(["train", "bot.out", "launcher", "bot"]) == ["bot", "launcher", "train", "bot.out"]


# ---- live ---------------------------------------------------------------------------------------------------


def test_a_reason_says_in_words_how_a_reply_was_chosen_among_drafts() -> None:
    assert live.reason_in_words("mentioned; the best of 4 drafts", spoke=True) == (
        "it was mentioned; the best of 4 drafts"
    )
    lone = "one draft: this model has no scorer yet; evaluate it once"
    assert live.reason_in_words(f"mentioned; {lone}", spoke=True) == f"it was mentioned; {lone}"


# ---- settings -----------------------------------------------------------------------------------------------


def test_every_setting_of_the_registry_has_a_place_in_the_panel() -> None:
    shown = {row.key for group in settings.GROUPS for row in settings.rows_of(group)}
    assert shown | settings.HIDDEN == set(REGISTRY)


def test_a_wrong_value_is_answered_with_the_range() -> None:
    assert "0 to 3600" in settings.check(COOLDOWN_SECONDS, "soon")
    assert settings.check(COOLDOWN_SECONDS, " 30 ") == ""
    assert settings.check(GPU_LAYERS, "11")


def test_a_token_is_shown_as_dots_until_asked_for() -> None:
    environment = Environment(token="secret.token.value")
    assert "secret" not in settings.token_view(environment, is_shown=False).text
    assert settings.token_view(environment, is_shown=True).text == "secret.token.value"
    assert settings.clean_token(' "Bot abc" ') == "abc"


def test_gpu_layers_are_offered_only_where_they_do_something() -> None:
    assert settings.gpu_view({"supported": False}) == settings.GpuView(False, texts.GPU_NONE)
    view = settings.gpu_view(
        {"supported": True, "name": "RTX 3070", "free_bytes": 7_000_000_000, "total_bytes": 8_000_000_000}
    )
    assert view.is_usable
    assert "7.0 GB of 8.0 GB" in view.text
    assert settings.gpu_view(None).is_usable


# ---- people -------------------------------------------------------------------------------------------------


def census(**changes: Any) -> people.Census:
    values: dict[str, Any] = dict(
        members=(Member(1, "ines", "Ines"), Member(2, "moss", "Moss", is_opted_out=True)),
        counts={1: 90, 2: 10},
        channels=(
            Channel(5, "general", is_private=False, learn=True),
            Channel(6, "staff", learn=True),
            Channel(7, "thread", kind=11, parent_id=5),
        ),
        channel_counts={5: 80, 7: 20},
        balanced={},
        ceiling=None,
    )
    return people.Census(**(values | changes))


def test_members_are_ordered_by_how_much_they_talk_and_opt_outs_cannot_be_undone_here() -> None:
    view = people.people_view(census())
    assert [row.key for row in view.people] == [1, 2]
    included = view.people[1].cells[4]
    assert included.value is False
    assert not included.is_enabled
    assert view.summary == "2 people · 100 messages"


def test_a_private_channel_learns_only_with_the_second_yes_and_threads_count_for_their_parent() -> None:
    rows = {row.key: row.cells for row in people.people_view(census()).channels}
    assert rows[6][3].value is False
    assert rows[5][3].value is True
    assert rows[5][2].text == "100"
    assert 7 not in rows


def test_everything_hidden_can_be_undone_and_open_questions_come_first() -> None:
    removed = people.Removed(
        deletions=(Deletion(3, DeletionKind.CHANNEL, 5, "general", "owner", 1000.0, 80),),
        missing=(MissingMessages(6, "staff", 4, 1000.0),),
        questions=(AbsenceQuestion(7, "memes", 120, 300, 1000.0),),
    )
    members = (Member(1, "ines", "Ines", is_excluded=True), Member(2, "moss", "Moss", is_opted_out=True))
    rows = people.removed_rows(census(removed=removed, members=members), now=1000.0 + 86_400)
    assert [row.key for row in rows] == [("question", 7), ("deletion", 3), ("missing", 6), ("member", 1)]
    assert [row.cells[0].text for row in rows] == [
        "Not found in #memes",
        "All of #general",
        "Missing in #staff",
        "Ines",
    ]
    assert "erased in 6 d" in rows[1].cells[2].text
    assert "1 d ago" in rows[2].cells[2].text
    assert [row.cells[3].text.split()[0] for row in rows] == ["Answer", "Undo", "Undo", "Undo"]


def test_a_fetch_that_asks_or_could_not_read_is_not_simply_done() -> None:
    fetched = job("fetch", {"attention": ["#general: the bot may not read its history."], "channels": [{"unclear": 0}]})
    assert dashboard.finished_text(fetched)[0::2] == ("busy", "#general: the bot may not read its history.")
    assert not people.has_open_question(fetched)
    assert people.has_open_question(job("fetch", {"channels": [{"unclear": 7}]}))
    assert not people.has_open_question(job("import", {"channels": 3}))


def test_what_discord_says_and_what_the_owner_says_are_two_columns() -> None:
    """Fault 72."""
    channels = (
        Channel(1, "open", is_private=False, discord_private=False),
        Channel(2, "staff", discord_private=True),
        Channel(3, "mine", discord_private=False, owner_private=True),
        Channel(4, "opened", discord_private=False),
        Channel(5, "imported"),
    )
    view = people.people_view(census(channels=channels))
    keys = [column.key for column in people.CHANNEL_COLUMNS]
    said = {
        row.key: (row.cells[keys.index("is_private")].value, row.cells[keys.index("discord")].text)
        for row in view.channels
    }
    assert said == {
        1: (False, "everyone"),
        2: (False, "some"),
        3: (True, "everyone"),
        4: (False, "opened"),
        5: (True, "unknown"),
    }
    assert [channel.name for channel in view.opened] == ["opened"]


def test_shares_after_balancing_come_from_the_newest_data_set() -> None:
    prepared = job("prepare", {"shares": [{"author_id": 1, "after": 0.12}], "ceiling": 0.12})
    assert people.balanced_shares(prepared) == ({1: 0.12}, 0.12)
    view = people.people_view(census(balanced={1: 0.12}, ceiling=0.12))
    assert view.people[0].cells[3].text == "12.0\u2009%"
    assert "12" in view.shares_note


# ---- playground, first run, notifications ---------------------------------------------------------------------


@pytest.mark.parametrize(("count", "tokens"), [(12, "12 tokens"), (1, "1 token")])
def test_an_unanswered_line_waits_visibly_and_an_answer_brings_its_cost(count: int, tokens: str) -> None:
    entries = [
        PlaygroundEntry(1, "owner", "hi", NOW - 3),
        PlaygroundEntry(
            2,
            "bot",
            "yo",
            NOW,
            answers_id=1,
            details={"total_ms": 2310.0, "first_token_ms": 400.0, "reply_tokens": count},
        ),
    ]
    assert playground.chat_view(entries[:1], pulse()).lines[1].is_waiting
    answered = playground.chat_view(entries, pulse())
    assert answered.lines[1].stats == f"2.3 s · {tokens} · first word after 0.40 s"
    assert playground.chat_view(entries, pulse("stopped")).is_stopped


def test_a_comparison_answers_one_temperature_after_the_other() -> None:
    comparison = ComparedAnswers("hi", (temperature_side(0.5), temperature_side(1.0)))
    assert comparison.side.options == {TEMPERATURE.key: 0.5}
    left, right = comparison.lines(NOW, NOW)
    assert left.is_waiting
    assert right.text == "…"
    assert (left.column, right.column) == (0, 1)


def test_two_models_are_compared_only_without_discord() -> None:
    assert models_problem(pulse("stopped")) == texts.COMPARE_STOPPED
    assert models_problem(pulse(row=status(mode="discord"))) == texts.COMPARE_ON_DISCORD
    assert models_problem(pulse(row=status(mode="offline"))) == ""


def test_every_model_there_is_can_be_compared_but_the_one_in_use(store: Store) -> None:
    finetuned, base = store.workspace.finetuned_models, store.workspace.base_models
    for name in ("voice-1", "voice-2"):
        (finetuned / f"{name}.gguf").write_bytes(b"GGUF")
        (finetuned / f"{name}.json").write_text(json.dumps({"deployed_at": 1.0}), encoding="utf-8")
    (base / "plain.gguf").write_bytes(b"GGUF")
    shelf = read_shelf(store, own_name="voice-2", added=(base / "elsewhere" / "plain.gguf",))
    assert [option.label for option in shelf.options[:2]] == ["voice-1", "plain"]
    assert shelf.own == "voice-2"
    assert shelf.options[0].options == {"model_path": str(finetuned / "voice-1.gguf"), "adapter_path": ""}
    assert len({option.key for option in shelf.options}) == len(shelf.options)
    store.settings.set(ADAPTER_PATH, "/somewhere/demo.gguf", changed_by="test")
    shelf = read_shelf(store, own_name="voice-2 + demo")
    assert shelf.own == "voice-2 + demo"
    assert next(o for o in shelf.options if o.label == texts.COMPARE_NO_ADAPTER).options == {"adapter_path": ""}


def situation(**changes: Any) -> first_run.Situation:
    values: dict[str, Any] = dict(
        environment=Environment(),
        consent="",
        channels=0,
        learning=0,
        speaking=0,
        messages=0,
        model_name="",
        is_running=False,
        checkup=None,
    )
    return first_run.Situation(**(values | changes))


def test_the_checklist_points_at_exactly_one_next_step() -> None:
    view = first_run.first_run_view(situation())
    assert [step.key for step in view.steps if step.state == "next"] == ["token"]
    assert view.progress == "0 of 12 done"
    assert all(step.text == texts.STEP_LOCKED.format(first=texts.STEP_TOKEN) for step in view.steps[1:])


def test_the_checklist_stays_open_until_the_first_reply_whatever_was_done_in_between() -> None:
    """A token alone, or an import alone, is not the end of it."""
    only_token = first_run.first_run_view(situation(environment=Environment(token="t")))
    assert not only_token.is_finished
    assert only_token.way == "discord"
    only_import = first_run.first_run_view(situation(messages=9, channels=1))
    assert only_import.way == "import"
    assert only_import.step("import").state == "done"
    assert [step.key for step in only_import.steps if step.is_open] == ["channels"]
    assert [step.key for step in only_import.steps] == [
        *("import", "channels", "model", "search", "train", "start", "hello")
    ]


def test_what_failed_is_told_in_its_own_row_and_without_commands() -> None:
    failed = Job(
        1,
        "download",
        1,
        JobState.FAILED,
        error="The disk is full. Run python scripts/download_model.py --list for smaller ones.",
    )
    state: dict[str, Any] = dict(messages=9, channels=1, learning=1, jobs={"download": failed})
    step = first_run.first_run_view(situation(**state)).step("model")
    assert step.state == "bad"
    assert step.text.startswith("The disk is full.")
    assert "python" not in step.text
    done = first_run.first_run_view(situation(**state, model_name="Qwen")).step("model")
    assert done.state == "done", "a download that failed once and a model that is here"


def test_what_can_wait_is_put_off_and_stays_possible() -> None:
    state: dict[str, Any] = dict(messages=9, channels=1, learning=1, model_name="Qwen", search_model="bge")
    assert first_run.first_run_view(situation(**state)).step("search").state == "next"
    view = first_run.first_run_view(situation(**state, skipped=frozenset({"search", "train"})))
    assert view.step("search").state == view.step("train").state == "skipped"
    assert view.step("start").state == "next"
    assert view.step("hello").state == "locked"


def test_the_checklist_believes_discord_and_shows_the_invite_link() -> None:
    checkup = job(
        "doctor",
        {
            "findings": [
                {"name": "Discord", "verdict": "good", "words": "token accepted; the bot is Loungebot", "cure": ""},
                {"name": "Message content intent", "verdict": "bad", "words": "off", "cure": "switch it on"},
                {
                    "name": "Server",
                    "verdict": "bad",
                    "words": "not on it",
                    "cure": "Invite it: https://discord.com/x?a=1",
                },
            ]
        },
    )
    view = first_run.first_run_view(situation(environment=Environment(token="t"), checkup=checkup))
    assert view.step("token").state == "done"
    assert view.step("server").state == "next"
    view = first_run.first_run_view(situation(environment=Environment(token="t", server_id=1), checkup=checkup))
    assert view.step("invite").state == "bad"
    assert view.step("intent").state == "locked"
    assert view.invite_url == "https://discord.com/x?a=1"
    assert len(view.checkup) == 3


def test_everything_done_is_said() -> None:
    good = [
        {"name": name, "verdict": "good", "words": "ok", "cure": ""}
        for name in ("Discord", "Server", "Message content intent")
    ]
    view = first_run.first_run_view(
        situation(
            environment=Environment(token="t", server_id=1),
            consent=policy.YES,
            channels=3,
            learning=2,
            speaking=1,
            messages=9,
            model_name="Qwen",
            is_running=True,
            checkup=job("doctor", {"findings": good}),
            is_search_model_here=True,
            trained=1,
            has_replied=True,
        )
    )
    assert view.is_finished
    assert view.progress == texts.FIRST_FINISHED


def test_only_changes_are_notified_and_the_level_is_respected() -> None:
    running, failed = pulse("running"), pulse("failed", controller=ControllerLook("failed", detail="broken"))
    assert notifications.notes_between(None, running) == ()
    assert notifications.notes_between(running, running) == ()
    note = notifications.notes_between(running, failed)[0]
    assert note.level == "errors"
    assert notifications.is_told(note, "errors")
    started = notifications.notes_between(pulse("starting"), running)[0]
    assert not notifications.is_told(started, "errors")
    assert notifications.is_told(started, "important")


def incident(number: int, kind: IncidentKind, seconds: float | None, detail: str = "", *, at: float = NOW) -> Incident:
    return Incident(number, kind, at, None if seconds is None else at + seconds, detail)


def test_an_interruption_is_told_once_it_is_over_and_by_its_cause() -> None:
    """Fault 176."""
    kind = IncidentKind
    begun = pulse("backoff", incidents=(incident(1, kind.CRASH, None, "MemoryError: no room"),))
    back = pulse("running", incidents=(incident(1, kind.CRASH, 4, "MemoryError: no room"),))
    assert notifications.notes_between(pulse("running"), begun) == ()
    (note,) = notifications.notes_between(begun, back)
    assert note.title == "It crashed (out of memory) and is back"
    assert "4 s" in note.text
    assert notifications.notes_between(back, back) == ()
    slept = incident(2, kind.SLEEP, 7200)
    lost = incident(3, kind.DISCONNECT, 40, at=NOW + 7210)
    (note,) = notifications.notes_between(back, pulse("running", incidents=(*back.incidents, slept, lost)))
    assert note.title == "Your computer slept for 2 h"
    later = incident(4, kind.DISCONNECT, 300, at=NOW + 9000)
    (note,) = notifications.notes_between(back, pulse("running", incidents=(*back.incidents, slept, later)))[1:]
    assert note.title == "Discord was out of reach for 5 min"


@pytest.mark.parametrize("kind", list(IncidentKind))
def test_no_cause_makes_a_notification_too_long(kind: IncidentKind) -> None:
    """Fault 176."""
    endless = pulse("running", incidents=(incident(1, kind, 9e6, "segmentation fault " * 40),))
    (note,) = notifications.notes_between(pulse("running"), endless)
    assert cut(note.title, TITLE_UNITS) == note.title, "the cause is shortened, not what became of it"
    assert cut(note.text, TEXT_UNITS) == note.text


def test_a_bot_that_crashes_all_night_is_told_a_few_times() -> None:
    """Fault 176."""
    budget = notifications.IncidentBudget()
    crash = notifications.Note("It crashed", "", "busy", "important", IncidentKind.CRASH)
    told = [budget.admit(crash, now=float(second)) for second in range(0, 300, 10)]
    assert [note.title if note else "" for note in told[:6]] == [crash.title] * 3 + [texts.NOTE_INCIDENT_MORE, "", ""]
    assert not any(told[4:])
    other = notifications.Note("The bot stopped", "", "idle", "important")
    assert budget.admit(other, now=300.0) is other
    assert budget.admit(crash, now=2000.0) is crash


@pytest.mark.parametrize(
    ("replies", "told", "expected"),
    [(99, 0, 0), (100, 0, 100), (499, 100, 0), (1200, 100, 1000), (2500, 1000, 2000), (2500, 2000, 0)],
)
def test_milestones_are_told_once(replies: int, told: int, expected: int) -> None:
    assert notifications.milestone(replies, told=told) == expected


def test_the_reminder_comes_back_after_as_many_messages_again() -> None:
    assert training.is_due(5000, reminder=5000, told_at=0)
    assert not training.is_due(5100, reminder=5000, told_at=5000)
    assert not training.is_due(9999, reminder=0, told_at=0)


def test_the_largest_card_counts_and_an_odd_answer_is_none() -> None:
    from model.chat.gpu import largest_card

    answer = "GeForce GT 710, 900, 1024\nNVIDIA GeForce RTX 3070, 7000, 8192\n"
    assert largest_card(answer) == {
        "name": "NVIDIA GeForce RTX 3070",
        "free_bytes": 7000 << 20,
        "total_bytes": 8192 << 20,
    }
    assert largest_card("[N/A], [N/A]") == {}


@pytest.mark.parametrize(
    ("platform", "variables", "scale"),
    [
        ("linux", {"GDK_SCALE": "2"}, 2.0),
        ("linux", {"QT_SCALE_FACTOR": "1.5"}, 1.5),
        ("linux", {"GDK_SCALE": "x"}, 1.0),
        ("linux", {}, 1.0),
        ("win32", {"GDK_SCALE": "2"}, 1.0),
    ],
)
def test_the_desktops_scale_is_taken_from_what_other_toolkits_obey(
    platform: str, variables: dict[str, str], scale: float
) -> None:
    from gui.components.theme import desktop_scale

    assert desktop_scale(platform, variables) == scale
