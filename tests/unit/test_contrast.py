"""Text can be read in both appearances: at least 4.5 to 1 against whatever it stands on (WCAG 2.2, 1.4.3)."""

from __future__ import annotations

import pytest

from gui.components.theme import PALETTE

LEAST = 4.5
# What each colour of text stands on.
GROUNDS = ("window", "sidebar", "card", "field")
PAIRS = [
    *((ink, ground) for ink in ("text", "muted", "faint", "accent_text") for ground in GROUNDS),
    *((ink, ground) for ink in ("text", "muted", "faint") for ground in ("hover", "accent_soft")),
    *((tone, ground) for tone in ("good", "busy", "bad", "idle") for ground in ("card", "window", f"{tone}_soft")),
    *((ink, f"{tone}_soft") for ink in ("text", "muted") for tone in ("good", "busy", "bad", "idle")),
    ("accent_text", "accent_soft"),
    ("bad", "bad_soft"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
]


def luminance(colour: str) -> float:
    """Relative luminance, 0 black to 1 white."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(ink: str, ground: str) -> float:
    light, dark = sorted((luminance(ink), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_textbook() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground"), PAIRS)
def test_text_stands_out_from_its_ground(ink: str, ground: str, mode: int) -> None:
    found = contrast(PALETTE[ink][mode], PALETTE[ground][mode])
    assert found >= LEAST, f"{ink} on {ground}: {found:.2f}"
