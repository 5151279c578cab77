"""Draws docs/dataset_balancing.svg from data/chat/quotas.py, so that the picture and the code cannot differ.

python scripts/dev/draw_balance_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from data.chat import quotas
from storage.jobs.arguments import plain_parser

# A made-up server of 20,000 targets: one loud person, some regulars, a long tail.
SERVER = {
    "Ana": 6200,
    "Ben": 3100,
    "Cleo": 1900,
    "Dan": 1500,
    "Eve": 1200,
    "Finn": 1000,
    **{f"{number} more": 170 for number in range(30)},
}
_INK, _SOFT, _BEFORE, _AFTER, _LIMIT = "#1f2430", "#6b7280", "#b9c2d0", "#4f7cff", "#d9480f"


def main() -> None:
    """Write the picture."""
    target = Path(__file__).resolve().parents[2] / "docs" / "dataset_balancing.svg"
    target.write_text(picture(), encoding="utf-8")
    print(target)


def picture() -> str:
    """Left: quota by share. Right: a server before and after."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 400" font-family="sans-serif" font-size="12" '
        f'fill="{_INK}"><rect width="900" height="400" fill="#ffffff"/>{_curve()}{_server()}</svg>\n'
    )


def _curve() -> str:
    left, top, width, height, right_share, top_quota = 60, 50, 330, 290, 0.40, 0.14

    def x(share: float) -> float:
        return left + share / right_share * width

    def y(quota: float) -> float:
        return top + height - quota / top_quota * height

    total = 100_000
    points = " ".join(f"{x(n / 1000):.1f},{y(quotas.quota(n * total // 1000, total) / total):.1f}" for n in range(401))
    parts = [_text(left, 28, "What an author may keep", size=15, weight="bold")]
    for share in (0.05, 0.20, 0.40):
        parts += [
            _line(x(share), top, x(share), top + height, "#e3e6ec"),
            _text(x(share), top + height + 18, f"{share:.0%}", anchor="middle", color=_SOFT),
        ]
    for quota in (0.05, 0.12):
        parts += [
            _line(left, y(quota), left + width, y(quota), _LIMIT if quota == 0.12 else "#e3e6ec", dash=quota == 0.12),
            _text(left - 8, y(quota) + 4, f"{quota:.0%}", anchor="end", color=_SOFT),
        ]
    parts += [
        f'<polyline points="{points}" fill="none" stroke="{_AFTER}" stroke-width="3"/>',
        _text(left + width / 2, top + height + 40, "share of all messages", anchor="middle", color=_SOFT),
        _text(x(0.006), y(0.060), "s", color=_AFTER),
        _text(x(0.145), y(0.085), "(s + 5 %) / 2", color=_AFTER),
        _text(x(0.26), y(0.125), "12 %", color=_AFTER),
    ]
    return "".join(parts)


def _server() -> str:
    left, top, step, width = 540, 62, 38, 250
    counts = dict(enumerate(SERVER.values()))
    made = quotas.plan(counts)
    rows = [(name, made.share_before(n), made.share_after(n)) for n, name in enumerate(SERVER) if n < 6]
    rest = [n for n in counts if n >= 6]
    rows.append(("30 others, each", made.share_before(rest[0]), made.share_after(rest[0])))
    largest = max(before for _, before, _ in rows)
    parts = [_text(left - 60, 28, "A server of 36 people, before and after", size=15, weight="bold")]
    for number, (name, before, after) in enumerate(rows):
        y = top + number * step
        parts += [
            _text(left - 8, y + 15, name, anchor="end"),
            _bar(left, y, before / largest * width, _BEFORE),
            _bar(left, y + 12, after / largest * width, _AFTER),
            _text(left + width + 10, y + 15, f"{before:.1%} → {after:.1%}", color=_SOFT),
        ]
    limit = left + made.ceiling / largest * width
    parts += [
        _line(limit, top - 12, limit, top + 7 * step - 6, _LIMIT, dash=True),
        _text(limit, top - 16, f"{made.ceiling:.0%}", anchor="middle", color=_SOFT),
    ]
    return "".join(parts)


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = _INK, size: int = 12, weight: str = "normal"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="{size}" '
        f'font-weight="{weight}">{text}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, dash: bool = False) -> str:
    pattern = ' stroke-dasharray="5 4"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"{pattern}/>'


def _bar(x: float, y: float, width: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="10" rx="2" fill="{color}"/>'


if __name__ == "__main__":
    plain_parser(__doc__).parse_args()
    main()
