"""Small inline SVG charts for the report page; no script, no font, no file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from model.evaluation.comparison import Estimate
from model.evaluation.report import Histogram

_WIDTH = 720
_LABEL_WIDTH = 170


def interval_chart(
    rows: Sequence[tuple[str, str, Estimate]],
    *,
    low: float,
    high: float,
    marks: Sequence[float],
    goal: float | None = None,
) -> str:
    """One dot with its interval per (label, css class, estimate); `goal` is a dashed line to get to."""
    height = 28 * len(rows) + 30

    def x(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return _LABEL_WIDTH + share * (_WIDTH - _LABEL_WIDTH - 60)

    parts = [
        f'<line class="grid" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="4" y2="{height - 24}"/>'
        f'<text class="axis" x="{x(mark):.1f}" y="{height - 8}" text-anchor="middle">{mark:g}</text>'
        for mark in marks
    ]
    if goal is not None:
        parts.append(f'<line class="goal" x1="{x(goal):.1f}" x2="{x(goal):.1f}" y1="4" y2="{height - 24}"/>')
    for number, (label, css, estimate) in enumerate(rows):
        if estimate.value is None:
            continue
        y = 20 + 28 * number
        parts.append(f'<text x="{_LABEL_WIDTH - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        if estimate.low is not None and estimate.high is not None:
            parts.append(
                f'<line class="whisker {css}" x1="{x(estimate.low):.1f}" x2="{x(estimate.high):.1f}" '
                f'y1="{y}" y2="{y}"/>'
            )
        parts.append(
            f'<circle class="{css}" cx="{x(estimate.value):.1f}" cy="{y}" r="5"/>'
            f'<text class="value" x="{_WIDTH - 50}" y="{y + 4}">{estimate.value:.2f}</text>'
        )
    return _svg(
        height,
        parts,
        "Values with 95 % intervals: "
        + "; ".join(f"{label} {estimate.value:.2f}" for label, _, estimate in rows if estimate.value is not None),
    )


def histogram_chart(series: Sequence[tuple[str, str, Histogram]]) -> str:
    """Grouped bars: one group per class, one bar per (label, css class, histogram)."""
    labels = series[0][2].labels
    top = max((share for _, _, histogram in series for share in histogram.shares), default=0.0) or 1.0
    height, floor, ceiling = 190, 150, 12
    group = (_WIDTH - 40) / len(labels)
    bar = group * 0.8 / len(series)
    parts = [
        f'<line class="grid" x1="36" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/><text class="axis" x="32" '
        f'y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, top / 2, top)
        for y in [floor - (floor - ceiling) * share / top]
    ]
    for place, label in enumerate(labels):
        left = 40 + group * place
        parts.append(
            f'<text class="axis" x="{left + group * 0.4:.1f}" y="{floor + 16}" text-anchor="middle">'
            f"{escape(label)}</text>"
        )
        for number, (_, css, histogram) in enumerate(series):
            tall = (floor - ceiling) * histogram.shares[place] / top
            parts.append(
                f'<rect class="{css}" x="{left + bar * number:.1f}" y="{floor - tall:.1f}" '
                f'width="{max(1.0, bar - 1):.1f}" height="{tall:.1f}"/>'
            )
    left = 40.0
    for label, css, _ in series:
        parts.append(
            f'<rect class="{css}" x="{left}" y="{height - 14}" width="10" height="10"/>'
            f'<text class="axis" x="{left + 15}" y="{height - 5}">{escape(label)}</text>'
        )
        left += 40 + 7 * len(label)
    return _svg(height, parts, "Distribution per writer: " + ", ".join(label for label, _, _ in series))


def gauge(percent: float, mark: float, base_percent: float | None) -> str:
    """The match as a bar with the specification's mark and the untuned model's value."""

    def x(value: float) -> float:
        return 10 + (_WIDTH - 20) * min(max(value, 0.0), 100.0) / 100

    parts = [
        f'<rect class="track" x="10" y="22" width="{_WIDTH - 20}" height="18" rx="9"/>',
        f'<rect class="model" x="10" y="22" width="{max(0.0, x(percent) - 10):.1f}" height="18" rx="9"/>',
        f'<line class="goal" x1="{x(mark):.1f}" x2="{x(mark):.1f}" y1="16" y2="46"/>',
        f'<text class="axis" x="{x(mark):.1f}" y="12" text-anchor="middle">mark {mark:.0f} %</text>',
    ]
    if base_percent is not None:
        parts.append(
            f'<line class="tick" x1="{x(base_percent):.1f}" x2="{x(base_percent):.1f}" y1="20" y2="44"/>'
            f'<text class="axis" x="{x(base_percent):.1f}" y="60" text-anchor="middle">untuned '
            f"{base_percent:.0f} %</text>"
        )
    return _svg(66, parts, f"Personality match {percent:.0f} percent, mark {mark:.0f} percent")


def _svg(height: int, parts: Sequence[str], description: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(description)}">'
        + "".join(parts)
        + "</svg>"
    )
