"""The one gate: everything the bot sends goes through here.

Never empty, never over Discord's limit, never a control token or a secret, never a ping but for the person
answered. Style is left alone. `prepare` is pure; `Outbox` sends, with pauses a person would make.

The order matters: first everything that may be taken out is taken out until nothing more is, then the result is
checked, disguises taken off for the look only, and what is about to leave is checked once more, burst by burst.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import aiohttp
import discord

from data.chat.spoken import Speakers, spoken
from storage.masking.credentials import find_tokens, redact
from storage.masking.mask import mask
from storage.settings import BLOCKED_WORDS, MASK_REPLIES, SUPPRESS_LINKS, Settings
from storage.text import bare, folded, visible

log = logging.getLogger(__name__)

MAX_LENGTH = 2000  # docs.discord.com, resource "Message", Create Message
MAX_BURSTS = 5
SEND_ATTEMPTS = 3
# After Discord refused to let the bot write (403), a channel is left alone for this long.
PAUSE_SECONDS = 600.0
_UNKNOWN_REPLY = 50035  # "Invalid Form Body", here: the message replied to is gone
_FIRST_PAUSE, _PAUSE_PER_CHARACTER, _LONGEST_PAUSE = 0.7, 0.035, 4.0

# Control strings of the chat templates in the catalogue (ChatML, Llama 2 and 3, Gemma, Mistral, Phi, DeepSeek).
_CONTROL = re.compile(
    r"<[|｜][^\s|｜<>]{1,40}[|｜]>|<(?:/?s|bos|eos|pad|unk|start_of_turn|end_of_turn|end_of_utterance)>"
    r"|\[/?INST\]|<</?SYS>>"
)
# Marks of Discord's own formatting: "f**o**o" is read as foo.
_FORMATTING = str.maketrans("", "", "*_~|`\\")
# Links are made inert in their own way.
_NOT_MASKED = frozenset({"invite"})
_INVITE = re.compile(r"(discord(?:app)?)\s*\.\s*(gg|me|io|com(?=\s*/\s*invite))", re.IGNORECASE)
_MASKED_LINK = re.compile(r"\[([^\]\n]{1,300})\]\(\s*<?(https?://[^\s)>]+)>?[^)\n]*\)", re.IGNORECASE)
_BARE_LINK = re.compile(r"(?<![<\w])(https?://[^\s<>]+)(?!>)", re.IGNORECASE)
_FENCE = "```"


NOBODY = Speakers()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What will be sent: one message per entry, in order."""

    bursts: tuple[str, ...]
    has_previews: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing is sent."""

    reason: str


def prepare(
    text: str, settings: Settings, *, secrets: Collection[str] = (), speakers: Speakers = NOBODY
) -> Outgoing | Refused:
    """What of a reply may be sent. secrets: strings that must never leave, such as the bot's token. speakers: whose
    lines it must not go on with, and which names it must not begin with."""
    text = clean(spoken(text, speakers))
    if is_blank(text):
        return Refused("empty reply")
    if _holds_secret(text, secrets):
        return Refused(_SECRET)
    word = blocked_word(text, settings[BLOCKED_WORDS])
    if word:
        return Refused(f"reply held a blocked word ({word})")
    if settings[MASK_REPLIES]:
        text, _ = mask(text, keep=_NOT_MASKED)
    if settings[SUPPRESS_LINKS]:
        text = without_live_links(text)
    bursts = tuple(burst for burst in into_bursts(text) if not is_blank(burst))
    if any(_CONTROL.search(seen) for burst in bursts for seen in (burst, bare(burst))):
        return Refused("reply held a control string in disguise")
    if any(_holds_secret(burst, secrets) for burst in bursts):
        return Refused(_SECRET)
    return Outgoing(bursts, not settings[SUPPRESS_LINKS]) if bursts else Refused("empty reply")


_SECRET = "reply held something that looks like a secret"


def clean(text: str) -> str:
    """Valid Unicode without control strings, control characters and invisible marks; otherwise untouched."""
    # To a fixed point: what is removed may have kept the halves of a control string apart.
    text = text.encode("utf-8", "ignore").decode("utf-8")
    while (shorter := _CONTROL.sub("", visible(text))) != text:
        text = shorter
    return text.strip()


def is_blank(text: str) -> bool:
    """True for a text Discord would refuse or nobody could see."""
    return all(
        c.isspace() or unicodedata.category(c) in ("Cf", "Zs", "Zl", "Zp") or c in "\u3164\uffa0\u2800" for c in text
    )


def blocked_word(text: str, words: str) -> str:
    """The first of the comma-separated words that stands in the text, '' when none does."""
    shown = (folded(text), folded(text.translate(_FORMATTING)))
    for word in filter(None, (part.strip() for part in words.split(","))):
        pattern = re.compile(rf"(?<!\w){re.escape(folded(word))}(?!\w)")
        if any(pattern.search(text) for text in shown):
            return word.casefold()
    return ""


def without_live_links(text: str) -> str:
    """No previews, no hidden targets, no invites that work at a click."""
    text = _INVITE.sub(r"\1[.]\2", text)
    text = _MASKED_LINK.sub(r"\1 (<\2>)", text)
    return _BARE_LINK.sub(r"<\1>", text)


def into_bursts(text: str) -> list[str]:
    """Lines as messages of their own, as people send them; code blocks stay whole, a long rest goes into the last."""
    if _FENCE in text:
        parts = [text]
    else:
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        parts = lines if len(lines) <= MAX_BURSTS else [*lines[: MAX_BURSTS - 1], "\n".join(lines[MAX_BURSTS - 1 :])]
    return [piece for part in parts for piece in _pieces(part)][:MAX_BURSTS]


def _pieces(text: str) -> list[str]:
    pieces = []
    while len(text) > MAX_LENGTH:
        cut = max(text.rfind(" ", 0, MAX_LENGTH), text.rfind("\n", 0, MAX_LENGTH))
        cut = cut if cut > MAX_LENGTH // 2 else MAX_LENGTH
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    return [*pieces, text]


def pause_before(text: str) -> float:
    """Seconds a person needs to type a further message."""
    return min(_FIRST_PAUSE + _PAUSE_PER_CHARACTER * len(text), _LONGEST_PAUSE)


def _holds_secret(text: str, secrets: Collection[str]) -> bool:
    return any(
        any(secret and secret in seen for secret in secrets) or bool(find_tokens(seen)) for seen in (text, bare(text))
    )


class Outbox:
    """Sends prepared texts. Remembers which channels refuse, and which messages make up one reply."""

    def __init__(
        self,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._paused: dict[int, float] = {}
        self._groups: dict[int, tuple[int, ...]] = {}

    def resume(self, channel_id: int | None = None) -> None:
        """Permissions changed in a channel (None: somewhere): a refusal of before says nothing any more."""
        if channel_id is None:
            self._paused.clear()
        else:
            self._paused.pop(channel_id, None)

    def paused_reason(self, channel_id: int) -> str:
        """Why the channel is left alone at the moment, '' when it is not."""
        until = self._paused.get(channel_id)
        if until is None:
            return ""
        if self._clock() >= until:
            del self._paused[channel_id]
            return ""
        return "paused: Discord does not let the bot write here"

    async def reply(
        self,
        target: discord.Message | discord.PartialMessage,
        outgoing: Outgoing,
        *,
        answered_id: int,
        is_reference: Callable[[], bool],
        ended_by: Callable[[], Awaitable[str]],
        on_sent: Callable[[discord.Message], None],
    ) -> str:
        """Send the bursts, the first as a reply to `target` when the talk has moved on; returns why it ended early.

        ended_by is asked before each message and names what ends the reply, if anything does. on_sent hears of
        each message as soon as it is out, whatever becomes of the rest.
        """
        mentions = discord.AllowedMentions(
            everyone=False, roles=False, replied_user=False, users=[discord.Object(answered_id)]
        )
        ids: tuple[int, ...] = ()
        for number, text in enumerate(outgoing.bursts):
            if number:
                await self._type(target.channel, pause_before(text))
            problem = await ended_by()
            if problem:
                return problem
            reference = target.to_reference(fail_if_not_exists=False) if number == 0 and is_reference() else None
            message, problem = await self._send(target.channel, text, mentions, reference, outgoing.has_previews)
            if message is None:
                return problem
            ids = (*ids, message.id)
            self._groups |= dict.fromkeys(ids, ids)
            on_sent(message)
        return ""

    async def say(self, channel: discord.abc.Messageable, text: str) -> discord.Message | None:
        """One plain message without any ping (answers to commands, news about jobs)."""
        message, _ = await self._send(channel, shortened(text), discord.AllowedMentions.none(), None)
        return message

    async def speak(self, channel: discord.abc.Messageable, outgoing: Outgoing) -> tuple[list[discord.Message], str]:
        """Prepared bursts that answer nobody and ping nobody; what is out, and why the rest is not."""
        sent: list[discord.Message] = []
        for number, text in enumerate(outgoing.bursts):
            if number:
                await self._type(channel, pause_before(text))
            message, problem = await self._send(
                channel, text, discord.AllowedMentions.none(), None, outgoing.has_previews
            )
            if message is None:
                return sent, problem
            sent.append(message)
            ids = tuple(each.id for each in sent)
            self._groups |= dict.fromkeys(ids, ids)
        return sent, ""

    def parts_of(self, message_id: int) -> tuple[int, ...]:
        """All messages of the reply this one belongs to."""
        return self._groups.get(message_id, (message_id,))

    async def take_back(self, channel: discord.abc.Messageable, message_ids: Sequence[int]) -> int:
        """Delete own messages; those already gone count as done."""
        done = 0
        for message_id in message_ids:
            try:
                await channel.get_partial_message(message_id).delete()  # type: ignore[attr-defined]
            except discord.NotFound:
                pass
            except (discord.HTTPException, aiohttp.ClientError, OSError) as error:
                log.warning("A message could not be taken back: %s", error)
                continue
            done += 1
        return done

    async def _type(self, channel: discord.abc.Messageable, seconds: float) -> None:
        try:
            await channel.typing()
        except (discord.HTTPException, aiohttp.ClientError, OSError):
            log.debug("No typing indicator", exc_info=True)
        await self._sleep(seconds)

    async def _send(
        self,
        channel: discord.abc.Messageable,
        text: str,
        mentions: discord.AllowedMentions,
        reference: discord.MessageReference | None,
        has_previews: bool = False,
    ) -> tuple[discord.Message | None, str]:
        """The sent message, or why there is none. One log line per failure; what may pass is tried again."""
        place = getattr(channel, "id", 0)
        # Discord answers a nonce it has seen with the message of the first time, so that a message whose answer was
        # lost with the connection is not said twice.
        nonce, problem = secrets.randbits(63), ""
        for attempt in range(SEND_ATTEMPTS):
            try:
                return await channel.send(
                    text,
                    allowed_mentions=mentions,
                    suppress_embeds=not has_previews,
                    nonce=nonce,
                    reference=reference,  # type: ignore[arg-type]  # None is the library's own default
                ), ""
            except discord.Forbidden as error:
                self._paused[place] = self._clock() + PAUSE_SECONDS
                log.warning(
                    "No permission to write in channel %s (%s); paused for %.0f min",
                    place,
                    error.text,
                    PAUSE_SECONDS / 60,
                )
                return None, "no permission to write here"
            except discord.NotFound:
                log.warning("Channel %s is gone", place)
                return None, "the channel is gone"
            except discord.DiscordServerError as error:
                log.warning("Discord answered %s to a message", error.status)
                problem = "Discord had a problem"
                await self._sleep(1.0 + 2.0 * attempt)
            except discord.HTTPException as error:
                if error.code == _UNKNOWN_REPLY and reference is not None:
                    reference = None
                    continue
                log.warning("Discord refused a message: %s %s", error.status, error.text)
                return None, f"Discord refused it ({error.status})"
            except (aiohttp.ClientError, OSError) as error:  # a dropped connection is no OSError of aiohttp's
                log.warning("The connection was lost while a message was sent: %s", type(error).__name__)
                problem = "no connection"
                if attempt + 1 < SEND_ATTEMPTS:
                    await self._sleep(1.0 + 2.0 * attempt)
            # RuntimeError is aiohttp's for a session that was closed meanwhile: the bot is stopping.
            except (discord.ConnectionClosed, discord.RateLimited, RuntimeError) as error:
                log.warning("A message could not be sent: %s", type(error).__name__)
                return None, "no connection"
        return None, problem


def shortened(text: str) -> str:
    """A text for one message: at most Discord's limit, never empty, never with a token or a password in it."""
    text = redact(clean(text)) or "(nothing)"
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 2].rstrip() + " …"
