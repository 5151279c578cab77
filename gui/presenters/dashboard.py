"""The dashboard: sliders, figures of the last day and week, charts, decisions, targets and running jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gui import texts
from gui.presenters import format as words
from gui.presenters.charts import Bars, Curve, histogram, nice_ceiling, thin
from gui.presenters.plain import plain
from gui.presenters.snapshot import Pulse
from gui.presenters.status import GIGABYTE
from gui.presenters.table import Cell, Column, TableRow
from storage.activity import Totals
from storage.jobs.kinds import JobKind, job_label
from storage.jobs.results import FetchResult, ImportResult
from storage.records import Activity, Job, JobState
from storage.settings import MAX_TOKENS, MENTIONS_ONLY, RESPONSE_RATE, TEMPERATURE, Settings

DAY, WEEK = 86_400.0, 7 * 86_400.0
# Response times are shown in these buckets (seconds); the last one is open.
TIME_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0)
# A gap longer than this between two samples breaks the memory curve.
GAP_SECONDS = 600.0
WORDS_PER_TOKEN = 0.75

DECISION_COLUMNS = (
    Column("time", texts.DECISION_COLUMNS[0], 62, tone="muted", kind="small"),
    Column("who", texts.DECISION_COLUMNS[1], stretch=1.1, kind="strong"),
    Column("what", texts.DECISION_COLUMNS[2], 70, kind="small"),
    Column("why", texts.DECISION_COLUMNS[3], stretch=2.6),
    Column("took", texts.DECISION_COLUMNS[4], 72, align="right", tone="muted", kind="small"),
)
TARGET_COLUMNS = (
    Column("name", texts.TARGET_COLUMNS[0], stretch=2),
    Column("yours", texts.TARGET_COLUMNS[1], 84, kind="strong", align="right"),
    Column("target", texts.TARGET_COLUMNS[2], 74, align="right", tone="muted"),
    Column("acceptable", texts.TARGET_COLUMNS[3], 88, align="right", tone="faint"),
)


@dataclass(frozen=True)
class Figures:
    """What the dashboard reads every few seconds. latencies in ms, ascending, of the last seven days."""

    now: float
    day: Totals
    week: Totals
    latencies: tuple[float, ...]
    replies_per_hour: tuple[int, ...]
    samples: tuple[tuple[float, int, bool], ...]
    decisions: tuple[Activity, ...]
    playground_replies: int = 0


@dataclass(frozen=True, slots=True)
class FigureView:
    """A number with its name and, in small, what it means."""

    label: str
    value: str
    note: str = ""
    tone: str = "text"


@dataclass(frozen=True, slots=True)
class SliderView:
    """Where a slider stands and what that means."""

    value: float
    text: str
    hint: str


@dataclass(frozen=True, slots=True)
class BehaviourView:
    """The three sliders and the switch."""

    rate: SliderView
    temperature: SliderView
    tokens: SliderView
    mentions_only: bool


@dataclass(frozen=True, slots=True)
class FiguresView:
    """Everything below the behaviour card."""

    day: tuple[FigureView, ...]
    week: tuple[FigureView, ...]
    hours: Bars
    times: Bars
    memory: Curve
    decisions: tuple[TableRow, ...]
    targets: tuple[TableRow, ...]


@dataclass(frozen=True, slots=True)
class JobView:
    """A running job as one line with a bar."""

    job_id: int
    kind: str
    name: str
    progress: float
    text: str
    is_cancelling: bool
    can_cancel: bool = True


def behaviour_view(settings: Settings) -> BehaviourView:
    """What the sliders show for these settings."""
    only = settings[MENTIONS_ONLY]
    return BehaviourView(
        rate_view(settings[RESPONSE_RATE], mentions_only=only),
        temperature_view(settings[TEMPERATURE]),
        tokens_view(settings[MAX_TOKENS]),
        only,
    )


def rate_view(rate: float, *, mentions_only: bool = False) -> SliderView:
    """The slider of the reply rate: 0-1, in words, and what it means."""
    hint = texts.RATE_HINT_MENTIONS if mentions_only else texts.RATE_HINT.format(count=f"{rate * 100:.0f}")
    return SliderView(rate, rate_words(rate), hint)


def rate_words(rate: float) -> str:
    """How often as people count: '1 in 20', '7 in 10', 'every message'."""
    if rate <= 0:
        return texts.RATE_NEVER
    if rate >= 0.995:
        return texts.RATE_ALWAYS
    return (
        texts.RATE_IN.format(count=round(1 / rate)) if rate <= 0.4 else texts.RATE_OFTEN.format(count=round(rate * 10))
    )


def temperature_view(temperature: float) -> SliderView:
    """The slider of the temperature, and how it will sound."""
    hint = (
        texts.TEMPERATURE_SAFE
        if temperature < 0.62
        else texts.TEMPERATURE_EVEN
        if temperature < 0.83
        else texts.TEMPERATURE_WILD
    )
    return SliderView(temperature, f"{temperature:.2f}", hint)


def tokens_view(tokens: int) -> SliderView:
    """The slider of the longest reply, and about how many words that is."""
    count = round(tokens * WORDS_PER_TOKEN / 5) * 5
    return SliderView(tokens, texts.TOKENS_WORDS.format(words=count), texts.TOKENS_HINT.format(words=count))


def figures_view(figures: Figures) -> FiguresView:
    """Figures, charts and lists of the last day and week."""
    return FiguresView(
        _day(figures.day),
        _week(figures.week),
        _hours(figures),
        _times(figures.latencies),
        memory_curve(figures.samples),
        tuple(_decision(a) for a in figures.decisions),
        _targets(figures),
    )


def _day(totals: Totals) -> tuple[FigureView, ...]:
    share = words.percent(totals.spoken / totals.seen, digits=1) if totals.seen else ""
    return (
        FigureView(texts.SEEN, words.whole(totals.seen)),
        FigureView(texts.RESPONSES, words.whole(totals.spoken), share),
        FigureView(texts.AVERAGE, words.seconds_of(totals.latency_mean_ms)),
        FigureView(texts.ERRORS, words.whole(totals.errors), tone="bad" if totals.errors else "text"),
    )


def _week(totals: Totals) -> tuple[FigureView, ...]:
    return (
        FigureView(texts.RESPONSES, words.whole(totals.spoken)),
        FigureView(texts.CONVERSATIONS, words.whole(totals.conversations)),
        FigureView(texts.FASTEST, words.seconds_of(totals.latency_min_ms)),
        FigureView(texts.SLOWEST, words.seconds_of(totals.latency_max_ms)),
    )


def _hours(figures: Figures) -> Bars:
    counts = figures.replies_per_hour
    labels = tuple(
        (index, words.clock(figures.now - (len(counts) - 1 - index) * 3600)[:2] + "h")
        for index in range(0, len(counts) - 3, 6)
    ) + ((len(counts) - 1, texts.NOW),)
    elsewhere = figures.playground_replies
    nothing = texts.NO_REPLIES_BUT_PLAYGROUND.format(count=elsewhere) if elsewhere else texts.NO_REPLIES_DAY
    return Bars(counts, labels, str(max(counts, default=0)), empty_text=nothing)


def _times(latencies: Sequence[float]) -> Bars:
    counts = histogram([value / 1000 for value in latencies], TIME_EDGES)
    labels = tuple(
        (index, f"{edge:g}s" if index + 1 < len(TIME_EDGES) else f"{edge:g}s+")
        for index, edge in enumerate(TIME_EDGES)
        if index % 2 == 0
    )
    return Bars(tuple(counts), labels, words.whole(max(counts)), empty_text=texts.NO_REPLIES_WEEK)


def memory_curve(samples: Sequence[tuple[float, int, bool]]) -> Curve:
    """Memory of the bot over time in GB, broken where it was down."""
    alive = [(at, memory / GIGABYTE) for at, memory, is_up in samples if is_up and memory]
    if len(alive) < 2:
        return Curve((), empty_text=texts.NO_MEMORY)
    first, last = alive[0][0], alive[-1][0]
    high = nice_ceiling(max(value for _, value in alive) * 1.05)
    span = max(last - first, 1.0)
    segments: list[list[tuple[float, float]]] = [[]]
    previous = first
    for at, value in thin(alive, 300):
        if at - previous > max(GAP_SECONDS, span / 60):
            segments.append([])
        segments[-1].append(((at - first) / span, value))
        previous = at
    grid = tuple((value, f"{value:g} GB" if high >= 1 else f"{value * 1000:g} MB") for value in (high / 2, high))
    return Curve(
        tuple(tuple(points) for points in segments), 0.0, high, grid, start_text=words.ago(span), end_text=texts.NOW
    )


def _decision(entry: Activity) -> TableRow:
    reason = entry.reason if entry.error in entry.reason else f"{entry.reason} · {entry.error}"
    what, tone = (texts.SPOKE, "good") if entry.spoke else (texts.SILENT, "faint")
    if entry.is_due:
        what, tone = texts.ANSWERING, ""
    return TableRow(
        (entry.at, entry.message_id),
        (
            Cell(words.clock(entry.at)),
            Cell(entry.author_name or texts.NONE),
            Cell(what, tone),
            Cell(reason, "bad" if entry.error else ""),
            Cell(words.seconds_of(entry.latency_ms) if entry.latency_ms is not None else ""),
        ),
    )


def _targets(figures: Figures) -> tuple[TableRow, ...]:
    """The specification's targets (SPEC, "Performance Targets") beside the owner's own figures."""
    times = [value / 1000 for value in figures.latencies]
    alive = [memory for _, memory, is_up in figures.samples if is_up and memory]
    memory = max(alive) / GIGABYTE if alive else None
    uptime = _uptime(figures.samples)
    errors = figures.week.errors / figures.week.seen if figures.week.seen else None

    def below(
        name: str, value: float | None, target: float, limit: float, text: str, marks: tuple[str, str]
    ) -> TableRow:
        tone = "faint" if value is None else "good" if value <= target else "busy" if value <= limit else "bad"
        return TableRow(
            name, (Cell(name), Cell(text if value is not None else texts.NONE, tone), Cell(marks[0]), Cell(marks[1]))
        )

    rows = []
    for name, share, target, limit in (
        (texts.TARGET_P50, 0.5, 2.0, 3.0),
        (texts.TARGET_P95, 0.95, 3.0, 5.0),
        (texts.TARGET_P99, 0.99, 5.0, 8.0),
    ):
        value = words.percentile(times, share)
        rows.append(below(name, value, target, limit, f"{value or 0:.1f} s", (f"{target:g} s", f"{limit:g} s")))
    rows.append(below(texts.TARGET_MEMORY, memory, 3.0, 4.0, f"{memory or 0:.1f} GB", ("3 GB", "4 GB")))
    rows.append(
        below(
            texts.TARGET_UPTIME,
            None if uptime is None else round(1 - uptime, 6),
            0.01,
            0.05,
            words.percent(uptime or 0, digits=1),
            ("99\u2009%", "95\u2009%"),
        )
    )
    rows.append(
        below(
            texts.TARGET_ERRORS, errors, 0.001, 0.01, words.percent(errors or 0, digits=1), ("0.1\u2009%", "1\u2009%")
        )
    )
    return tuple(rows)


def _uptime(samples: Sequence[tuple[float, int, bool]]) -> float | None:
    """Share of the samples since the bot first ran; None while it never did."""
    first = next((number for number, (*_, is_up) in enumerate(samples) if is_up), None)
    if first is None:
        return None
    since = samples[first:]
    return sum(is_up for *_, is_up in since) / len(since)


def job_views(
    pulse: Pulse,
    *,
    starting: frozenset[str] = frozenset(),
    cancelling: frozenset[int] = frozenset(),
    remaining: Mapping[int, float] | None = None,
) -> tuple[JobView, ...]:
    """Running jobs, and those just asked for that have not reported yet. remaining: seconds by job id, where known."""
    round_of = next((job for job in pulse.jobs if job.kind == JobKind.RETRAIN), None)
    jobs = [job for job in pulse.jobs if not _is_step_of(job, round_of)]
    shown = [_job(job, (remaining or {}).get(job.id), cancelling) for job in jobs]
    known = {job.kind for job in pulse.jobs}
    shown += [
        JobView(0, each.kind, job_label(each.kind), 0.0, plain(each.words) or texts.JOB_SETTING_UP, False)
        for each in pulse.setting_up
    ]
    known |= {each.kind for each in pulse.setting_up}
    shown += [
        JobView(0, kind, job_label(kind), 0.0, texts.STATE_STARTING + "…", False, can_cancel=False)
        for kind in sorted(starting - known)
    ]
    return tuple(shown)


def _is_step_of(job: Job, round_of: Job | None) -> bool:
    """A round is one job for whoever looks on: one bar, one Cancel."""
    is_step = job.kind in (JobKind.FETCH, JobKind.PREPARE, JobKind.TRAIN, JobKind.SWEEP, JobKind.EVALUATE)
    return round_of is not None and is_step and job.started_at >= round_of.started_at - 1


def _job(job: Job, remaining: float | None, cancelling: frozenset[int]) -> JobView:
    is_cancelling = job.is_cancel_requested or job.id in cancelling
    parts = [job.step] if job.step else []
    if is_cancelling:
        parts = [texts.JOB_CANCELLING]
    elif remaining is not None and job.progress < 0.995:
        parts.append(texts.JOB_REMAINING.format(span=words.about(remaining)))
    return JobView(job.id, job.kind, job_label(job.kind), job.progress, " · ".join(parts), is_cancelling)


def finished_text(job: Job) -> tuple[str, str, str]:
    """(tone, title, body) of the toast for a job that ended."""
    name = job_label(job.kind)
    forms = {
        JobState.DONE: ("good", texts.JOB_DONE, ""),
        JobState.FAILED: ("bad", texts.JOB_FAILED, job.error),
        JobState.CANCELLED: ("idle", texts.JOB_CANCELLED, ""),
        JobState.LOST: ("bad", texts.JOB_LOST, job.error),
    }
    tone, form, body = forms.get(job.state, ("idle", "{name}", ""))
    if job.state is JobState.FAILED and _has_brought_something(job):
        # The messages are there: what did not come is worth a sentence, not a failure.
        tone, form = "busy", texts.JOB_PARTLY
    attention = FetchResult.of(job).attention if job.state is JobState.DONE else ()
    if attention:
        # A fetch that could not read a channel, or has a question, is not simply done.
        tone, body = "busy", attention[0]
    return tone, form.format(name=name), plain(body)


def _has_brought_something(job: Job) -> bool:
    if job.kind == JobKind.IMPORT:
        return bool(ImportResult.of(job).files)
    return job.kind == JobKind.FETCH and FetchResult.of(job).new > 0
