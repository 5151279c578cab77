"""Commands, each usable as `!name` and as `/name` from one definition.

Admins are the ids in ADMIN_USERS, checked on every call. Ranges, defaults and help come from the settings registry.
Every sentence goes out through the outbox's rules: no ping, never too long.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from subprocess import Popen
from typing import TYPE_CHECKING, Any, TypeVar

import discord
from discord import app_commands
from discord.ext import commands

from bot.command_groups import CommandGroup, Context, NotAdminError, hybrid
from bot.command_limits import limited
from bot.command_texts import (
    CHANNEL_WORDS,
    access_text,
    botdata_text,
    channel_list_text,
    forgotten_text,
    help_text,
    job_text,
    setting_text,
    status_text,
    why_text,
)
from bot.config import PREFIX, parse_duration
from bot.handlers import Handlers
from bot.outbox import Outbox
from storage import policy
from storage.errors import SettingError
from storage.forgetting import forget_member, mark_models
from storage.jobs import runner
from storage.jobs.kinds import JobKind
from storage.quiet_hours import NONE_WORDS, read_quiet_hours
from storage.records import Channel, ExitCode, Job
from storage.settings import (
    MAX_TOKENS,
    MENTIONS_ONLY,
    QUIET_HOURS,
    QUIET_UNTIL,
    REACTION_RATE,
    RESPONSE_RATE,
    TEMPERATURE,
    Setting,
)
from storage.system import processes

if TYPE_CHECKING:
    from bot.services import Services

T = TypeVar("T")
log = logging.getLogger(__name__)

JOB_POLL_SECONDS = 2.0


def admin_only() -> Callable[[T], T]:
    """Mark a command as an admin's; refused with a short no."""

    async def check(context: Context) -> bool:
        cog = context.cog
        if isinstance(cog, CommandGroup) and cog.is_admin(context.author.id):
            return True
        raise NotAdminError

    def mark(function: Any) -> Any:
        made = commands.check(check)(function)
        made.extras["admin"] = True
        return made

    return mark


class AdminCommands(CommandGroup):
    """What owners and members may ask of the bot on Discord."""

    def __init__(self, services: Services, handlers: Handlers, outbox: Outbox) -> None:
        super().__init__(is_admin=lambda user_id: handlers.place.is_admin(user_id))
        self._services = services
        self._store = services.store
        self._handlers = handlers
        self._outbox = outbox
        self._jobs: set[asyncio.Task[None]] = set()

    async def cog_unload(self) -> None:
        """discord.py calls it as the bot closes: nobody waits for a job's end any more."""
        for task in self._jobs:
            task.cancel()

    # ---- settings ---------------------------------------------------------------------------------------

    @admin_only()
    @hybrid(usage="0-1", description="How likely it joins in unasked, 0 to 1 (or 5%)")
    @app_commands.describe(value="0 to 1, or a percentage such as 5%")
    async def setrate(self, context: Context, *, value: str = "") -> None:
        """How likely it joins in unasked."""
        await self._set(context, RESPONSE_RATE, value.strip())

    @admin_only()
    @hybrid(usage="0-1", description="How often it reacts with an emoji, 0 to 1 (or 2%)")
    @app_commands.describe(value="0 to 1, or a percentage such as 2%; 0 is off")
    async def react(self, context: Context, *, value: str = "") -> None:
        """How often it reacts with an emoji."""
        await self._set(context, REACTION_RATE, value.strip())

    @admin_only()
    @hybrid(usage="0-1", description="Temperature: lower is safer, higher is more creative")
    @app_commands.describe(value="0 to 1")
    async def settemp(self, context: Context, *, value: str = "") -> None:
        """How creative it is."""
        await self._set(context, TEMPERATURE, value.strip().replace(",", "."))

    @admin_only()
    @hybrid(usage="50-500", description="Longest reply, in tokens")
    @app_commands.describe(value="50 to 500")
    async def setmaxlen(self, context: Context, *, value: str = "") -> None:
        """Longest reply, in tokens."""
        await self._set(context, MAX_TOKENS, value.strip())

    @admin_only()
    @hybrid(usage="on|off", description="Answer only when named, mentioned or replied to")
    @app_commands.describe(value="on or off")
    async def mentions(self, context: Context, *, value: str = "") -> None:
        """Answer only when named, mentioned or replied to."""
        await self._set(context, MENTIONS_ONLY, value.strip())

    @admin_only()
    @hybrid(
        usage="2h|off|hours 23-7|hours off",
        description="Say nothing for a while, e.g. 30m, 2h, 1d; off ends it; hours 23-7 every day",
    )
    @app_commands.describe(duration="30m, 2h, 1h30m, 1d or off; hours 23:00-07:30 for every day, hours off")
    async def quiet(self, context: Context, *, duration: str = "") -> None:
        """Say nothing for a while, or at the same hours every day."""
        word, _, span = duration.strip().partition(" ")
        if word.lower() == "hours" or _is_span(duration):
            await self._set(context, QUIET_HOURS, span.strip() if word.lower() == "hours" else duration)
            return
        if duration.strip().lower() in ("off", "0"):
            await self._store_setting(context, QUIET_UNTIL, 0.0)
            await self.say(context, "I am listening again.")
            return
        seconds = parse_duration(duration)
        # By Discord's clock, as the messages it is compared with: the computer's may be set meanwhile.
        until = context.message.created_at.timestamp() + seconds
        await self._store_setting(context, QUIET_UNTIL, until)
        await self.say(context, f"Quiet until <t:{int(until)}:t> (`{PREFIX}quiet off` ends it).")

    # ---- looking ----------------------------------------------------------------------------------------

    @admin_only()
    @hybrid(description="How the bot is: model, connection, replies, settings, jobs")
    async def status(self, context: Context) -> None:
        """How the bot is."""
        text = await self._run(status_text, self._store, self._services.status.snapshot(), time.time())
        await self.say(context, text)

    @admin_only()
    @hybrid(description="Why it answered or stayed silent: the replied-to message, or the last one")
    async def why(self, context: Context) -> None:
        """Why it answered or stayed silent (reply to a message, or the last one here)."""
        target = _reference_id(context)
        await self.say(context, await self._run(why_text, self._store, context.channel.id, target))

    @limited
    @hybrid(name="help", description="What you can ask of the bot")
    async def help(self, context: Context) -> None:
        """What you can ask of the bot."""
        is_admin = self.is_admin(context.author.id)
        await self.say(context, help_text(self.offered(context), is_admin=is_admin))

    # ---- running ----------------------------------------------------------------------------------------

    @admin_only()
    @hybrid(description="Restart the bot's process")
    async def restart(self, context: Context) -> None:
        """Restart the bot's process."""
        await self.say(context, "Restarting.")
        self._services.stop.ask(ExitCode.RESTART, f"Restart asked for on Discord by {context.author.id}.")

    @admin_only()
    @hybrid(description="Load the model again (after a new one was deployed)")
    async def reload(self, context: Context) -> None:
        """Load the model again."""
        await self.say(context, "Loading the model; I am silent until it is ready.")
        self._services.slot.reload()
        is_loaded = await self._services.slot.wait_until_settled()
        status = self._services.status.snapshot()
        text = f"Loaded {status.model_name}." if is_loaded else f"Not loaded: {status.model_error}"
        await self._outbox.say(context.channel, text)

    @admin_only()
    @hybrid(description="Fetch what is new in the chosen channels")
    async def fetch(self, context: Context) -> None:
        """Fetch what is new in the chosen channels."""
        await self._start_job(context, JobKind.FETCH)

    @admin_only()
    @hybrid(description="Retrain on the messages collected so far (hours)")
    async def train(self, context: Context) -> None:
        """Retrain on the messages collected so far (hours)."""
        await self._start_job(context, JobKind.RETRAIN)

    @admin_only()
    @hybrid(description="Take back a reply: the replied-to one, or the last one here")
    async def delete(self, context: Context) -> None:
        """Take back a reply of the bot (reply to it, or the last one here)."""
        target = _reference_id(context) or self._handlers.last_own_id(context.channel.id)
        channel: Any = context.channel
        if target is None or not await self._handlers.take_back(channel, target):
            await self.say(context, "That is not a message of mine.")
            return
        await self.say(context, "Taken back.")

    # ---- channels -----------------------------------------------------------------------------------------

    @admin_only()
    @hybrid(
        usage="list | add|remove|enable|disable #channel [learn|recall|speak] [yes] | open|close #channel",
        description="Channels: list, add, remove, enable or disable (learn, recall, speak), open or close",
    )
    @app_commands.describe(
        action="list, add, remove, enable, disable, open (as Discord has it) or close (keep it private)",
        channel="a channel; this one when left out",
        what="learn, recall or speak (all three when left out); 'yes' confirms learning from a private channel",
    )
    async def channels(self, context: Context, action: str = "list", channel: str = "", *, what: str = "") -> None:
        """Which channels it learns from, recalls from and speaks in."""
        action = action.lower()
        if action == "list":
            await self.say(context, await self._run(self._channel_list))
            return
        if action not in ("add", "remove", "enable", "disable", "open", "close"):
            raise commands.UserInputError
        found = self._find_channel(context, channel)
        if found is None:
            raise SettingError(f"There is no channel '{channel[:40]}'.", "Write it as #name, or give its id.")
        if context.guild is not None and action != "remove":
            await self._handlers.access.follow(context.guild)
        words = frozenset(what.lower().replace(",", " ").split())
        await self.say(context, await self._run(self._change_channel, found, action, words, context.author.id))

    # ---- members' rights ----------------------------------------------------------------------------------

    @limited
    @hybrid(description="What the bot learns from and stores, and how to leave")
    async def botdata(self, context: Context) -> None:
        """What it learns from, what it stores, and how to leave."""
        await self.say(context, await self._run(botdata_text, self._store, context.author.id))

    @limited
    @hybrid(description="Leave your messages out of learning and recall from now on")
    async def optout(self, context: Context) -> None:
        """Leave your messages out of learning and recall."""
        await self._run(
            lambda: self._store.members.set_opted_out(
                context.author.id, True, name=context.author.global_name or context.author.name
            )
        )
        await self._run(lambda: mark_models(self._store.workspace, time.time(), reason="a member opted out"))
        await self.say(
            context,
            "Done: your messages are no longer stored, recalled or used for training. What is "
            f"stored already stays unused; `{PREFIX}forgetme` deletes it. `{PREFIX}optin` undoes "
            "this. A model trained earlier only changes when it is retrained.",
        )

    @limited
    @hybrid(description="Let the bot learn from your messages again")
    async def optin(self, context: Context) -> None:
        """Let the bot learn from your messages again."""
        await self._run(
            lambda: self._store.members.set_opted_out(
                context.author.id, False, name=context.author.global_name or context.author.name
            )
        )
        await self.say(context, f"Done: new messages of yours may be learnt from. `{PREFIX}optout` undoes this.")

    @limited
    @hybrid(usage="yes", description="Delete your messages from everything the bot keeps")
    @app_commands.describe(confirm="yes, if you are sure")
    async def forgetme(self, context: Context, confirm: str = "") -> None:
        """Delete your messages from everything it keeps."""
        if confirm.lower() != "yes":
            await self.say(
                context,
                "This deletes your messages from the database, the search index, prepared training "
                "data, exports, test chats, logs and backups here, permanently, and keeps you out of the next "
                f"data set. Type `{PREFIX}forgetme yes` to do it.",
            )
            return
        await context.defer(ephemeral=True)  # large servers take longer than Discord waits for an answer
        self._handlers.forget_author(context.author.id)
        done = await asyncio.to_thread(forget_member, self._store, context.author.id)
        await self.say(context, forgotten_text(done))

    # ---- inner --------------------------------------------------------------------------------------------

    async def _run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await self._services.storage.run(function, *arguments)

    async def _set(self, context: Context, setting: Setting[Any], raw: str) -> None:
        if not raw:
            current = await self._run(self._store.settings.get, setting)
            await self.say(context, setting_text(setting, current))
            return
        value = await self._store_setting(context, setting, raw)
        await self.say(context, f"{setting.label} is now {setting_text(setting, value, is_short=True)}.")

    async def _store_setting(self, context: Context, setting: Setting[T], raw: Any) -> T:
        by = f"discord:{context.author.id}"
        return await self._run(lambda: self._store.settings.set(setting, raw, changed_by=by))

    def _channel_list(self) -> str:
        return channel_list_text(self._store.channels.all())

    def _change_channel(self, found: Channel, action: str, words: frozenset[str], author_id: int) -> str:
        """Carry out `!channels`; what is said about it. Each switch is a switch of its own."""
        channels = self._store.channels
        if action == "remove":
            channels.remove(found.id)
            return f"<#{found.id}> is off the list; what was stored of it stays until it is deleted."
        channels.add([found])
        if action in ("open", "close"):
            channels.switch(found.id, is_private=action == "close")
            return access_text(_required(channels.get(found.id)))
        if not words <= {*CHANNEL_WORDS, "yes"}:
            raise commands.UserInputError
        known = _required(channels.get(found.id))
        names = [name for name in CHANNEL_WORDS if name in words] or list(CHANNEL_WORDS)
        is_on = action in ("add", "enable")
        if is_on and "learn" in names and known.is_private and not known.include_private:
            if "yes" not in words:
                chosen = " ".join(["", *names]) if len(names) < len(CHANNEL_WORDS) else ""
                return (
                    f"{policy.private_channel_text(known.name)} "
                    f"Then write `{PREFIX}channels {action} <#{known.id}>{chosen} yes`."
                )
            policy.allow_private(channels, self._store.consents, known, accepted=True, given_by=f"discord:{author_id}")
        channels.switch(found.id, **dict.fromkeys(names, is_on))
        return f"<#{found.id}>: {', '.join(names)} {'on' if is_on else 'off'}."

    def _find_channel(self, context: Context, text: str) -> Channel | None:
        """By mention, id or name; the current one when nothing is given."""
        guild = context.guild
        if guild is None:
            return None
        number = re.fullmatch(r"<#(\d+)>|(\d+)", text.strip())
        wanted = int(number[1] or number[2]) if number else None
        name = text.strip().lstrip("#").lower()
        for channel in guild.channels:
            if channel.id == (wanted or (context.channel.id if not name else 0)) or (
                name and channel.name.lower() == name
            ):
                return Channel(channel.id, channel.name, kind=channel.type.value, guild_id=guild.id)
        return None

    # ---- jobs -----------------------------------------------------------------------------------------------

    async def _start_job(self, context: Context, kind: str) -> None:
        running = await self._run(self._running_job, kind)
        if running is not None:
            await self.say(
                context, f"A {kind} is already running ({running.progress:.0%}: {running.step or 'starting'})."
            )
            return
        child = await asyncio.to_thread(runner.spawn_job, self._store.workspace, kind, [])
        await self.say(context, f"Started: {kind}. I report here when it ends.")
        task = asyncio.create_task(self._report_job(context.channel, kind, child))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    def _running_job(self, kind: str) -> Job | None:
        """The job of this kind that is at work; rows of killed processes are closed first."""
        self._store.jobs.mark_lost(runs=processes.ran_at, silent_seconds=0.0)
        return next((job for job in self._store.jobs.active() if job.kind == kind), None)

    async def _report_job(self, channel: discord.abc.Messageable, kind: str, child: Popen[bytes]) -> None:
        while child.poll() is None:
            await asyncio.sleep(JOB_POLL_SECONDS)
        job: Job | None = await self._run(self._store.jobs.latest, kind)
        if job is None or job.pid != child.pid:
            # It ended before it could say anything in the database; its last words are in a file.
            words = processes.tail_of(processes.raw_output_file(self._store.workspace, kind), lines=2)
            await self._outbox.say(channel, f"{kind} did not start: {words or f'exit code {child.returncode}'}")
            return
        await self._outbox.say(channel, job_text(job))


def _required(channel: Channel | None) -> Channel:
    assert channel is not None  # added the line before
    return channel


def _is_span(text: str) -> bool:
    """'23-7' after !quiet means every day; a length of time never reads as two times of day."""
    try:
        return text.strip().lower() not in NONE_WORDS and read_quiet_hours(text) is not None
    except SettingError:
        return False


def _reference_id(context: Context) -> int | None:
    reference = context.message.reference if context.interaction is None else None
    return reference.message_id if reference else None
