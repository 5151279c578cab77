"""What commands say: sentences from values, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from discord.ext import commands

from bot.config import PREFIX
from data.chat.audience import opened_channels
from storage import policy
from storage.forgetting import Forgotten, retrain_reason
from storage.jobs.kinds import JobKind
from storage.jobs.results import FetchResult
from storage.people import THREAD_KINDS
from storage.records import Activity, BotStatus, Channel, Job, JobState, ModelState
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, RESPONSE_RATE, TEMPERATURE, Setting
from storage.store import Store

# The three switches of a channel, as they are typed.
CHANNEL_WORDS = ("learn", "recall", "speak")


def setting_text(setting: Setting[Any], value: Any, *, is_short: bool = False) -> str:
    """'0.7', or the whole story with range and default."""
    if setting.type is bool:
        shown = "on" if value else "off"
    elif setting.is_share:
        shown = f"{value * 100:g}%"
    else:
        shown = f"{value:g}" if setting.type is float else str(value) or "off"
    if is_short:
        return shown
    default = setting_text(setting, setting.default, is_short=True)
    return f"{setting.label} is {shown}. {setting.help} Allowed: {setting.range_text}; default {default}."


def status_text(store: Store, status: BotStatus, now: float) -> str:
    """The whole state in a few lines."""
    settings = store.settings.read()
    midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    today = store.activity.totals_since(midnight)
    resting = ", its memory freed until the next reply" if status.is_resting else ""
    model = {
        ModelState.READY: f"{status.model_name} ({status.model_bytes / 1e9:.1f} GB{resting})",
        ModelState.LOADING: "loading",
        ModelState.NONE: "none",
    }.get(status.model_state, status.model_error)
    lines = [
        f"**Up** since <t:{int(status.started_at)}:R>, {status.memory_bytes / 2**20:,.0f} MiB",
        f"**Discord** {'online' if status.is_connected else 'offline'}"
        + (f", {status.latency_ms:.0f} ms" if status.latency_ms is not None else ""),
        f"**Model** {model}; {status.queue_length} waiting",
        f"**Today** {today.spoken:,} replies to {today.seen:,} messages"
        + (f", {today.latency_mean_ms / 1000:.1f} s on average" if today.latency_mean_ms else ""),
        f"**Settings** rate {settings[RESPONSE_RATE]:.0%}, temperature {settings[TEMPERATURE]:g}, at most "
        f"{settings[MAX_TOKENS]} tokens" + (", mentions only" if settings[MENTIONS_ONLY] else ""),
        f"**Stored** {store.messages.count():,} messages from {len(store.messages.counts_by_channel())} channels",
    ]
    lines += [f"**Job** {job.kind}: {job.progress:.0%} {job.step}" for job in store.jobs.active()]
    if reason := retrain_reason(store.workspace):
        lines.append(f"**Retrain due**: {reason} since this model was made.")
    return "\n".join(lines)


def why_text(store: Store, channel_id: int, message_id: int | None) -> str:
    """The stored decision about a message, or about the last one in the channel."""
    if message_id is not None:
        found = store.activity.about(message_id)
        return _why(found) if found else "I know nothing about that message."
    last = next((a for a in store.activity.recent(limit=200) if a.channel_id == channel_id), None)
    return _why(last) if last else "I have not seen a message here yet."


def _why(activity: Activity) -> str:
    what = "Is answering" if activity.is_due else "Answered" if activity.spoke else "Stayed silent"
    text = f"{what} ({activity.author_name}): {activity.reason}."
    if activity.latency_ms is not None:
        text += (
            f" {activity.latency_ms / 1000:.1f} s, {activity.prompt_tokens} prompt tokens "
            f"({activity.prefilled_tokens} computed while waiting), {activity.reply_tokens} written."
        )
    return text


def help_text(known: Iterable[commands.Command[Any, ..., Any]], *, is_admin: bool) -> str:
    """Every command the asker may use, one a line."""
    lines = []
    for command in sorted(known, key=lambda c: c.name):
        if is_admin or not command.extras.get("admin"):
            usage = f" {command.usage}" if command.usage else ""
            lines.append(f"`{PREFIX}{command.name}{usage}` {command.short_doc}")
    return "\n".join([*lines, "All of them work as slash commands too."])


def botdata_text(store: Store, member_id: int) -> str:
    """What a member may know: sources, what is kept, their own part, and the ways out."""
    learning = [c for c in store.channels.all() if c.learn and c.kind not in THREAD_KINDS]
    public = [f"<#{c.id}>" for c in learning if not c.is_private]
    private = sum(c.is_private and c.include_private for c in learning)
    member = store.members.get(member_id)
    own = store.messages.count_by(member_id)
    lines = [
        f"This bot learns from: {', '.join(public) or 'no public channel'}"
        + (f" and {private} private channel{'s' if private > 1 else ''} its owner chose" if private else "")
        + ".",
        "It stores, on its owner's computer only: message texts, display names, times, replies, reactions, and the "
        "names of attachments. A language model is trained on them and may repeat what was said.",
        f"Of you it has {own:,} messages"
        + (", which are left out of everything." if member and member.is_absent else "."),
        f"`{PREFIX}optout` leaves you out from now on, `{PREFIX}optin` undoes it, `{PREFIX}forgetme` deletes your "
        "messages here. A trained model only forgets when it is retrained. Deleting a message on Discord deletes it "
        "here too.",
    ]
    if not policy.is_accepted(store.consents):
        lines.insert(0, "Its owner has not switched collecting on: messages are not stored at the moment.")
    return "\n".join(lines)


def channel_list_text(channels: Sequence[Channel]) -> str:
    """Every channel with its switches, one a line, and below them what Discord opened and the owner should answer."""
    lines = []
    for channel in channels:
        if channel.is_thread:
            continue
        switches = [
            name
            for name, is_on in zip(CHANNEL_WORDS, (channel.learn, channel.recall, channel.speak), strict=True)
            if is_on
        ]
        marks = [
            *(["private by your choice"] if channel.owner_private else ["private"] if channel.is_private else []),
            *(["no access"] if channel.is_access_lost else []),
            *([f"rate {channel.rate:.0%}"] if channel.rate is not None else []),
        ]
        note = f" ({', '.join(marks)})" if marks else ""
        lines.append(f"<#{channel.id}>: {', '.join(switches) or 'off'}{note}")
    asked = [opened_text(channel) for channel in opened_channels(channels)]
    return "\n".join(asked + lines) or "No channels are known yet."


def opened_text(channel: Channel) -> str:
    """The question about a channel that Discord opened."""
    return (
        f"Discord opened <#{channel.id}> to more people. It stays closed here until you answer: "
        f"`{PREFIX}channels close <#{channel.id}>` keeps it closed, `{PREFIX}channels open <#{channel.id}>` opens it."
    )


def access_text(channel: Channel) -> str:
    """What is in force for a channel after the owner opened or closed it, and who may change it."""
    if channel.owner_private:
        return (
            f"<#{channel.id}> is private: what was said there is recalled nowhere else, whatever Discord says. "
            f"`{PREFIX}channels open <#{channel.id}>` undoes this."
        )
    if channel.is_private:
        return (
            f"<#{channel.id}> is closed to some on Discord: what was said there is recalled only in channels whose "
            "readers can all read it. Change its permissions on Discord if that is not what you want."
        )
    return f"<#{channel.id}> is open: what was said there is recalled in channels whose readers can all read it."


def job_text(job: Job) -> str:
    """How a job ended, in a sentence."""
    if job.state is JobState.DONE:
        if job.kind == JobKind.FETCH:
            done = FetchResult.of(job)
            return f"Fetch done: {done.new:,} new, {done.edited:,} edited, {done.deleted:,} deleted messages."
        return f"{job.kind} done."
    if job.state is JobState.CANCELLED:
        return f"{job.kind} was cancelled at {job.progress:.0%}."
    return f"{job.kind} failed: {job.error or 'it stopped unexpectedly'}"


def forgotten_text(done: Forgotten) -> str:
    """What !forgetme did, what is still to come, and what no program here can take back."""
    rest = (
        " The rest follows automatically; it cannot be changed right now: " + " ".join(done.remaining)
        if done.remaining
        else ""
    )
    return (
        f"Deleted: {done.messages:,} messages, {done.files_changed} files changed, backups in this workspace included."
        f"{rest} A model that was trained on your messages keeps what it learnt in its weights until it is "
        "retrained without them; copies that the owner keeps elsewhere are out of my reach."
    )
