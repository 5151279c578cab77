"""Stored messages to a data set: one folder with everything training and evaluation need.

Two passes. The first turns messages into sessions on disk (data.session_file); then the split by time and the balance
are decided on a few numbers per turn; the second writes the chosen rows in the order they were said. The folder is made
beside its final name and renamed at the end, so there is a complete data set or none.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from data import balance
from data.chat import quotas
from data.chat.audience import training_sources
from data.chat.conversation import Session, SpokenTurn, context_places, spoken_before, turns_of
from data.chat.recall import recall_query
from data.chat.rows import (
    JUDGED,
    PREFERENCES,
    SESSIONS,
    TEST,
    TRAIN,
    VALIDATION,
    Origin,
    SessionRow,
    SessionTurn,
    TrainingRow,
)
from data.chat.window import MAX_CONTEXT, MIN_CONTEXT
from data.preferences import Candidate
from data.session_file import CountTokens, Stage
from data.sufficiency import shortage
from data.training_recall import Earlier, RecallMemory
from storage.artefacts import MANIFEST, PreparedSet
from storage.errors import BadInputError, StorageError
from storage.jobs.progress import ProgressCallback, silent
from storage.records import Channel, Conversation, Turn
from storage.store import Store
from storage.system.files import remove_file, remove_tree, replace_file

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

# The parts of a data set by number, and beyond them what is left out.
PARTS = ("train", "validation", "test")
_TRAIN, _VALIDATION, _TEST = range(3)
_FILES = (TRAIN, VALIDATION, TEST, SESSIONS)
_ACROSS_BORDER = 3
# A turn is drawn for recalled lines with this chance; where nothing earlier fits it stays without.
_RECALL_CHANCE = 0.45
_MAX_RECALLED, _RECALLED_CHARS = 4, 350
_STAGE_FILE = "sessions.tmp"


@dataclass(frozen=True)
class Options:
    """What the owner may choose. Shares are of the targets, by time; the rest after train and validation is test."""

    gap_minutes: float = 10
    train_share: float = 0.90
    validation_share: float = 0.05
    max_context_tokens: int = 1000
    min_preference_tokens: int = 4
    seed: int = 20
    canaries: bool = False
    delete_after_training: bool = False


@dataclass
class Prepared:
    """A finished first half: rows are written, the folder has not its final name yet."""

    folder: Path
    stage: Stage
    plan: quotas.QuotaPlan
    names: dict[int, str]
    counts: dict[str, int]
    dropped: dict[str, int]
    rows: dict[str, int] = field(default_factory=dict)
    recalled_rows: int = 0
    context_turns: list[int] = field(default_factory=lambda: [0] * (MAX_CONTEXT + 1))
    candidates: list[Candidate] = field(default_factory=list)
    hours: list[int] = field(default_factory=lambda: [0] * 24)
    read_at: float = 0.0


def write_rows(
    store: Store,
    partial: Path,
    *,
    options: Options,
    layout: int,
    count_tokens: CountTokens,
    report: ProgressCallback = silent,
) -> Prepared:
    """train, validation and test rows into the folder `partial`; BadInputError where there is too little for them."""
    read_at = time.time()
    channels = store.channels.trainable()
    if not channels:
        raise BadInputError(
            "No channel may be learnt from yet.",
            "Turn channels on in the panel (a private one needs --include-private), or import with --enable-channels.",
        )
    absent = store.members.absent_ids()
    names = {member.id: member.display_name or member.username or "someone" for member in store.members.all()}
    stage = Stage(partial / _STAGE_FILE)
    stage.fill(
        store,
        channels,
        absent=absent,
        names=names,
        gap_ms=round(options.gap_minutes * 60_000),
        channel_names=store.channels.names(),
        count_tokens=count_tokens,
        report=_part(report, 0.0, 0.5),
    )
    parts = split(stage, options)
    turn_parts = _of_turns(parts, stage)
    is_target = stage.column("is_target").astype(bool)
    plan, chosen = _balanced(stage, is_target & (turn_parts == _TRAIN), options)
    _refuse_nothing(stage, plan, absent)
    chosen |= is_target & ((turn_parts == _VALIDATION) | (turn_parts == _TEST))
    _refuse_too_little(stage, plan, turn_parts, chosen, is_target, options)
    prepared = Prepared(
        partial, stage, plan, names, dict(stage.counts), _dropped(stage, store, channels, is_target, turn_parts, plan)
    )
    prepared.read_at = read_at
    _Writer(prepared, channels, parts, chosen, options, layout).write(_part(report, 0.5, 1.0))
    remove_file(partial / _STAGE_FILE)
    return prepared


def split(stage: Stage, options: Options) -> np.ndarray:
    """The part of each session (0 train, 1 validation, 2 test, 3 left out), by the time it began.

    Whole sessions; two that a reply joins across a border would carry one conversation into both parts, so
    the later one is left out.
    """
    import numpy as np

    starts, units = stage.column("starts"), stage.column("units")
    if not len(starts):
        return np.empty(0, dtype=np.int8)
    bounds = np.append(stage.column("first_turns"), len(stage.authors))
    running = np.concatenate([[0], np.cumsum(stage.column("is_target"), dtype=np.int64)])
    targets = running[bounds[1:]] - running[bounds[:-1]]
    order = np.argsort(starts, kind="stable")
    done = np.cumsum(targets[order]) - targets[order]
    total = max(int(targets.sum()), 1)
    ordered = np.full(len(order), _TRAIN, dtype=np.int8)
    ordered[done >= total * options.train_share] = _VALIDATION
    ordered[done >= total * (options.train_share + options.validation_share)] = _TEST
    parts = np.empty(len(order), dtype=np.int8)
    parts[order] = ordered
    parts[parts != parts[units]] = _ACROSS_BORDER
    return parts


def finish(prepared: Prepared, out: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest last and give the folder its name; returns the manifest with hash and file sizes.

    What was withdrawn since the messages were read is still in it: the caller sweeps (storage.forgetting) afterwards.
    """
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(prepared.folder.iterdir())
        if path.suffix == ".jsonl"
    }
    combined = hashlib.sha256("".join(f"{name} {entry['sha256']}\n" for name, entry in files.items()).encode())
    complete = {**manifest, "files": files, "hash": combined.hexdigest()}
    (prepared.folder / MANIFEST).write_text(json.dumps(complete, indent=1, ensure_ascii=False), encoding="utf-8")
    old = out.with_name(f".{out.name}.old")
    remove_tree(old)
    if out.exists():
        replace_file(out, old)
    replace_file(prepared.folder, out)
    remove_tree(old)
    return complete


def delete_if_asked(folder: Path, *, model_record: Mapping[str, Any]) -> bool:
    """Delete a data set that was prepared with --delete-after-training, once a model made from it was evaluated.

    model_record: the model's own manifest. Anything but that very data set is left alone, and so is what else lies in
    the folder; True when it went. Nobody else deletes a data set: the evaluation needs it after the training.
    """
    found = PreparedSet.read(folder)
    if found is None or not found.is_deleted_after_training or not found.data_hash:
        return False
    if found.data_hash not in json.dumps(dict(model_record)):
        return False
    remove_file(folder / MANIFEST)  # first: what is left of a deletion cut short is no data set any more
    named = [Path(name).name for name in found.manifest.get("files", ())]
    for name in (*named, *_FILES, PREFERENCES, JUDGED, "report.html"):
        remove_file(folder / name)
    if not any(folder.iterdir()):
        remove_tree(folder)
    return True


def begin(out: Path) -> Path:
    """An empty folder beside `out` to work in; BadInputError when `out` holds something other than a data set."""
    if out.exists() and not out.is_dir():
        raise BadInputError(f"{out} is a file.", "Choose another folder with --out.")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise BadInputError(f"{out} holds files that are not a data set.", "Choose another folder with --out.")
    partial = out.with_name(f".{out.name}.partial")
    remove_tree(partial)
    partial.mkdir(parents=True)
    return partial


def describe(
    prepared: Prepared,
    options: Options,
    store: Store,
    *,
    layout: int,
    system_prompt: str,
    tokenizer: str,
    own_name: str,
    canaries: Sequence[Mapping[str, Any]],
    pairs: Mapping[str, Any],
) -> dict[str, Any]:
    """The manifest without hash and files: what is in the folder, what is not, and on whose consent it rests."""
    plan, stage = prepared.plan, prepared.stage
    shares = [
        {
            "author_id": author,
            "name": prepared.names.get(author, "someone"),
            "targets": plan.counts[author],
            "quota": plan.quotas[author],
            "kept": plan.kept[author],
            "before": round(plan.share_before(author), 5),
            "after": round(plan.share_after(author), 5),
        }
        for author in sorted(plan.counts, key=lambda author: (-plan.counts[author], author))
    ]
    return {
        "format": 1,
        "made_at": time.time(),
        # What was said otherwise since is left out when the set is used (data/withdrawn_rows.py).
        "read_at": prepared.read_at,
        "layout": layout,
        "system_prompt": system_prompt,
        "tokenizer": tokenizer,
        "own_name": own_name,
        "counts": {
            **prepared.rows,
            "authors": len(plan.counts),
            "sessions": len(stage.offsets),
            "turns": len(stage.authors),
            "messages": prepared.counts.get("kept", 0),
            "with_recalled": prepared.recalled_rows,
            "preferences": pairs.get("pairs", 0),
            "taught": sum(pairs.get("taught", {}).values()),
        },
        "dropped": prepared.dropped,
        "masked": dict(stage.masked),
        "ceiling": plan.ceiling,
        "shares": shares,
        "preferences": dict(pairs),
        "first_message_id": stage.first_id,
        "last_message_id": stage.last_id,
        "options": asdict(options),
        "canaries": [dict(canary) for canary in canaries],
        "has_canaries": bool(canaries),
        "delete_after_training": options.delete_after_training,
        # Whose lines an evaluation may recall in which channel: as here, so there.
        "recall_sources": {str(target): ids for target, ids in training_sources(store.channels.trainable()).items()},
        "members": sorted(set(stage.authors) & prepared.names.keys()),
        "consents": [asdict(consent) for consent in store.consents.all()],
    }


def disk_full(error: OSError, out: Path) -> StorageError:
    """A sentence for an OSError while a data set was written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"The disk of {out} is full. Nothing of the data set was kept.", "Free some space.")
    return StorageError(f"The data set could not be written to {out} ({error}).", "Choose another folder with --out.")


class _Writer:
    """The second pass: sessions in the order they began, rows of the chosen turns."""

    def __init__(
        self,
        prepared: Prepared,
        channels: Sequence[Channel],
        parts: np.ndarray,
        chosen: np.ndarray,
        options: Options,
        layout: int,
    ) -> None:
        import numpy as np

        self._prepared, self._options, self._layout = prepared, options, layout
        self._sources = {target: frozenset(ids) for target, ids in training_sources(channels).items()}
        self._parts, self._chosen = parts, chosen
        random = np.random.default_rng(options.seed + 1)
        turns = len(prepared.stage.authors)
        self._sizes = random.integers(MIN_CONTEXT, MAX_CONTEXT + 1, turns)
        self._recall = np.where(random.random(turns) < _RECALL_CHANCE, random.integers(1, _MAX_RECALLED + 1, turns), 0)
        self._memory = RecallMemory()
        self._ended: list[tuple[int, int, list[Earlier]]] = []
        self._files: list[IO[bytes]] = []
        self._train_bytes = 0
        self._voiced: Counter[int] = Counter()

    def write(self, report: ProgressCallback) -> None:
        stage, prepared = self._prepared.stage, self._prepared
        order = stage.column("starts").argsort(kind="stable").tolist()
        written = [0, 0, 0]
        self._files = [open(prepared.folder / name, "wb") for name in _FILES]  # noqa: SIM115 - closed below
        try:
            for done, (number, session, tokens) in enumerate(stage.read(order)):
                part = int(self._parts[number])
                if part <= _TEST:
                    self._recall_until(session.start_ms)
                    written[part] += self._session(session, tokens, part, stage.first_turns[number])
                    if part == _TRAIN:
                        self._whole_session(session, stage.first_turns[number])
                    self._remember(session)
                if done % 256 == 0:
                    report(done / len(order), "Writing examples", done=sum(written), unit="examples")
        finally:
            for file in self._files:
                file.close()
        prepared.rows = dict(zip(PARTS, written, strict=True))
        report(1.0, "Writing examples", done=sum(written), unit="examples")

    def _session(self, session: Session, tokens: list[int], part: int, first_turn: int) -> int:
        places = session.places()
        written = 0
        for number, target in enumerate(session.turns):
            index = first_turn + number
            if not self._chosen[index]:
                continue
            place = len(session.carried) + number
            context = context_places(session, place, size=int(self._sizes[index]), places=places)
            spoken = spoken_before(session, place, self._fitting(context, tokens), places=places)
            turns = self._turns(spoken, target.author_id)
            recalled = self._recalled(session.channel_id, turns, int(self._recall[index]))
            lines = tuple(Turn(line.name, line.text) for line in recalled)
            self._row(session, target, Conversation(turns, lines), _origin([*spoken, target], recalled), part)
            written += 1
        return written

    def _whole_session(self, session: Session, first_turn: int) -> None:
        """The conversation with the bot in one speaker's place: whoever it stood for least so far, so that it learns
        everybody's voice and nobody's in particular."""
        learnt = [bool(self._chosen[first_turn + number]) for number in range(len(session.turns))]
        speakers = sorted({turn.author_id for turn, kept in zip(session.turns, learnt, strict=True) if kept})
        if not speakers:
            return
        voice = min(speakers, key=lambda author: (self._voiced[author], author))
        turns = []
        for turn, kept in zip(session.all_turns, [False] * len(session.carried) + learnt, strict=True):
            is_own = turn.author_id == voice
            self._voiced[voice] += is_own and kept
            # What is learnt is said in words; a picture is context only.
            text = turn.said if kept else turn.text
            turns.append(SessionTurn(self._name(turn.author_id), text, is_own, kept))
        row = SessionRow(str(session.unit), session.channel_id, tuple(turns), _origin(session.all_turns, []))
        self._files[len(PARTS)].write(row.to_json().encode())

    def _name(self, author_id: int) -> str:
        return self._prepared.names.get(author_id, "someone")

    def _fitting(self, context: list[int], tokens: list[int]) -> list[int]:
        """The newest turns that fit; the oldest go first."""
        total = sum(tokens[place] for place in context)
        while context and total > self._options.max_context_tokens:
            total -= tokens[context[0]]
            context = context[1:]
        return context

    def _row(self, session: Session, target: SpokenTurn, conversation: Conversation, origin: Origin, part: int) -> None:
        row = TrainingRow(
            id=str(target.id),
            channel_id=session.channel_id,
            author_id=target.author_id,
            timestamp=target.start_ms,
            session=str(session.unit),
            conversation=conversation,
            reply=target.said,
            layout=self._layout,
            origin=origin,
        )
        line = row.to_json().encode()
        self._files[part].write(line)
        self._note(target, part, len(line), len(conversation.turns), bool(conversation.recalled))

    def _note(self, target: SpokenTurn, part: int, size: int, context_turns: int, has_recalled: bool) -> None:
        prepared = self._prepared
        prepared.recalled_rows += has_recalled
        if part != _TRAIN:
            return
        prepared.context_turns[min(context_turns, MAX_CONTEXT)] += 1
        prepared.hours[target.start_ms // 3_600_000 % 24] += 1
        if target.score:
            prepared.candidates.append(Candidate(self._train_bytes, target.score))
        self._train_bytes += size

    def _turns(self, spoken: Sequence[SpokenTurn], author_id: int) -> tuple[Turn, ...]:
        """The context as the prompt shows it, with the author in the bot's place."""
        return turns_of(
            spoken,
            name_of=self._name,
            is_self=lambda turn: turn.author_id == author_id,
        )

    def _recalled(self, channel_id: int, spoken: tuple[Turn, ...], wanted: int) -> list[Earlier]:
        if not wanted or not spoken:
            return []
        said = [turn.text for turn in spoken]
        sources = self._sources.get(channel_id, frozenset())
        found = self._memory.find(recall_query(spoken), sources=sources, limit=wanted, exclude=said)
        room = _RECALLED_CHARS
        kept = []
        for line in found:
            room -= len(line.text) + len(line.name)
            if room >= 0:
                kept.append(line)
        return kept

    def _remember(self, session: Session) -> None:
        name = self._prepared.names
        lines = [
            Earlier(
                session.channel_id,
                name.get(turn.author_id, "someone"),
                turn.said,
                (turn.author_id, *turn.ids),
                tuple(turn.mentions),
            )
            for turn in session.turns
            if turn.said and not turn.is_own
        ]
        heapq.heappush(self._ended, (session.end_ms, session.number, lines))

    def _recall_until(self, moment_ms: int) -> None:
        """Only conversations that were over when this one began can have been remembered."""
        while self._ended and self._ended[0][0] < moment_ms:
            for line in heapq.heappop(self._ended)[2]:
                self._memory.add(line)


def _balanced(stage: Stage, candidates: np.ndarray, options: Options) -> tuple[quotas.QuotaPlan, np.ndarray]:
    import numpy as np

    places = np.flatnonzero(candidates)
    authors = stage.column("authors")[places]
    ids, counts = np.unique(authors, return_counts=True)
    plan = quotas.plan(dict(zip(ids.tolist(), counts.tolist(), strict=True)))
    boosts = balance.boosts(stage.column("reactions")[places])
    chosen = np.zeros(len(candidates), dtype=bool)
    chosen[places[balance.draw(authors, boosts, plan.kept, seed=options.seed)]] = True
    return plan, chosen


def _of_turns(parts: np.ndarray, stage: Stage) -> np.ndarray:
    import numpy as np

    bounds = np.append(stage.column("first_turns"), len(stage.authors))
    return np.repeat(parts, np.diff(bounds))


def _refuse_nothing(stage: Stage, plan: quotas.QuotaPlan, absent: frozenset[int]) -> None:
    if not stage.counts["read"]:
        raise BadInputError("There are no messages in the channels to learn from.", "Fetch or import some first.")
    if not plan.counts and absent and stage.counts["absent member"]:
        raise BadInputError(
            "Everybody who wrote in these channels has opted out or is excluded.",
            "There is nothing to learn from; choose other channels.",
        )
    if not plan.counts:
        raise BadInputError("No message in the channels to learn from has words.", "Choose other channels.")
    if len(plan.counts) == 1:
        raise BadInputError(
            "All messages to learn from are by one person: the result would imitate that person, not a server.",
            "Choose more channels, or wait until others have written something.",
        )


def _refuse_too_little(
    stage: Stage,
    plan: quotas.QuotaPlan,
    turn_parts: np.ndarray,
    chosen: np.ndarray,
    is_target: np.ndarray,
    options: Options,
) -> None:
    """Before a row is written: a set that is no use must not look like one."""
    missing = shortage(
        {name: int((chosen & (turn_parts == part)).sum()) for part, name in enumerate(PARTS)},
        plan,
        sessions=len(stage.offsets),
        across_border=int((is_target & (turn_parts == _ACROSS_BORDER)).sum()),
        wanted={
            "train": True,
            "validation": options.validation_share > 0,
            "test": options.train_share + options.validation_share < 1,
        },
    )
    if missing is not None:
        raise BadInputError(missing.what, missing.cure)


def _dropped(
    stage: Stage,
    store: Store,
    channels: Sequence[Channel],
    is_target: np.ndarray,
    turn_parts: np.ndarray,
    plan: quotas.QuotaPlan,
) -> dict[str, int]:
    ids = {channel.id for channel in channels}
    elsewhere = sum(count for channel, count in store.messages.counts_by_channel().items() if channel not in ids)
    return {
        "messages in channels not learnt from": elsewhere,
        "messages of members who are left out": stage.counts["absent member"],
        "messages without content": stage.counts["without content"],
        "turns without words (pictures, stickers), context only": int((~is_target).sum()),
        "turns of conversations across a border": int((is_target & (turn_parts == _ACROSS_BORDER)).sum()),
        "turns above an author's quota, context only": plan.total_before - plan.total_after,
    }


def _origin(turns: Sequence[SpokenTurn], recalled: Sequence[Earlier]) -> Origin:
    """Whose turns stand in a row, and from which messages: an erasure finds it whatever anybody is called now."""
    sources = [*((turn.author_id, *turn.ids) for turn in turns), *(line.source for line in recalled)]
    named = [*(turn.mentions for turn in turns), *(line.mentions for line in recalled)]
    return Origin(tuple(sources), tuple(sorted({number for numbers in named for number in numbers})))


def _part(report: ProgressCallback, start: float, end: float) -> Callable[..., None]:
    def told(fraction: float, step: str = "", *, done: int | None = None, unit: str = "") -> None:
        report(start + (end - start) * fraction, step, done=done, unit=unit)

    return told


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
