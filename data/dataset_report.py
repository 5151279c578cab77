"""report.html of a data set: one self-contained page, its plots drawn as SVG (no library, no script, no network)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from data.chat.quotas import CEILING
from data.chat.rows import TrainingRow
from data.session_file import GAP_BINS_SECONDS

if TYPE_CHECKING:
    from data.preprocessor import Prepared

_CEILING_TEXT = f"{CEILING * 100:g} %"
_LENGTH_BINS = (5, 10, 20, 40, 80, 160, 320, 640, 2001)
_MAX_AUTHORS = 60
_STYLE = """
:root{--ink:#1f2430;--soft:#6b7280;--line:#e3e6ec;--before:#b9c2d0;--after:#4f7cff;--limit:#d9480f;--card:#fff;--page:#f5f6f9}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaf0;--soft:#9aa3b2;--line:#333a47;--before:#556072;--after:#7da0ff;
--limit:#ff8a50;--card:#1e222b;--page:#14171d}}
body{font:15px/1.5 system-ui,"Segoe UI",sans-serif;color:var(--ink);background:var(--page);margin:0;padding:32px 16px}
main{max-width:960px;margin:auto}h1{font-size:26px;margin:0 0 4px}h2{font-size:18px;margin:0 0 12px}
p.lead{color:var(--soft);margin:0 0 20px}section{background:var(--card);border:1px solid var(--line);border-radius:12px;
padding:20px;margin:0 0 16px}table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:4px 12px 4px 0;
border-bottom:1px solid var(--line);vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(130px,1fr));gap:12px}
.facts div{border:1px solid var(--line);border-radius:10px;padding:10px 12px}
.facts b{display:block;font-size:22px}.facts span{color:var(--soft);font-size:13px}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(380px,1fr));gap:16px}.two section{margin:0}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:12px}svg .soft{fill:var(--soft)}
.before{fill:var(--before)}.after{fill:var(--after)}.limit{stroke:var(--limit);stroke-dasharray:5 4}
.warn{border-color:var(--limit)}blockquote{margin:0 0 14px;padding:8px 14px;border-left:3px solid var(--line)}
blockquote .said{display:block}blockquote .reply{color:var(--after);display:block;white-space:pre-wrap}
details summary{cursor:pointer;color:var(--soft)}
"""


def page(prepared: Prepared, manifest: Mapping[str, Any], samples: Sequence[TrainingRow]) -> str:
    """The whole report. samples: a few rows of the validation part, shown as conversations."""
    counts = manifest["counts"]
    facts = {
        "train": "Training examples",
        "validation": "For checking",
        "test": "For evaluation",
        "preferences": "Preference pairs",
        "authors": "People",
        "sessions": "Conversations",
    }
    shown = "".join(f"<div><b>{counts[key]:,}</b><span>{label}</span></div>" for key, label in facts.items())
    ceiling = manifest["ceiling"]
    note = (
        f"Nobody is above {_CEILING_TEXT} of the kept examples."
        if ceiling <= CEILING
        else (
            f"The ceiling in force is {ceiling:.1%}: at {_CEILING_TEXT} less than half of what the quotas allow would "
            "be left on this server."
        )
    )
    parts = [
        f"<h1>Training data</h1><p class=lead>{counts['messages']:,} messages by {counts['authors']:,} people. "
        f"This page holds names and lines of chat: keep it as private as the messages.</p>",
        _canary_warning(manifest),
        f"<section><div class=facts>{shown}</div></section>",
        f"<section><h2>Who speaks how much</h2><p class=lead>{note} Shares of target turns in the training part, "
        f"before and after balancing.</p>{shares_plot(manifest['shares'], ceiling)}</section>",
        "<div class=two>",
        _section("Length of what is learnt (characters)", _lengths(prepared)),
        _section("Hour of the day (UTC)", bars([(str(h), v) for h, v in enumerate(prepared.hours)], every=3)),
        _section("Silence between messages", bars(_gaps(prepared))),
        _section("Reactions on a turn", bars(_reactions(prepared))),
        _section("Turns of context", bars([(str(n), v) for n, v in enumerate(prepared.context_turns)])),
        _section(
            "Strength of preferences",
            bars([(str(k), v) for k, v in manifest["preferences"].get("by_strength", {}).items()]),
        ),
        "</div><p></p>",
        _table("Left out, and why", manifest["dropped"]),
        _table(
            "Masked",
            {
                "e-mail addresses": manifest["masked"].get("email", 0),
                "phone numbers": manifest["masked"].get("phone", 0),
                "tokens and keys": manifest["masked"].get("token", 0),
                "invite links": manifest["masked"].get("invite", 0),
            },
        ),
        _examples(samples),
    ]
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Training data</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<main>{''.join(parts)}</main></html>"
    )


def shares_plot(shares: Sequence[Mapping[str, Any]], ceiling: float) -> str:
    """Two bars an author, before and after, with the usual ceiling (and the one in force, where it is higher)."""
    rows = shares[:_MAX_AUTHORS]
    top = max([ceiling, CEILING, *(row["before"] for row in rows)], default=CEILING) * 1.08
    left, width, step = 150, 760, 26
    height = step * len(rows) + 34

    def x(share: float) -> float:
        return left + share / top * (width - left - 60)

    drawn = []
    for number, row in enumerate(rows):
        y = 20 + number * step
        name = str(row["name"])
        label = escape(name if len(name) <= 20 else f"{name[:19]}…")
        drawn.append(
            f"<text x='{left - 8}' y='{y + 13}' text-anchor='end'>{label}</text>"
            f"<rect class=before x='{left}' y='{y + 1}' width='{x(row['before']) - left:.1f}' height='8' rx='2'/>"
            f"<rect class=after x='{left}' y='{y + 10}' width='{x(row['after']) - left:.1f}' height='8' rx='2'/>"
            f"<text class=soft x='{x(max(row['before'], row['after'])) + 6:.1f}' y='{y + 13}'>"
            f"{row['before']:.1%} → {row['after']:.1%}</text>"
        )
    drawn.extend(
        f"<line class=limit x1='{x(value):.1f}' x2='{x(value):.1f}' y1='14' y2='{height - 8}'/>"
        f"<text class=soft x='{x(value):.1f}' y='10' text-anchor='middle'>{value:.1%}</text>"
        for value in sorted({CEILING, ceiling})
    )
    more = f"<p class=lead>and {len(shares) - len(rows):,} more people</p>" if len(shares) > len(rows) else ""
    return (
        f"<svg viewBox='0 0 {width} {height}' role=img aria-label='Shares before and after'>{''.join(drawn)}</svg>"
        f"{more}"
    )


def bars(values: Sequence[tuple[str, int]], *, every: int = 1) -> str:
    """A small bar chart: (label, count); every n-th label is written."""
    width, height, bottom = 420, 170, 24
    top = max((count for _, count in values), default=0) or 1
    step = width / max(len(values), 1)
    drawn = []
    for number, (label, count) in enumerate(values):
        tall = count / top * (height - bottom - 18)
        x, y = number * step, height - bottom - tall
        drawn.append(
            f"<rect class=after x='{x + 2:.1f}' y='{y:.1f}' width='{step - 4:.1f}' height='{tall:.1f}' rx='2'>"
            f"<title>{escape(label)}: {count:,}</title></rect>"
        )
        if number % every == 0:
            drawn.append(
                f"<text class=soft x='{x + step / 2:.1f}' y='{height - 8}' text-anchor='middle'>{escape(label)}</text>"
            )
        if len(values) <= 12 and count:
            drawn.append(
                f"<text class=soft x='{x + step / 2:.1f}' y='{y - 4:.1f}' text-anchor='middle'>{_short(count)}</text>"
            )
    return f"<svg viewBox='0 0 {width} {height}' role=img>{''.join(drawn)}</svg>"


def _lengths(prepared: Prepared) -> str:
    import numpy as np

    stage = prepared.stage
    lengths = stage.column("lengths")[stage.column("is_target").astype(bool)]
    found, _ = np.histogram(lengths, bins=(1, *_LENGTH_BINS[:-1], 10**9))
    labels = ["<5", *(f"{low}+" for low in _LENGTH_BINS[:-1])]
    return bars(list(zip(labels, found.tolist(), strict=True)))


def _gaps(prepared: Prepared) -> list[tuple[str, int]]:
    labels = [f"<{_span(seconds)}" for seconds in GAP_BINS_SECONDS] + ["more"]
    return list(zip(labels, prepared.stage.gap_bins, strict=True))


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _reactions(prepared: Prepared) -> list[tuple[str, int]]:
    import numpy as np

    found = np.bincount(np.minimum(prepared.stage.column("reactions"), 6), minlength=7).tolist()
    return [(str(n) if n < 6 else "6+", count) for n, count in enumerate(found)][1:]


def _canary_warning(manifest: Mapping[str, Any]) -> str:
    if not manifest["has_canaries"]:
        return ""
    count = len(manifest["canaries"])
    return (
        f"<section class=warn><h2>For measuring only</h2><p>{count} made-up secrets are planted in the "
        "training part. A model trained on this folder is refused for deployment.</p></section>"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(title: str, values: Mapping[str, int]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td class=n>{count:,}</td></tr>" for name, count in values.items())
    return _section(title, f"<table>{rows}</table>")


def _examples(samples: Sequence[TrainingRow]) -> str:
    shown = []
    for row in samples:
        recalled = "".join(
            f"<span class='said soft'>(earlier) {escape(line.name)}: {escape(line.text)}</span>"
            for line in row.conversation.recalled
        )
        said = "".join(
            f"<span class=said>{escape(turn.name)}: {escape(turn.text)}</span>" for turn in row.conversation.turns
        )
        shown.append(f"<blockquote>{recalled}{said}<span class=reply>→ {escape(row.reply)}</span></blockquote>")
    return f"<section><h2>A few examples</h2><details><summary>show</summary>{''.join(shown)}</details></section>"


def _short(count: int) -> str:
    return f"{count / 1000:.0f}k" if count >= 10_000 else f"{count:,}"
