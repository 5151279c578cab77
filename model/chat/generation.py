"""A reply while it is being written, and replies remembered for identical requests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from data.chat.spoken import thought_mark
from model.chat.reply_queue import QueuedReply
from model.chat.requests import Reply, ReplyRequest, StopReason
from model.chat.sampling import ReplyText, Sampler
from model.draft_scorer import DraftScorer, lines_before
from model.llama_cpp_api import NativeModel

_REMEMBERED = 64


@dataclass
class RunningReply:
    """What is known of a reply so far, or of one of its drafts. Times are readings of the model's clock. limit: tokens
    it may have besides thoughts; longest: with them. sequence: the engine's name of its cells."""

    job: QueuedReply
    sampler: Sampler
    text: ReplyText
    prompt_tokens: int
    prefilled_tokens: int
    started_at: float
    limit: int
    longest: int
    sequence: Hashable
    first_token_at: float = 0.0
    tokens: int = 0
    thought_tokens: int = 0
    next_token: int = 0
    stop: StopReason | None = None

    @property
    def is_fork(self) -> bool:
        """A further draft, in cells beside its channel's own."""
        return self.sequence != self.channel_id

    @property
    def channel_id(self) -> int:
        """The channel whose conversation is answered."""
        return self.job.request.channel_id

    def draw(self, native: NativeModel, row: int, *, now: float) -> None:
        """Draw the next token from a row of the last batch; `stop` is set when the reply is complete."""
        token = native.sample(self.sampler.chain, row)
        self.sampler.drawn(token)
        self.first_token_at = self.first_token_at or now
        self.next_token = token
        if native.is_end(token):
            self.stop = "stop"
            return
        self.tokens += 1
        is_complete = self.text.add(native.piece(token) or thought_mark(native.token_text(token)).encode())
        if self.job.request.on_text is not None and not self.is_fork:
            self.job.request.on_text(self.text.text)
        if is_complete:
            self.stop = "stop"
            return
        self.thought_tokens += self.text.is_thinking
        if self.tokens - self.thought_tokens >= self.limit or self.tokens >= self.longest:
            self.stop = "length"

    def reply(self, *, now: float) -> Reply:
        """The finished reply."""
        asked = self.job.submitted_at
        return Reply(
            self.text.text,
            self.prompt_tokens,
            self.prefilled_tokens,
            self.tokens,
            ((self.first_token_at or now) - asked) * 1000,
            (now - asked) * 1000,
            self.stop or "stop",
            (self.started_at - asked) * 1000,
        )


NO_SCORER = "one draft: this model has no scorer yet; evaluate it once"
TOO_SLOW = "one draft: this computer or model cannot write several about as quickly as one"
OTHERS_WAIT = "one draft: others were waiting"


@dataclass
class DraftGroup:
    """The drafts of one reply, usually one. note: why there is only one where several were asked for."""

    note: str = ""
    drafts: list[RunningReply] = field(default_factory=list)

    @property
    def is_written(self) -> bool:
        """Every draft has ended."""
        return all(draft.stop for draft in self.drafts)

    def choose(self, scorer: DraftScorer | None) -> RunningReply:
        """The draft to say. What would not be sent, or says nothing, is taken only where nothing else was written; a
        reply that was cut off is cut off, whatever was complete by then."""
        first = next((draft for draft in self.drafts if draft.stop == "cancelled"), self.drafts[0])
        if len(self.drafts) == 1 or scorer is None or first.stop == "cancelled":
            return first
        request = first.job.request
        spoken = [draft for draft in self.drafts if draft.text.text.strip()]
        allowed = [draft for draft in spoken if request.is_sayable is None or request.is_sayable(draft.text.text)]
        candidates = allowed or spoken or [first]
        texts = [draft.text.text for draft in candidates]
        return candidates[scorer.choose(lines_before(request.conversation), texts, seed=request.options.seed)]

    def reply(self, chosen: RunningReply, *, now: float) -> Reply:
        """The finished reply, with how it was chosen."""
        count = len(self.drafts)
        return replace(chosen.reply(now=now), chosen=f"the best of {count} drafts" if count > 1 else self.note)


def never_begun(job: QueuedReply, *, now: float) -> Reply:
    """The reply of a job that was cancelled before its first token."""
    return Reply("", 0, 0, 0, 0.0, (now - job.submitted_at) * 1000, "cancelled")


class ReplyMemory:
    """Replies to identical requests, for owners who switched the response cache on (`reuse_seconds` of a request)."""

    def __init__(self) -> None:
        self._replies: OrderedDict[object, tuple[float, Reply]] = OrderedDict()

    def find(self, request: ReplyRequest, *, now: float) -> Reply | None:
        """The finished reply to the same request, if it is recent enough for that request."""
        if request.reuse_seconds <= 0:
            return None
        known = self._replies.get(_identity(request))
        if known is None or now - known[0] > request.reuse_seconds:
            return None
        return replace(known[1], is_cached=True, prefilled_tokens=0, first_token_ms=0.0, total_ms=0.0, queued_ms=0.0)

    def keep(self, request: ReplyRequest, reply: Reply, *, now: float) -> None:
        """Remember a reply that ended of its own accord; the oldest one gives way."""
        if request.reuse_seconds <= 0 or reply.stop_reason != "stop" or not reply.text.strip():
            return  # who got nothing may ask again
        self._replies[_identity(request)] = (now, reply)
        while len(self._replies) > _REMEMBERED:
            self._replies.popitem(last=False)

    def clear(self) -> None:
        """Forget every reply: the model or its settings changed."""
        self._replies.clear()


def _identity(request: ReplyRequest) -> object:
    return request.conversation, request.system_prompt, request.options
