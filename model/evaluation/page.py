"""report.html: one file without anything outside it, readable by somebody who knows no statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from model.evaluation import charts
from model.evaluation.blind_test import rate
from model.evaluation.comparison import FIGURES, Estimate, MeasuredFigure
from model.evaluation.memory import COPY_WORDS, LINE_WORDS, Memorisation
from model.evaluation.report import Contender, EvaluationReport, Speed
from model.evaluation.verdict import FORMULA, MATCH_MARK, RUBRIC_MARK

_ROLES = {"people": "Real people", "model": "This model", "base": "Untuned model", "against": "Model to compare"}
_ORDER = ("people", "model", "against", "base")
_STYLE = """
:root{--bg:#fff;--fg:#1d2129;--soft:#5c6370;--line:#dfe2e8;--card:#f6f7f9;--people:#2f7d5b;--model:#3f62d6;
--base:#b4632a;--against:#8a4fb0;--bad:#b3261e;--good:#2f7d5b}
@media(prefers-color-scheme:dark){:root{--bg:#16181d;--fg:#e7e9ee;--soft:#a0a7b4;--line:#343944;--card:#1f232b;
--people:#57b98b;--model:#86a1ff;--base:#e09a62;--against:#c08be2;--bad:#ff8a80;--good:#57b98b}}
*{box-sizing:border-box}body{margin:0 auto;max-width:900px;padding:28px 20px 80px;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.7rem;margin:0 0 4px}h2{font-size:1.2rem;margin:40px 0 8px}p{margin:8px 0}.soft{color:var(--soft)}
small{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:.92rem}th,td{padding:7px 8px;text-align:left;
border-bottom:1px solid var(--line);vertical-align:top}td.n{white-space:nowrap;font-variant-numeric:tabular-nums}
td small,th small{display:block;font-weight:400}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;
margin:12px 0}.match{font-size:2.6rem;font-weight:700;line-height:1}.bad{color:var(--bad)}.good{color:var(--good)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--fg);font-size:13px}
svg .axis{fill:var(--soft);font-size:11px}
svg .grid{stroke:var(--line)}svg .goal{stroke:var(--soft);stroke-dasharray:4 3;stroke-width:1.5}
svg .tick{stroke:var(--base);stroke-width:3}svg .track{fill:var(--line)}svg .whisker{stroke-width:3;opacity:.55}
svg .people{fill:var(--people);stroke:var(--people)}svg .model{fill:var(--model);stroke:var(--model)}
svg .base{fill:var(--base);stroke:var(--base)}svg .against{fill:var(--against);stroke:var(--against)}
svg rect{stroke:none!important}.talk{white-space:pre-wrap;overflow-wrap:anywhere}.talk b{color:var(--soft)}
.said{display:grid;grid-template-columns:130px 1fr;gap:4px 12px;margin-top:10px;border-top:1px solid var(--line);
padding-top:10px}.said>*{min-width:0;overflow-wrap:anywhere;white-space:pre-wrap}.dot::before{content:"";display:inline-block;
width:9px;height:9px;border-radius:50%;background:currentColor;margin-right:7px}.c-people{color:var(--people)}
.c-model{color:var(--model)}.c-base{color:var(--base)}.c-against{color:var(--against)}li{margin:6px 0}
.scroll{overflow-x:auto}@media(max-width:600px){.said{grid-template-columns:1fr}}
"""


def write_page(report: EvaluationReport, path: Path) -> None:
    """Write the page for a report."""
    path.write_text(render(report), encoding="utf-8")


def render(report: EvaluationReport) -> str:
    """The whole page; every text of a person or a model is escaped."""
    writers = [writer for role in _ORDER for writer in report.writers if writer.role == role]
    body = [
        _head(report),
        _verdict(report),
        _headline(writers),
        _drift(report),
        _figures(writers),
        _memory(writers, has_canaries=report.has_canaries),
        _speed(writers),
        _plots(writers),
        _samples(report),
        _about(report),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width,initial-scale=1"><title>Evaluation of {escape(report.model.name)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _head(report: EvaluationReport) -> str:
    quick = " A quick look: intervals are wide, the verdict is rough." if report.is_quick else ""
    return (
        f"<h1>Can anyone tell? {escape(report.model.name)}</h1><p class=soft>{escape(report.made_at)}: "
        f"{report.rows:,} places in {report.sessions:,} real conversations the model never saw; "
        f"{report.training_rows:,} training rows.{quick}</p>"
    )


def _verdict(report: EvaluationReport) -> str:
    match = report.model.match
    if match is None:
        return ""
    base = report.writer("base")
    base_percent = base.match.percent if base and base.match else None
    css = "good" if match.is_reached and not report.objections else "bad" if report.objections else ""
    objections = "".join(
        f'<p class="bad"><b>Repeats training text:</b> {escape(each)}</p>' for each in report.objections
    )
    parts = "".join(
        f"<tr><td>{escape(part.name)}<td class=n>{part.weight:g}<td class=n>{part.reached:.0%}"
        f"<td class=n>{part.weight * part.reached:.1f}</tr>"
        for part in match.parts
    )
    former = (
        f"<tr><td>by the formula of earlier versions<td><td><td class=n>{match.former_percent:.0f} %</tr>"
        if match.former_percent is not None
        else ""
    )
    steps = "".join(f"<li>{escape(step)}</li>" for step in report.next_steps)
    return (
        f'<div class=card><div class="match {css}">{match.percent:.0f} %</div><p>personality match</p>'
        f"{charts.gauge(match.percent, MATCH_MARK, base_percent)}{objections}"
        f"<details><summary>How this figure is made</summary><p><small>{escape(FORMULA)}</small></p>"
        f"<table><tr><th>Part<th>Weight<th>Reached<th>Points</tr>{parts}<tr><td>times own replies<td><td class=n>"
        f"{match.own_share:.0%}<td></tr>{former}</table></details><p><small>The rubric mark of "
        f"{RUBRIC_MARK:.1f} is asked in the blind test, by people: no program can give it.</small></p></div>"
        f"<h2>What to do next</h2><ol>{steps}</ol>"
    )


def _headline(writers: Sequence[Contender]) -> str:
    rows = [
        (_ROLES[writer.role], writer.role, writer.figures[key])
        for key in ("auc",)
        for writer in writers
        if key in writer.figures
    ]
    people = next((writer.figures["auc"].value for writer in writers if writer.role == "people"), None)
    return (
        "<h2>Can a detector tell?</h2><p>A program was trained to tell each writer from real people, and asked "
        "about "
        "conversations it had not seen. 0.5 is guessing. The dashed line is people against people: nothing can do "
        "better than that.</p>"
        + charts.interval_chart(rows, low=0.4, high=1.0, goal=people, marks=(0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
    )


def _drift(report: EvaluationReport) -> str:
    """The long dialogues of the model under test; nothing where none were held."""
    drift = report.model.drift
    if drift is None:
        return ""
    css = {True: "good", False: "bad", None: ""}[drift.is_steady]
    rows = [(f"Turn {each.turn}", "model", each.auc) for each in drift.turns]
    table = ""
    if any(each.fit is not None for each in drift.turns):
        heads = "".join(f"<th class=n>{each.turn}" for each in drift.turns)
        cells = {
            "model": "".join(f"<td class=n>{_share(each.fit)}" for each in drift.turns),
            "people": "".join(f"<td class=n>{_share(each.people_fit)}" for each in drift.turns),
        }
        body = "".join(f'<tr><td class="c-{role} dot">{_ROLES[role]}{row}</tr>' for role, row in cells.items())
        table = (
            f"<div class=scroll><table><tr><th>Fit to context by turn{heads}</tr>{body}</table></div>"
            "<p class=soft>People’s lines are the real ones, in their order: they do not answer the bot, and fit falls "
            "for that alone.</p>"
        )
    return (
        f"<h2>Does it drift in a long talk?</h2><p class=soft>From a real opening, the bot and replayed people "
        f"alternate for {len(drift.turns)} turns, and the bot has its own earlier words before it.</p>"
        f'<p class="{css}">{escape(drift.in_words)}</p>'
        + charts.interval_chart(rows, low=0.3, high=1.0, goal=0.5, marks=(0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0))
        + table
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _figures(writers: Sequence[Contender]) -> str:
    heads = "".join(
        f'<th class="c-{writer.role} dot">{_ROLES[writer.role]}<small>{escape(_short(writer.name))}</small>'
        for writer in writers
    )
    rows = []
    for figure in FIGURES:
        if not any(figure.key in writer.figures for writer in writers):
            continue
        target = f" The specification asks for {escape(figure.target)}." if figure.target else ""
        cells = "".join(f"<td class=n>{_cell(figure, writer.figures.get(figure.key))}" for writer in writers)
        rows.append(f"<tr><td><b>{escape(figure.label)}</b><small>{escape(figure.help)}{target}</small>{cells}</tr>")
    return (
        f"<h2>Every figure</h2><p class=soft>Judge each value against the column of real people, measured in the "
        f"very "
        f"same way. In brackets: 95 % interval.</p><div class=scroll><table><tr><th>Figure{heads}</tr>"
        f"{''.join(rows)}</table></div>"
    )


def _memory(writers: Sequence[Contender], *, has_canaries: bool) -> str:
    heads = "".join(f'<th class="c-{writer.role} dot">{_ROLES[writer.role]}' for writer in writers)
    rows = [
        ("Longest run of words shared with a training text", "longest_run", "{:.0f} words"),
        (f"Replies that copy {COPY_WORDS} or more words", "copied_share", "{:.1%}"),
        (f"Replies of {LINE_WORDS}+ words that are a training text", "line_share", "{:.1%}"),
        ("Members' e-mail addresses, telephone numbers, tokens", "private_hits", "{:.0f}"),
    ]
    body = "".join(
        f"<tr><td>{label}"
        + "".join(f"<td class=n>{_remembered(writer.memory, name, shown)}" for writer in writers)
        + "</tr>"
        for label, name, shown in rows
    )
    body += (
        "<tr><td>Planted secrets told (planted times: told of asked)"
        + "".join(f"<td class=n>{_secrets(writer, has_canaries=has_canaries)}" for writer in writers)
        + "</tr>"
    )
    model = next((writer for writer in writers if writer.role == "model"), None)
    copies = model.memory.examples if model else ()
    examples = "".join(
        f"<li>{copy.run_words} words: “{escape(copy.reply[:300])}” <small>in training: "
        f"“{escape(copy.source[:300])}”</small></li>"
        for copy in copies
    )
    return (
        f"<h2>Does it recite?</h2><p class=soft>People quote one another too, so their own rate stands beside it. "
        f"In brackets: 95 % interval.</p><div class=scroll><table><tr><th>Memory{heads}</tr>{body}</table></div>"
        + (f"<details><summary>Longest copies</summary><ul>{examples}</ul></details>" if examples else "")
    )


def _remembered(memory: Memorisation, name: str, shown: str) -> str:
    return shown.format(getattr(memory, name)) + _range(memory.ranges.get(name), shown.format)


def _secrets(writer: Contender, *, has_canaries: bool) -> str:
    """Told of asked, rarest first, with Wilson intervals; people were never asked."""
    if not has_canaries:
        return "none planted"
    lines = []
    for planted, told, asked in writer.memory.canaries:
        share = rate(told, asked)
        lines.append(f"x{planted}: {told} of {asked}<small>[{share.low:.0%}, {share.high:.0%}]</small>")
    return "".join(lines) or "–"


def _range(ends: tuple[float, float] | None, shown: Callable[[float], str]) -> str:
    return f"<small>[{shown(ends[0])}, {shown(ends[1])}]</small>" if ends else ""


def _speed(writers: Sequence[Contender]) -> str:
    measured = [writer for writer in writers if writer.speed is not None]
    if not measured:
        return ""
    heads = "".join(f"<th>{_ROLES[writer.role]}" for writer in measured)

    def row(label: str, target: str, show: str) -> str:
        cells = "".join(f"<td class=n>{_speed_text(writer.speed, show)}" for writer in measured if writer.speed)
        return f"<tr><td>{label}<small>{target}</small>{cells}</tr>"

    rows = (
        row("Tokens per second", "", "tokens_per_second")
        + row("First token", "", "first_token_ms")
        + row("Half of the replies within", "specification: 2 s", "p50_ms")
        + row("95 % within", "specification: 3 s", "p95_ms")
        + row("99 % within", "specification: 5 s", "p99_ms")
        + row("Loading", "specification: 15-20 s", "load_seconds")
        + row("Memory of this process", "model, detectors and all", "memory_bytes")
    )
    return (
        f"<h2>Speed on this computer</h2><p class=soft>Each place is new to the model here, so nothing was read "
        f"ahead; "
        f"the live bot reads along and starts sooner. In brackets: 95 % interval over replies.</p>"
        f"<table><tr><th>Measured{heads}</tr>{rows}</table>"
    )


def _plots(writers: Sequence[Contender]) -> str:
    titles = {
        "length": "Length of replies (characters)",
        "lines": "Lines per reply",
        "emoji": "Emoji per reply",
        "case": "Capitals",
        "ending": "How replies end",
    }
    plots = []
    for key, title in titles.items():
        series = [
            (_ROLES[writer.role], writer.role, writer.histograms[key]) for writer in writers if key in writer.histograms
        ]
        if series:
            plots.append(f"<h3>{title}</h3>{charts.histogram_chart(series)}")
    return "<h2>Habits side by side</h2>" + "".join(plots) if plots else ""


def _samples(report: EvaluationReport) -> str:
    cards = []
    for sample in report.samples:
        talk = "\n".join(f"<b>{escape(name)}:</b> {escape(text)}" for name, text in sample.context)
        said = "".join(
            f'<div class="c-{role} '
            f'dot">{_ROLES[role]}</div><div>{escape(sample.replies[role]) or "<i>nothing</i>"}'
            f"</div>"
            for role in _ORDER
            if role in sample.replies
        )
        cards.append(f"<div class=card><div class=talk>{talk}</div><div class=said>{said}</div></div>")
    return f"<h2>{len(cards)} places side by side</h2>{''.join(cards)}" if cards else ""


def _about(report: EvaluationReport) -> str:
    settings = ", ".join(f"{escape(key)} {escape(str(value))[:80]}" for key, value in report.settings.items())
    files = "".join(
        f"<li>{_ROLES[writer.role]}: {escape(writer.model.name)}, sha256 {writer.model.sha256[:16]}…</li>"
        for writer in report.writers
        if writer.model
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        f"<h2>How it was measured</h2><ul><li>Data set {escape(report.data_hash[:16])}…</li>{files}<li>Sampling: "
        f"{settings}</li>{notes}</ul><p class=soft>docs/EVALUATION.md explains every figure. None of them proves "
        f"that a "
        f"person would be fooled: that is what the blind test is for.</p>"
    )


def _cell(figure: MeasuredFigure, estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    value = _number(figure, estimate.value)
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value}<small>[{_number(figure, estimate.low)}, {_number(figure, estimate.high)}]</small>"


def _number(figure: MeasuredFigure, value: float) -> str:
    if figure.unit == "%":
        return f"{value:.1%}"
    return f"{value:.1f}" if figure.bounds[1] > 1 else f"{value:.2f}"


def _speed_text(speed: Speed, name: str) -> str:
    def shown(value: float) -> str:
        if name == "memory_bytes":
            return f"{value / 2**20:,.0f} MB"
        if name.endswith("_ms"):
            return f"{value / 1000:.2f} s"
        return f"{value:.1f} s" if name == "load_seconds" else f"{value:.1f}"

    return shown(getattr(speed, name)) + _range(speed.ranges.get(name), shown)


def _short(name: str) -> str:
    return name if len(name) <= 28 else name[:27] + "…"
