"""Icons from gui/assets/icons: white masks, tinted here to any colour of the palette."""

from __future__ import annotations

import sys
import tkinter as tk
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import customtkinter as ctk

from gui.components.palette import PALETTE

if TYPE_CHECKING:
    from PIL.Image import Image

ASSETS = Path(__file__).resolve().parent.parent / "assets"
ICON = ASSETS / "icon.ico"
LOGO = ASSETS / "logo.png"


@lru_cache(maxsize=256)
def image(name: str, colour: str, size: int) -> ctk.CTkImage:
    """An icon for CustomTkinter, in a palette colour of both modes; `size` in design pixels."""
    light, dark = PALETTE[colour]
    return ctk.CTkImage(light_image=_tinted(name, light), dark_image=_tinted(name, dark), size=(size, size))


def photo(owner: tk.Misc, name: str, colour: str, size: int) -> Any:
    """An icon for plain Tk in one colour (#rrggbb), `size` in device pixels; kept alive by the window."""
    from PIL import Image as Pillow
    from PIL import ImageTk

    root: Any = owner.nametowidget(".")
    kept: dict[tuple[str, str, int], Any] = root.__dict__.setdefault("_kept_icons", {})
    key = (name, colour, size)
    if key not in kept:
        kept[key] = ImageTk.PhotoImage(
            _tinted(name, colour).resize((size, size), Pillow.Resampling.LANCZOS), master=root
        )
    return kept[key]


def logo(owner: tk.Misc, size: int) -> Any:
    """The program's own picture, `size` in device pixels."""
    from PIL import Image as Pillow
    from PIL import ImageTk

    root: Any = owner.nametowidget(".")
    kept: dict[Any, Any] = root.__dict__.setdefault("_kept_icons", {})
    key = ("logo", "", size)
    if key not in kept:
        with Pillow.open(LOGO) as opened:
            kept[key] = ImageTk.PhotoImage(
                opened.convert("RGBA").resize((size, size), Pillow.Resampling.LANCZOS), master=root
            )
    return kept[key]


@lru_cache(maxsize=256)
def _tinted(name: str, colour: str) -> Image:
    from PIL import Image as Pillow

    with Pillow.open(ASSETS / "icons" / f"{name}.png") as opened:
        mask = opened.getchannel("A")
    result = Pillow.new("RGBA", mask.size, colour)
    result.putalpha(mask)
    return result


def switch(
    owner: tk.Misc,
    *,
    is_on: bool,
    is_enabled: bool,
    track: str,
    knob: str,
    ground: str,
    width: int,
    height: int,
    ring: str = "",
) -> Any:
    """A switch as a picture (all colours #rrggbb), because Tk draws no smooth circles."""
    from PIL import ImageTk

    root: Any = owner.nametowidget(".")
    kept: dict[Any, Any] = root.__dict__.setdefault("_kept_icons", {})
    key = ("switch", is_on, is_enabled, track, knob, ground, width, height, ring)
    if key not in kept:
        kept[key] = ImageTk.PhotoImage(
            _switch(is_on, is_enabled, track, knob, ground, width, height, ring), master=root
        )
    return kept[key]


def _switch(
    is_on: bool, is_enabled: bool, track: str, knob: str, ground: str, width: int, height: int, ring: str
) -> Image:
    from PIL import Image as Pillow
    from PIL import ImageDraw

    over = 4
    wide, tall = width * over, height * over
    picture = Pillow.new("RGB", (wide, tall), ground)
    draw = ImageDraw.Draw(picture)
    if ring:
        draw.rounded_rectangle([0, 0, wide - 1, tall - 1], tall // 2, outline=ring, width=over + over // 2)
    edge = 2 * over
    draw.rounded_rectangle([edge, edge, wide - 1 - edge, tall - 1 - edge], tall // 2, fill=track)
    size = tall - 2 * edge - 4 * over
    left = wide - edge - 2 * over - size if is_on else edge + 2 * over
    draw.ellipse([left, edge + 2 * over, left + size, edge + 2 * over + size], fill=knob)
    picture = picture.resize((width, height), Pillow.Resampling.LANCZOS)
    return picture if is_enabled else Pillow.blend(picture, Pillow.new("RGB", picture.size, ground), 0.55)


def disc(owner: tk.Misc, colour: str, ground: str, size: int) -> Any:
    """A filled circle as a picture, to write a number on."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageTk

    root: Any = owner.nametowidget(".")
    kept: dict[Any, Any] = root.__dict__.setdefault("_kept_icons", {})
    key = ("disc", colour, ground, size)
    if key not in kept:
        picture = Pillow.new("RGB", (size * 4, size * 4), ground)
        ImageDraw.Draw(picture).ellipse([0, 0, size * 4 - 1, size * 4 - 1], fill=colour)
        kept[key] = ImageTk.PhotoImage(picture.resize((size, size), Pillow.Resampling.LANCZOS), master=root)
    return kept[key]


def set_window_icon(root: Any) -> None:
    """The program's icon on the window's title bar and in the task bar."""
    if sys.platform == "win32":
        root.iconbitmap(str(ICON))
    else:
        root.iconphoto(True, logo(root, 64))
