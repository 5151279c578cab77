"""Where windows stand and how large they are, so that nothing lies off the screen: pure rules, in device pixels."""

from __future__ import annotations

from dataclasses import dataclass

# What must stay free for the task bar, the title bar and the borders.
FRAME_WIDTH, FRAME_HEIGHT = 16, 88
# So much of a window's top has to be within reach for it to be moved by hand.
GRIP_WIDTH, GRIP_HEIGHT = 120, 40


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle: the screen, or all screens together (their left and top may be negative)."""

    left: int
    top: int
    width: int
    height: int


def fitting(size: tuple[int, int], screen: tuple[int, int], scale: float) -> tuple[int, int]:
    """A size in design pixels, made smaller where it would not fit a screen (device pixels) at this scale."""
    room = (screen[0] / scale - FRAME_WIDTH, screen[1] / scale - FRAME_HEIGHT)
    return min(size[0], max(1, int(room[0]))), min(size[1], max(1, int(room[1])))


def within(screens: Area, x: int, y: int, width: int, height: int) -> tuple[int, int]:
    """The nearest place where a small window (a question, a tooltip) is wholly to be seen."""
    right, bottom = screens.left + screens.width - width, screens.top + screens.height - height
    return max(screens.left, min(x, right)), max(screens.top, min(y, bottom))


def is_out_of_reach(screens: Area, x: int, y: int, width: int) -> bool:
    """True when a window's title bar cannot be grasped any more, as after its screen was taken away."""
    is_beside = x + width < screens.left + GRIP_WIDTH or x > screens.left + screens.width - GRIP_WIDTH
    return is_beside or y < screens.top - GRIP_HEIGHT or y > screens.top + screens.height - GRIP_HEIGHT
