"""Windows at any scaling, on screens beside one another, and on one that was taken away."""

from __future__ import annotations

import pytest

from gui.presenters.placing import Area, fitting, is_out_of_reach, within
from storage.system.desktop import colour_title_bar

ONE = Area(0, 0, 1920, 1080)
LEFT_AND_RIGHT = Area(-1920, -200, 5760, 1280)


@pytest.mark.parametrize(
    ("scale", "expected"), [(1.0, (1120, 740)), (1.25, (1120, 740)), (1.5, (1120, 632)), (2.0, (944, 452))]
)
def test_the_first_size_fits_a_laptops_screen_at_any_scaling(scale: float, expected: tuple[int, int]) -> None:
    """Fault 154: 1920 x 1080 pixels, as most laptops have and Windows scales to 125 or 150 %."""
    assert fitting((1120, 740), (1920, 1080), scale) == expected


def test_a_small_window_is_shown_on_the_screen_it_belongs_to() -> None:
    """Fault 154: a question or a tooltip of a window on the second screen."""
    assert within(LEFT_AND_RIGHT, -1500, 100, 400, 200) == (-1500, 100)
    assert within(LEFT_AND_RIGHT, 2500, 100, 400, 200) == (2500, 100)
    assert within(ONE, 1800, 1050, 400, 200) == (1520, 880)
    assert within(ONE, -30, -5, 400, 200) == (0, 0)


@pytest.mark.parametrize(
    ("x", "y", "is_lost"),
    [(2500, 100, True), (-1500, 100, True), (100, 1500, True), (100, -300, True), (-8, -8, False), (1700, 900, False)],
)
def test_a_window_whose_screen_was_taken_away_is_known(x: int, y: int, is_lost: bool) -> None:
    """Fault 154: hidden in the tray it is not moved by the system."""
    assert is_out_of_reach(ONE, x, y, 1120) is is_lost


def test_only_windows_colours_title_bars_for_us() -> None:
    colour_title_bar(0, is_dark=True)
