"""Draw every picture of the panel: logo, icon.ico, tray icons and the line icons. Needs Pillow only.

Usage: python scripts/dev/draw_assets.py [--out gui/assets]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts import bootstrap
from storage.jobs.arguments import plain_parser


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = plain_parser(__doc__)
    made.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "gui" / "assets",
        help="folder to write to (default: gui/assets)",
    )
    return made


if __name__ == "__main__":
    bootstrap.ensure(parser)

from PIL import Image, ImageDraw

GRID = 24  # every line icon is drawn on a grid of 24 units
OVERSAMPLE = 16
ICON_PIXELS = 80
STROKE = 1.9
ACCENT, ACCENT_DEEP = (107, 98, 232), (74, 64, 196)
TRAY_COLOURS = {"running": (46, 170, 114), "busy": (222, 150, 36), "error": (214, 62, 68), "stopped": (132, 127, 143)}


class Pen:
    """Round-ended strokes on the grid."""

    def __init__(self) -> None:
        self.image = Image.new("L", (GRID * OVERSAMPLE, GRID * OVERSAMPLE), 0)
        self.draw = ImageDraw.Draw(self.image)

    def line(self, *points: tuple[float, float], width: float = STROKE) -> None:
        """A line through points of the 24-unit grid, with round ends."""
        scaled = [(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in points]
        self.draw.line(scaled, fill=255, width=round(width * OVERSAMPLE), joint="curve")
        for x, y in points:
            self.dot(x, y, width / 2)

    def dot(self, x: float, y: float, radius: float, fill: int = 255) -> None:
        """A filled circle."""
        self.draw.ellipse(
            [
                (x - radius) * OVERSAMPLE,
                (y - radius) * OVERSAMPLE,
                (x + radius) * OVERSAMPLE,
                (y + radius) * OVERSAMPLE,
            ],
            fill=fill,
        )

    def arc(self, x: float, y: float, radius: float, start: float, end: float, width: float = STROKE) -> None:
        """Part of a circle, from angle to angle in degrees, clockwise from three o'clock."""
        steps = max(8, int(abs(end - start) / 4))
        self.line(
            *[
                (
                    x + radius * math.cos(math.radians(start + (end - start) * i / steps)),
                    y + radius * math.sin(math.radians(start + (end - start) * i / steps)),
                )
                for i in range(steps + 1)
            ],
            width=width,
        )

    def circle(self, x: float, y: float, radius: float) -> None:
        """A whole circle, not filled."""
        self.arc(x, y, radius, 0, 360)

    def box(self, x0: float, y0: float, x1: float, y1: float, radius: float = 2, *, fill: bool = False) -> None:
        """A rectangle with round corners."""
        self.draw.rounded_rectangle(
            [v * OVERSAMPLE for v in (x0, y0, x1, y1)],
            radius * OVERSAMPLE,
            fill=255 if fill else None,
            outline=255,
            width=round(STROKE * OVERSAMPLE),
        )

    def polygon(self, *points: tuple[float, float]) -> None:
        """A filled shape with slightly round corners."""
        self.draw.polygon([(x * OVERSAMPLE, y * OVERSAMPLE) for x, y in points], fill=255)
        self.line(*points, points[0], width=1.2)


def home(pen: Pen) -> None:
    pen.line((3.4, 11.6), (12, 4.2), (20.6, 11.6))
    pen.line((5.9, 9.8), (5.9, 20), (18.1, 20), (18.1, 9.8))
    pen.line((10, 20), (10, 14.4), (14, 14.4), (14, 20))


def live(pen: Pen) -> None:
    pen.dot(12, 12, 2)
    for radius, half in ((5.4, 42), (9.2, 42)):
        pen.arc(12, 12, radius, -half, half)
        pen.arc(12, 12, radius, 180 - half, 180 + half)


def chat(pen: Pen) -> None:
    pen.arc(12, 11.5, 8.2, 128, 410)
    pen.line((6.95, 17.95), (4.6, 20.6), (10.9, 19.6))
    for x in (8.4, 12, 15.6):
        pen.dot(x, 11.5, 1.15)


def people(pen: Pen) -> None:
    pen.circle(9, 8, 3.6)
    pen.arc(9, 20.6, 6.4, 180, 360)
    pen.arc(15.6, 8, 3.6, -75, 75)
    pen.arc(14.4, 20.6, 6.8, -56, -3)


def training(pen: Pen) -> None:
    pen.line((4, 5), (4, 20), (20.5, 20))
    pen.line((7, 8), (10, 13), (13.5, 14.6), (19.5, 16.2))
    pen.dot(7, 8, 1.6)


def logs(pen: Pen) -> None:
    for y, end in ((5.5, 20), (10, 15.5), (14.5, 20), (19, 12)):
        pen.line((7.5, y), (end, y))
        pen.dot(4, y, 1.25)


def settings(pen: Pen) -> None:
    for y, knob in ((6, 15.5), (12, 8.5), (18, 14)):
        pen.line((3.8, y), (knob - 2.9, y))
        pen.line((knob + 2.9, y), (20.2, y))
        pen.circle(knob, y, 2.3)


def start(pen: Pen) -> None:
    pen.polygon((7.5, 5), (18.5, 12), (7.5, 19))


def stop(pen: Pen) -> None:
    pen.box(6, 6, 18, 18, radius=2.4, fill=True)


def restart(pen: Pen) -> None:
    pen.arc(12, 12, 7.6, 20, 318)
    pen.line((18.2, 2.6), (17.9, 7.2), (13.3, 7.4))


def bolt(pen: Pen) -> None:
    pen.line((13.5, 3.2), (5.5, 13.6), (11.5, 13.6), (10.5, 20.8), (18.5, 10.4), (12.5, 10.4), (13.5, 3.2))


def download(pen: Pen) -> None:
    pen.line((12, 3.8), (12, 15.2))
    pen.line((7.2, 10.6), (12, 15.4), (16.8, 10.6))
    pen.line((4.2, 19.8), (19.8, 19.8))


def folder(pen: Pen) -> None:
    pen.line((3.6, 18.4), (3.6, 6), (9.2, 6), (11.2, 8.4), (20.4, 8.4), (20.4, 18.4), (3.6, 18.4))


def archive(pen: Pen) -> None:
    pen.box(3.4, 4, 20.6, 8.8, radius=1.4)
    pen.line((5, 9), (5, 19.8), (19, 19.8), (19, 9))
    pen.line((9.8, 12.8), (14.2, 12.8))


def check(pen: Pen) -> None:
    pen.line((4.6, 12.6), (9.8, 17.8), (19.6, 6.8), width=2.3)


def close(pen: Pen) -> None:
    pen.line((6, 6), (18, 18))
    pen.line((18, 6), (6, 18))


def alert(pen: Pen) -> None:
    pen.line((12, 3.8), (21, 19.6), (3, 19.6), (12, 3.8))
    pen.line((12, 9.8), (12, 13.6))
    pen.dot(12, 16.6, 1.15)


def info(pen: Pen) -> None:
    pen.circle(12, 12, 8.6)
    pen.line((12, 11.4), (12, 16.2))
    pen.dot(12, 8, 1.2)


def search(pen: Pen) -> None:
    pen.circle(10.6, 10.6, 6.4)
    pen.line((15.4, 15.4), (20.2, 20.2))


def eye(pen: Pen) -> None:
    pen.line(
        (2.6, 12),
        (5, 8.9),
        (8.2, 6.9),
        (12, 6.2),
        (15.8, 6.9),
        (19, 8.9),
        (21.4, 12),
        (19, 15.1),
        (15.8, 17.1),
        (12, 17.8),
        (8.2, 17.1),
        (5, 15.1),
        (2.6, 12),
    )
    pen.circle(12, 12, 2.7)


def moon(pen: Pen) -> None:
    pen.arc(11.6, 12.4, 8.0, 15, 283)
    pen.arc(16.6, 7.4, 6.2, 54, 216)


def sun(pen: Pen) -> None:
    pen.circle(12, 12, 4)
    for turn in range(8):
        angle = math.radians(turn * 45)
        pen.line(
            (12 + 7 * math.cos(angle), 12 + 7 * math.sin(angle)),
            (12 + 8.6 * math.cos(angle), 12 + 8.6 * math.sin(angle)),
        )


def system(pen: Pen) -> None:
    pen.box(3.2, 4.4, 20.8, 16, radius=2)
    pen.line((8.4, 20), (15.6, 20))


def chevron(pen: Pen) -> None:
    pen.line((7, 9.6), (12, 14.6), (17, 9.6))


def more(pen: Pen) -> None:
    for x in (5.5, 12, 18.5):
        pen.dot(x, 12, 1.7)


def flag(pen: Pen) -> None:
    pen.line((5.4, 21), (5.4, 4), (18.6, 4), (15.6, 8.6), (18.6, 13.2), (5.4, 13.2))


def send(pen: Pen) -> None:
    pen.line((3.6, 11.2), (20.4, 3.8), (14.2, 20.4), (10.8, 13.4), (3.6, 11.2))
    pen.line((10.8, 13.4), (15, 9.2))


def gauge(pen: Pen) -> None:
    pen.arc(12, 14.4, 8.4, 165, 375)
    pen.line((12, 14.4), (15.8, 9.4))


def lock(pen: Pen) -> None:
    pen.box(5, 10.6, 19, 20.4, radius=2)
    pen.arc(12, 10.4, 4.2, 180, 360)


def upload(pen: Pen) -> None:
    pen.line((12, 15.4), (12, 4.2))
    pen.line((7.2, 9), (12, 4.2), (16.8, 9))
    pen.line((4.2, 19.8), (19.8, 19.8))


def copy(pen: Pen) -> None:
    pen.box(8.6, 8.6, 20, 20, radius=2)
    pen.line((5, 15), (4, 15), (4, 4), (15, 4), (15, 5))


def trash(pen: Pen) -> None:
    pen.line((4, 6.6), (20, 6.6))
    pen.line((9, 6.2), (9.6, 3.8), (14.4, 3.8), (15, 6.2))
    pen.line((6, 7), (7, 20.2), (17, 20.2), (18, 7))


def power(pen: Pen) -> None:
    pen.arc(12, 12.8, 7.6, -58, 238)
    pen.line((12, 3.6), (12, 11.4))


def memory(pen: Pen) -> None:
    pen.box(6.4, 6.4, 17.6, 17.6, radius=2)
    for at in (9.6, 14.4):
        for near, far in ((3.4, 6), (18, 20.6)):
            pen.line((at, near), (at, far))
            pen.line((near, at), (far, at))


LINE_ICONS: dict[str, Callable[[Pen], None]] = {
    function.__name__: function
    for function in (
        home,
        live,
        chat,
        people,
        training,
        logs,
        settings,
        start,
        stop,
        restart,
        bolt,
        download,
        folder,
        archive,
        check,
        close,
        alert,
        info,
        search,
        eye,
        moon,
        sun,
        system,
        chevron,
        more,
        flag,
        send,
        gauge,
        lock,
        upload,
        copy,
        trash,
        power,
        memory,
    )
}


def draw_logo(size: int, colour: tuple[int, int, int] | None = None) -> Image.Image:
    """A speech bubble that holds a voice: five bars of a wave. `colour` instead of the accent for the tray."""
    big = size * 8
    unit = big / 64
    ground = _gradient(big) if colour is None else Image.new("RGB", (big, big), colour)
    mask = Image.new("L", (big, big), 0)
    draw = ImageDraw.Draw(mask)
    draw.rounded_rectangle([4 * unit, 5 * unit, 60 * unit, 51 * unit], 16 * unit, fill=255)
    draw.polygon([(14 * unit, 46 * unit), (12 * unit, 61 * unit), (32 * unit, 49 * unit)], fill=255)
    bars = ImageDraw.Draw(mask_of_bars := Image.new("L", (big, big), 0))
    for index, height in enumerate((10, 22, 30, 16, 8)):
        x = (14.5 + index * 8.75) * unit
        half = height / 2 * unit
        bars.rounded_rectangle(
            [x - 2.4 * unit, 28 * unit - half, x + 2.4 * unit, 28 * unit + half], 2.4 * unit, fill=255
        )
    result = Image.new("RGBA", (big, big), (0, 0, 0, 0))
    result.paste(ground, (0, 0), mask)
    result.paste(Image.new("RGB", (big, big), (255, 255, 255)), (0, 0), mask_of_bars)
    return result.resize((size, size), Image.Resampling.LANCZOS)


def _gradient(size: int) -> Image.Image:
    column = Image.new("RGB", (1, size))
    for y in range(size):
        share = y / size
        column.putpixel((0, y), tuple(round(a + (b - a) * share) for a, b in zip(ACCENT, ACCENT_DEEP, strict=True)))
    return column.resize((size, size))


def draw_icon(function: Callable[[Pen], None]) -> Image.Image:
    """A white icon; its shape is the alpha channel."""
    pen = Pen()
    function(pen)
    mask = pen.image.resize((ICON_PIXELS, ICON_PIXELS), Image.Resampling.LANCZOS)
    result = Image.new("RGBA", mask.size, (255, 255, 255, 0))
    result.putalpha(mask)
    return result


def draw_everything(out: Path) -> list[Path]:
    """Write all files below `out`; returns them."""
    (out / "icons").mkdir(parents=True, exist_ok=True)
    written = []
    for name, function in LINE_ICONS.items():
        written.append(out / "icons" / f"{name}.png")
        draw_icon(function).save(written[-1], optimize=True)
    for state, colour in TRAY_COLOURS.items():
        written.append(out / f"tray_{state}.png")
        draw_logo(64, colour).save(written[-1], optimize=True)
    written.append(out / "logo.png")
    draw_logo(256).save(written[-1], optimize=True)
    written.append(out / "icon.ico")
    draw_logo(256).save(written[-1], sizes=[(s, s) for s in (16, 24, 32, 48, 64, 128, 256)])
    return written


def main() -> int:
    """Draw everything."""
    out = parser().parse_args().out
    print(f"{len(draw_everything(out))} pictures written to {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
