"""Every command as admin, as member and with wrong values, on a simulated Discord."""

from __future__ import annotations

import json
from subprocess import Popen
from typing import Any

import discord
import pytest

from storage.jobs import runner
from storage.records import Channel, ExitCode, JobState, Turn
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, QUIET_HOURS, QUIET_UNTIL, RESPONSE_RATE, TEMPERATURE
from storage.store import Store
from tests.support.sim_bot import SimBot, play

ADMIN_COMMANDS = {
    "setrate",
    "settemp",
    "react",
    "setmaxlen",
    "mentions",
    "quiet",
    "status",
    "why",
    "restart",
    "reload",
    "fetch",
    "train",
    "delete",
    "channels",
}
MEMBER_COMMANDS = {"help", "botdata", "optout", "optin", "forgetme"}
LOOKING_BACK_COMMANDS = {"missed", "onthisday", "quote"}


async def answer(bot: SimBot, who: Any, text: str, **more: Any) -> str:
    """What the bot says to a prefix command."""
    before = len(bot.own)
    await who.send(bot.general, text, **more)
    assert len(bot.own) == before + 1, f"{text} was answered with {bot.own[before:]}"
    return bot.own[-1]


def test_the_command_list_is_what_the_documentation_promises(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        every = [c for cog in bot.client.cogs.values() for c in cog.get_commands()]
        assert {c.name for c in every} == ADMIN_COMMANDS | MEMBER_COMMANDS | LOOKING_BACK_COMMANDS
        assert {c.name for c in every if c.extras.get("admin")} == ADMIN_COMMANDS
        assert set(bot.mira_commands()) == ADMIN_COMMANDS | MEMBER_COMMANDS | LOOKING_BACK_COMMANDS

    play(store, scene)


def test_a_member_gets_a_short_no_for_every_admin_command(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        for name in sorted(ADMIN_COMMANDS):
            assert await answer(bot, bot.mira, f"!{name}") == "Only the bot's admins may do that."
            result = await bot.mira.slash(bot.general, name)
            assert result.response.content == "Only the bot's admins may do that."
            assert result.ephemeral
        assert not bot.stop.is_asked
        assert bot.slot.reloads == 0

    play(store, scene)


@pytest.mark.parametrize(
    ("command", "good", "value", "bad", "words"),
    [
        ("setrate", "0.1", (RESPONSE_RATE, 0.1), ("2", "-1", "often", "nan"), "0 to 1"),
        ("setrate", "25%", (RESPONSE_RATE, 0.25), ("250%",), "0 to 1"),
        ("settemp", "0,8", (TEMPERATURE, 0.8), ("1.6", "hot"), "0 to 1.5"),
        ("setmaxlen", "150", (MAX_TOKENS, 150), ("49", "501", "1e3", "many", "99.5"), "50 to 500"),
        ("mentions", "on", (MENTIONS_ONLY, True), ("perhaps",), "on or off"),
    ],
)
def test_values_are_set_and_wrong_ones_are_answered_with_the_range(
    store: Store, command: str, good: str, value: tuple[Any, Any], bad: tuple[str, ...], words: str
) -> None:
    async def scene(bot: SimBot) -> None:
        assert "is now" in await answer(bot, bot.admin, f"!{command} {good}")
        assert store.settings.get(value[0]) == value[1]
        result = await bot.admin.slash(bot.general, command, value=good)
        assert "is now" in result.response.content
        for wrong in bad:
            text = await answer(bot, bot.admin, f"!{command} {wrong}")
            assert words in text
            assert "Traceback" not in text
            assert store.settings.get(value[0]) == value[1]
        assert "default" in await answer(bot, bot.admin, f"!{command}")

    play(store, scene)


def test_quiet_has_an_end_and_can_be_ended(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        assert "Quiet until" in await answer(bot, bot.admin, "!quiet 2h")
        # By Discord's clock, which is not this computer's.
        assert store.settings.get(QUIET_UNTIL) == pytest.approx(bot.env.now().timestamp() + 7200, abs=30)
        assert "30m, 2h" in await answer(bot, bot.admin, "!quiet for a bit")
        assert "listening" in await answer(bot, bot.admin, "!quiet off")
        assert store.settings.get(QUIET_UNTIL) == 0

    play(store, scene)


def test_quiet_hours_are_read_by_the_command_as_in_the_panel(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        assert "23:00-07:00" in await answer(bot, bot.admin, "!quiet 11pm–7am")
        assert store.settings.get(QUIET_HOURS) == "23:00-07:00"
        assert store.settings.get(QUIET_UNTIL) == 0
        assert "22:00-06:30" in await answer(bot, bot.admin, "!quiet hours 22.00-06.30")
        assert "no '25:00' on a clock" in await answer(bot, bot.admin, "!quiet hours 25:00-nonsense")
        assert "whole day" in await answer(bot, bot.admin, "!quiet hours 0:00 to 23:59")
        assert store.settings.get(QUIET_HOURS) == "22:00-06:30"
        assert "22:00-06:30" in await answer(bot, bot.admin, "!quiet hours")
        assert "off" in await answer(bot, bot.admin, "!quiet hours off")
        assert store.settings.get(QUIET_HOURS) == ""

    play(store, scene)


def test_status_and_why_tell_what_is_stored(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        silent = await bot.mira.send(bot.general, "hm")
        assert "rolled 0.99" in await answer(bot, bot.admin, "!why")
        await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> hi")
        reply = bot.general.last_message
        assert "Answered (mira): mentioned" in await answer(bot, bot.admin, "!why", reply_to=reply)
        assert "Stayed silent" in await answer(bot, bot.admin, "!why", reply_to=silent)
        text = await answer(bot, bot.admin, "!status")
        assert "rate 0%" in text
        assert "Model" in text

    play(store, scene)


def test_why_tells_how_a_reply_was_chosen_among_drafts(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        bot.responder.chosen = "the best of 4 drafts"
        await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> hi")
        reply = bot.general.last_message
        assert "mentioned; the best of 4 drafts." in await answer(bot, bot.admin, "!why", reply_to=reply)

    play(store, scene)


def test_restart_ends_with_its_code_and_reload_reloads(store: Store) -> None:
    """FAULTS 3, the bot's side."""

    async def scene(bot: SimBot) -> None:
        await bot.admin.send(bot.general, "!reload")
        assert bot.slot.reloads == 1
        assert bot.own[-1].startswith("Loaded")
        assert await answer(bot, bot.admin, "!restart") == "Restarting."
        assert bot.stop.ending.code == ExitCode.RESTART

    play(store, scene)


def test_delete_takes_back_the_last_reply_or_the_one_replied_to(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, f"<@{bot.client.identity.id}> hi")
        await bot.env.advance_time(300)
        assert bot.own == ["first"]
        asked = bot.general.history()[0]
        assert await answer(bot, bot.admin, "!delete", reply_to=asked) == "That is not a message of mine."
        await bot.admin.send(bot.general, "!delete")
        assert "first" not in bot.own
        assert not any(m.is_own and m.content == "first" for m in store.messages.recent(bot.general.id, limit=9))

    play(store, scene, "first", "second")


def test_channels_are_listed_switched_and_a_private_one_needs_its_own_yes(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        memes = bot.guild.create_text_channel("memes")
        hidden = bot.guild.create_text_channel(
            "hidden", overwrites={bot.guild.default_role: discord.PermissionOverwrite(view_channel=False)}
        )
        assert "learn, recall, speak" in await answer(bot, bot.admin, "!channels")
        assert "on" in await answer(bot, bot.admin, "!channels add #memes")
        assert store.channels.get(memes.id).learn
        await answer(bot, bot.admin, f"!channels disable <#{memes.id}> learn")
        assert (store.channels.get(memes.id).learn, store.channels.get(memes.id).speak) == (False, True)
        assert "private" in await answer(bot, bot.admin, "!channels add #hidden")
        assert not store.channels.get(hidden.id).learn
        await answer(bot, bot.admin, "!channels add #hidden yes")
        assert store.channels.get(hidden.id).include_private
        assert store.consents.latest("private_channel", subject_id=hidden.id).answer == "yes"
        await answer(bot, bot.admin, "!channels remove #memes")
        assert store.channels.get(memes.id) is None
        assert "no channel" in await answer(bot, bot.admin, "!channels add #nowhere")
        assert "Usage" in await answer(bot, bot.admin, "!channels frobnicate")

    play(store, scene)


def test_fetch_and_train_start_jobs_and_report_their_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    class Ended:
        pid, returncode = 4711, 0

        def poll(self) -> int:
            return 0

    def spawn(_workspace: Any, kind: str, _arguments: Any) -> Popen[bytes]:
        started.append(kind)
        reporter = store.jobs.start(kind)
        store.control_db.execute("UPDATE jobs SET pid = 4711 WHERE id = ?", (reporter.job_id,))
        state = JobState.DONE if kind == "fetch" else JobState.FAILED
        store.jobs.finish(
            reporter.job_id,
            state,
            error="" if kind == "fetch" else "No data set is prepared.",
            result={"new": 12, "edited": 1, "deleted": 0},
        )
        return Ended()  # type: ignore[return-value]

    monkeypatch.setattr(runner, "spawn_job", spawn)

    async def scene(bot: SimBot) -> None:
        await bot.admin.send(bot.general, "!fetch")
        await bot.env.advance_time(5)
        assert bot.own[-2:] == [
            "Started: fetch. I report here when it ends.",
            "Fetch done: 12 new, 1 edited, 0 deleted messages.",
        ]
        await bot.admin.send(bot.general, "!train")
        await bot.env.advance_time(5)
        assert "failed: No data set is prepared." in bot.own[-1]
        running = store.jobs.start("fetch")
        assert "already running" in await answer(bot, bot.admin, "!fetch")
        # Fault 109: killed, and no panel there to notice.
        store.control_db.execute("UPDATE jobs SET pid = 2147483000 WHERE id = ?", (running.job_id,))
        await bot.admin.send(bot.general, "!fetch")
        assert any("Started: fetch" in text for text in bot.own[-2:])
        lost = store.jobs.get(running.job_id)
        assert lost is not None
        assert lost.state is JobState.LOST
        started.pop()
        assert started[0] == "fetch"
        assert len(started) == 2

    play(store, scene)


def test_help_shows_each_what_they_may_use(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        for_member = await answer(bot, bot.mira, "!help")
        assert "!botdata" in for_member
        assert "!setrate" not in for_member
        for_admin = await answer(bot, bot.admin, "!help")
        assert all(f"!{name}" in for_admin for name in ADMIN_COMMANDS | MEMBER_COMMANDS | LOOKING_BACK_COMMANDS)

    play(store, scene)


def test_botdata_tells_the_truth_and_names_no_private_channel(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        store.channels.add([Channel(77, "secret-club", learn=True, is_private=True, include_private=True)])
        await bot.mira.send(bot.general, "one")
        text = await answer(bot, bot.mira, "!botdata")
        assert f"<#{bot.general.id}>" in text
        assert "1 private channel" in text
        assert "77" not in text
        assert "secret-club" not in text
        assert "1 messages" in text
        assert "!forgetme" in text

    play(store, scene)


def test_opting_out_stops_storing_and_opting_in_resumes(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, "before")
        await answer(bot, bot.mira, "!optout")
        assert store.members.get(bot.mira.id).is_opted_out
        await bot.mira.send(bot.general, "while out")
        await answer(bot, bot.mira, "!optin")
        await bot.mira.send(bot.general, "back")
        kept = [m.content for m in store.messages.recent(bot.general.id, limit=9)]
        assert kept == ["before", "back"]
        assert not store.members.get(bot.mira.id).is_absent

    play(store, scene)


def test_forgetting_removes_a_member_from_every_copy(store: Store) -> None:
    async def scene(bot: SimBot) -> None:
        await bot.mira.send(bot.general, "my secret pie recipe")
        await bot.tam.send(bot.general, f"thanks <@{bot.mira.id}>")
        files = _copies(store, bot.mira.id)
        await answer(bot, bot.mira, "!forgetme")
        assert store.messages.count() == 2  # not without the yes
        text = await answer(bot, bot.mira, "!forgetme yes")
        assert "retrained" in text
        assert "1 messages" in text
        assert [m.author_id for m in store.messages.recent(bot.general.id, limit=9)] == [bot.tam.id]
        for path in files:
            content = path.read_text(encoding="utf-8")
            assert "pie" not in content, path
            assert str(bot.mira.id) not in content, path
        assert "keep me" in files[0].read_text(encoding="utf-8")
        data = store.workspace.data
        assert not list(data.rglob("*.html"))
        assert not list((data / "evaluation").rglob("*.jsonl"))
        kept = json.loads((data / "evaluation" / "voice-1" / "report.json").read_text(encoding="utf-8"))
        assert kept["match"] == 71
        assert not kept["samples"], "the figures stay, the quotations go"
        assert sorted(path.name for path in (data / "blind_tests").rglob("*.*")) == ["ann.json", "key.json"]
        manifest = json.loads((store.workspace.finetuned_models / "voice-1.json").read_text(encoding="utf-8"))
        assert manifest["provenance"]["retrain_due"]["reason"] == "a member was forgotten"
        assert all("pie" not in json.dumps(entry.details) for entry in store.playground.history())
        await bot.mira.send(bot.general, "again")
        assert store.messages.count() == 1
        assert not any("pie" in turn.text for turn in _live(bot))
        assert "Retrain due" in await answer(bot, bot.admin, "!status")
        assert all(row.author_name != "mira" or row.author_id == bot.mira.id for row in store.activity.recent())

    play(store, scene)


def _live(bot: SimBot) -> list[Turn]:
    return bot.responder.observed[-1] if bot.responder.observed else []


def _copies(store: Store, member_id: int) -> list[Any]:
    """A prepared row, an export, a log line and a report that hold the member's words."""
    folder = store.workspace.message_files / "prepared-1"
    folder.mkdir(parents=True)
    rows = [
        {"id": 1, "author_id": 5, "context": [{"name": "tam", "text": "keep me"}], "reply": "keep me"},
        {"id": 2, "author_id": 5, "context": [{"name": "mira", "text": "my secret pie recipe"}], "reply": "nice"},
        {"id": 3, "author_id": member_id, "context": [], "reply": "my secret pie recipe"},
    ]
    prepared = folder / "train.jsonl"
    prepared.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    export = store.workspace.message_files / "export.json"
    export.write_text(
        json.dumps(
            {
                "messages": [
                    {"id": "9", "author": {"id": str(member_id), "name": "mira"}, "content": "my secret pie recipe"},
                    {"id": "10", "author": {"id": "5", "name": "tam"}, "content": "hm"},
                ]
            }
        ),
        encoding="utf-8",
    )
    log = store.workspace.logs / "bot.log"
    log.write_text(f"[2026-01-01 00:00:00] [INFO] [bot] seen mira ({member_id})\n", encoding="utf-8")
    models = store.workspace.finetuned_models
    (models / "current.json").write_text(json.dumps({"file": "voice-1.gguf", "previous": None}), encoding="utf-8")
    (models / "voice-1.json").write_text(
        json.dumps({"name": "voice-1", "sha256": "x", "provenance": {"data": "d"}}), encoding="utf-8"
    )
    question = store.playground.ask("what do you know")
    store.playground.answer(
        question, "stuff", details={"recalled": [{"message_id": 3, "name": "mira", "text": "my secret pie recipe"}]}
    )
    return [prepared, export, log, *_quotations(store)]


def _quotations(store: Store) -> list[Any]:
    """Pages quote members without saying who said what; one evaluation and one blind test."""
    evaluation, quiz = store.workspace.data / "evaluation", store.workspace.data / "blind_tests" / "q"
    writers = [{"memory": {"examples": [{"reply": "pie", "source": "my secret pie recipe"}]}}]
    report = {"match": 71, "samples": [{"context": [["mira", "hi"]], "replies": {"people": "pie"}}], "writers": writers}
    texts = {
        evaluation / "voice-1" / "report.json": json.dumps(report),
        evaluation / "voice-1" / "report.html": "<p>my secret pie recipe</p>",
        evaluation / "old" / "answers" / "voice-0-0.jsonl": '{"row_id": "3", "text": "pie"}',
        evaluation / "answers" / "voice-1-0.jsonl": '{"row_id": "3", "text": "my secret pie recipe"}',
        store.workspace.message_files / "prepared-1" / "report.html": "<p>pie</p>",
        quiz / "quiz.json": '{"items": ["my secret pie recipe"]}',
        quiz / "blind-test.html": "pie",
        quiz / "key.json": "{}",
        quiz / "results" / "ann.json": "{}",
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [evaluation / "voice-1" / "report.json"]
