"""The small set of parts every room is made of. All of them can be reached and used by keyboard."""
from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import customtkinter as ctk

from gui.components import icons
from gui.components.shapes import Sheet, draw_box
from gui.components.theme import CONTROL_HEIGHT, RADIUS, XS, M, S, Theme, pair, surface_of, theme_of


class Row(tk.Frame):
    """A plain, cheap container in the colour of what lies behind it."""

    def __init__(self, master: Any, surface: str | None = None) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = surface or surface_of(master)
        theme = theme_of(self)
        theme.follow(self, lambda: self.configure(bg=theme.now(self.surface)))

    def set_surface(self, name: str) -> None:
        """Another background; children made of Text follow with their own `set_surface`."""
        self.surface = name
        self.configure(bg=theme_of(self).now(name))


class Card(Sheet):
    """A rounded sheet with a thin border; children are placed in `body`, below an optional heading."""

    def __init__(self, master: Any, title: str = "", *, hint: str = "", surface: str = "card", pad: int = 16) -> None:
        super().__init__(master, fill=surface)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(1, weight=1)
        self.header: Row | None = None
        if title:
            self.header = Row(self)
            self.header.grid(row=0, column=0, sticky="ew", padx=pad, pady=(pad - 2, 0))
            self.header.grid_columnconfigure(1, weight=1)
            self.title = Text(self.header, title, role="heading")
            self.title.grid(row=0, column=0, sticky="w")
            self.hint = Text(self.header, hint, role="small", colour="faint", anchor="e")
            self.hint.grid(row=0, column=2, sticky="e", padx=(S, 0))
        self.body = Row(self)
        self.body.grid(row=1, column=0, sticky="nsew", padx=pad, pady=(S if title else pad - 2, pad - 2))


class Text(tk.Label):
    """Words: a role of the type scale and a colour of the palette. `wrap` follows the width it gets."""

    def __init__(self, master: Any, text: str = "", *, role: str = "body", colour: str = "text", wrap: bool = False,
                 anchor: Any = "w", justify: Any = "left", surface: str | None = None, **options: Any) -> None:
        theme = theme_of(master)
        super().__init__(master, text=text, font=theme.fonts[role], anchor=anchor, justify=justify, bd=0, padx=0,
                         pady=0, **options)
        self._colour = colour
        self._surface = surface or surface_of(master)
        theme.follow(self, self._paint)
        if wrap:
            self.bind("<Configure>", self._wrap, add="+")

    def show(self, text: str, *, colour: str | None = None) -> None:
        """New words and colour; does nothing when both are the same."""
        if self.cget("text") != text:
            self.configure(text=text)
        if colour is not None and colour != self._colour:
            self._colour = colour
            self._paint()

    def set_surface(self, name: str) -> None:
        self._surface = name
        self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(fg=theme.now(self._colour), bg=theme.now(self._surface))

    def _wrap(self, event: tk.Event[tk.Misc]) -> None:
        if event.width > 40 and abs(int(str(self.cget("wraplength"))) - event.width) > 2:
            self.configure(wraplength=event.width)


@dataclass(frozen=True, slots=True)
class Look:
    """Palette names of a button's parts; '' is the ground it stands on."""

    fill: str
    hover: str
    ink: str
    border: str


LOOKS = {
    "primary": Look("accent", "accent_hover", "on_accent", "accent"),
    "secondary": Look("card", "hover", "text", "border"),
    "quiet": Look("", "hover", "muted", ""),
    "danger": Look("card", "bad_soft", "bad", "border"),
    "active": Look("accent_soft", "accent_soft", "accent_text", "accent_soft"),
}


class Button(tk.Canvas):
    """A button that takes part in the tab order, with a focus ring; Enter and Space press it."""

    RADIUS, INSET, ICON = 8, 10, 16

    def __init__(self, master: Any, text: str, command: Callable[[], Any] | None = None, *, kind: str = "secondary",
                 icon: str = "", trailing: str = "", width: int = 0, height: int = CONTROL_HEIGHT,
                 anchor: str = "center", tip: str = "", role: str = "body") -> None:
        self.surface = surface_of(master)
        theme = theme_of(master)
        super().__init__(master, bd=0, highlightthickness=0, takefocus=1, height=theme.px(height), width=10)
        self.text, self.kind, self._icon, self._trailing, self._anchor = text, kind, icon, trailing, anchor
        self._command, self._role, self._least = command, role, width or (0 if text else height)
        self._is_hot = self._is_down = self._has_focus = self._is_emphasised = False
        self._size = (0, 0)
        for sequence, call in (("<Enter>", lambda _: self._set(hot=True)), ("<Leave>", lambda _: self._set(hot=False)),
                               ("<Button-1>", lambda _: self._set(down=True)), ("<ButtonRelease-1>", self._released),
                               ("<FocusIn>", lambda _: self._set(focus=theme.is_by_keyboard)),
                               ("<FocusOut>", lambda _: self._set(focus=False)), ("<Configure>", self._resized)):
            self.bind(sequence, call, add="+")
        for key in ("<Return>", "<KP_Enter>", "<space>"):
            self.bind(key, self._key_pressed, add="+")
        self._fit()
        theme.follow(self, self._paint)
        if tip:
            Tooltip(self, tip)

    # ---- what others may change --------------------------------------------------------------------

    @property
    def is_enabled(self) -> bool:
        return str(super().cget("state")) != "disabled"

    def set_enabled(self, is_enabled: bool) -> None:
        if is_enabled != self.is_enabled:
            self.configure(state="normal" if is_enabled else "disabled", takefocus=is_enabled)
            self._paint()

    def show(self, text: str) -> None:
        if text != self.text:
            self.text = text
            self._fit()
            self._paint()

    def set_icon(self, icon: str) -> None:
        if icon != self._icon:
            self._icon = icon
            self._paint()

    def set_kind(self, kind: str) -> None:
        """Another look: primary, secondary, quiet, danger or active."""
        if kind != self.kind:
            self.kind = kind
            self._paint()

    def set_emphasis(self, is_on: bool) -> None:
        """A border in the accent: this one is next."""
        if is_on != self._is_emphasised:
            self._is_emphasised = is_on
            self._paint()

    def set_command(self, command: Callable[[], Any] | None) -> None:
        self._command = command

    def invoke(self) -> None:
        if self.is_enabled and self._command is not None:
            self._command()

    def cget(self, key: str) -> Any:
        return self.text if key == "text" else super().cget(key)

    # ---- hands and drawing -------------------------------------------------------------------------

    def _set(self, *, hot: bool | None = None, down: bool | None = None, focus: bool | None = None) -> None:
        self._is_hot = self._is_hot if hot is None else hot
        self._is_down = self._is_down if down is None else down
        self._has_focus = self._has_focus if focus is None else focus
        self._paint()

    def _released(self, event: tk.Event[tk.Misc]) -> None:
        was_down, self._is_down = self._is_down, False
        if was_down and 0 <= event.x < self.winfo_width() and 0 <= event.y < self.winfo_height():
            self.invoke()
        if self.winfo_exists():
            self._paint()

    def _key_pressed(self, _: object) -> str:
        self.invoke()
        return "break"

    def _resized(self, event: tk.Event[tk.Misc]) -> None:
        if (event.width, event.height) != self._size:
            self._size = (event.width, event.height)
            self._paint()

    def _fit(self) -> None:
        """Ask for as much width as the words and pictures need."""
        theme = theme_of(self)
        wide = theme.fonts[self._role].measure(self.text) if self.text else 0
        wide += theme.px(self.ICON) * (bool(self._icon) + bool(self._trailing))
        wide += theme.px(S) * max(bool(self._icon) + bool(self._trailing) + bool(self.text) - 1, 0)
        wanted = max(wide + 2 * theme.px(self.INSET if self.text else 6), theme.px(self._least))
        if wanted != int(str(super().cget("width"))):
            self.configure(width=wanted)

    def _colours(self) -> tuple[str, str, str]:
        theme, look = theme_of(self), LOOKS[self.kind]
        ground = theme.now(self.surface)
        if not self.is_enabled:
            solid = self.kind == "primary"
            return (theme.now("hover") if solid else ground if not look.fill else theme.now(look.fill),
                    theme.now("faint"), theme.now(look.border if not solid else "border") if look.border else "")
        fill = look.hover if self._is_hot else look.fill
        border = "accent" if self._has_focus or self._is_emphasised else look.border
        return theme.now(fill) if fill else ground, theme.now(look.ink), theme.now(border) if border else ""

    def _paint(self) -> None:
        theme, (width, height) = theme_of(self), self._size
        fill, ink, border = self._colours()
        self.configure(bg=theme.now(self.surface))
        self.delete("ink")
        if width < 8:
            return
        line = 2 if self._has_focus and self.is_enabled else 1
        draw_box(self, width, height, radius=theme.px(self.RADIUS), fill=fill, ground=theme.now(self.surface),
                 border=border, line=theme.px(line))
        self._draw_content(theme, ink, width, height)

    def _draw_content(self, theme: Theme, ink: str, width: int, height: int) -> None:
        font, icon, gap = theme.fonts[self._role], theme.px(self.ICON), theme.px(S)
        shift = 1 if self._is_down and self.is_enabled else 0
        y, words = height // 2 + shift, font.measure(self.text) if self.text else 0
        total = words + (icon if self._icon else 0) + (gap if self._icon and self.text else 0)
        x = theme.px(self.INSET) if self._anchor == "w" else (width - total) // 2
        if self._icon:
            picture = icons.photo(self, self._icon, ink, icon)
            self.create_image(x + icon // 2, y, image=picture, tags="ink")
            x += icon + gap
        if self.text:
            self.create_text(x, y, text=self.text, anchor="w", fill=ink, font=font, tags="ink")
        if self._trailing:
            picture = icons.photo(self, self._trailing, theme.now("muted" if self.is_enabled else "faint"), icon)
            self.create_image(width - theme.px(self.INSET) - icon // 2 + 2, y, image=picture, tags="ink")


class Switch(Row):
    """On or off, with words beside it. `command` gets the new value; `set_value` changes it without calling."""

    WIDTH, HEIGHT = 38, 22

    def __init__(self, master: Any, text: str = "", command: Callable[[bool], Any] | None = None, *,
                 value: bool = False) -> None:
        super().__init__(master)
        self._tell, self.value, self._is_enabled, self._has_focus = command, value, True, False
        self._picture = tk.Label(self, bd=0, takefocus=1, highlightthickness=0, padx=0, pady=0)
        self._picture.grid(row=0, column=0)
        parts: list[tk.Misc] = [self._picture]
        if text:
            self._words = Text(self, text)
            self._words.grid(row=0, column=1, padx=(S, 0))
            parts.append(self._words)
        for part in parts:
            part.bind("<ButtonRelease-1>", lambda _: self.toggle(), add="+")
        for key in ("<space>", "<Return>", "<KP_Enter>"):
            self._picture.bind(key, lambda _: self.toggle())
        self._picture.bind("<FocusIn>", lambda _: self._ring(True), add="+")
        self._picture.bind("<FocusOut>", lambda _: self._ring(False), add="+")
        theme_of(self).follow(self._picture, self._paint)

    def toggle(self) -> str:
        if self._is_enabled:
            self.value = not self.value
            self._paint()
            if self._tell is not None:
                self._tell(self.value)
        return "break"

    def set_value(self, value: bool) -> None:
        if self.value != value:
            self.value = value
            self._paint()

    def set_enabled(self, is_enabled: bool) -> None:
        if self._is_enabled != is_enabled:
            self._is_enabled = is_enabled
            self._picture.configure(takefocus=is_enabled)
            self._paint()

    def _ring(self, has_focus: bool) -> None:
        self._has_focus = has_focus and theme_of(self).is_by_keyboard
        self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self._picture.configure(bg=theme.now(self.surface), image=icons.switch(
            self, is_on=self.value, is_enabled=self._is_enabled, track=theme.now("accent" if self.value else "track"),
            knob=theme.now("switch_knob"), ground=theme.now(self.surface), width=theme.px(self.WIDTH),
            height=theme.px(self.HEIGHT), ring=theme.now("accent") if self._has_focus else ""))


class Slider(ctk.CTkSlider):
    """A value on a line. Arrow keys move it; the wheel does not (it would steal scrolling)."""

    def __init__(self, master: Any, *, low: float, high: float, steps: int, command: Callable[[float], Any]) -> None:
        super().__init__(master, from_=low, to=high, number_of_steps=steps, command=command, height=18, width=120,
                         border_width=6, fg_color=pair("track"), progress_color=pair("accent"),
                         button_color=pair("accent"), button_hover_color=pair("accent_hover"),
                         bg_color=pair(surface_of(master)), scroll_step=0)
        self._step = (high - low) / steps
        canvas = self._canvas
        for sequence in ("<Button-4>", "<Button-5>", "<MouseWheel>"):
            canvas.unbind(sequence)
        canvas.configure(takefocus=1)
        for keys, direction in (("<Left>", -1), ("<Down>", -1), ("<Right>", 1), ("<Up>", 1)):
            canvas.bind(keys, partial(self._nudge, direction))
        for keys, direction in (("<Prior>", 10), ("<Next>", -10)):
            canvas.bind(keys, partial(self._nudge, direction))
        canvas.bind("<FocusIn>", lambda _: self.configure(button_color=pair("accent_hover"), border_width=5), add="+")
        canvas.bind("<FocusOut>", lambda _: self.configure(button_color=pair("accent"), border_width=6), add="+")
        canvas.bind("<Button-1>", lambda _: canvas.focus_set(), add="+")

    def _nudge(self, steps: int, _: object) -> str:
        value = min(max(self.get() + steps * self._step, self.cget("from_")), self.cget("to"))
        self.set(value)
        if self._command is not None:
            self._command(self.get())
        return "break"


class Field(ctk.CTkEntry):
    """One line of input; the border says whether it has the focus or holds something that cannot be."""

    def __init__(self, master: Any, *, placeholder: str = "", width: int = 180, secret: bool = False,
                 mono: bool = False, height: int = CONTROL_HEIGHT) -> None:
        theme = theme_of(master)
        super().__init__(master, width=width, height=height, corner_radius=8, border_width=1,
                         fg_color=pair("field"), border_color=pair("border"), text_color=pair("text"),
                         placeholder_text=placeholder or None, placeholder_text_color=pair("faint"),
                         font=theme.ctk_font("mono" if mono else "body"), show="•" if secret else "",
                         bg_color=pair(surface_of(master)))
        self._is_wrong = False
        self._entry.bind("<FocusIn>", lambda _: self._border("accent"), add="+")
        self._entry.bind("<FocusOut>", lambda _: self._border("border"), add="+")
        self._entry.bind("<Control-a>", self._select_all)

    def set_text(self, text: str) -> None:
        """Replace the content, unless it is the same."""
        if self.get() != text:
            self.delete(0, "end")
            if text:
                self.insert(0, text)

    def set_wrong(self, is_wrong: bool) -> None:
        self._is_wrong = is_wrong
        self._border("accent" if self._entry.focus_get() is self._entry else "border")

    def _border(self, name: str) -> None:
        self.configure(border_color=pair("bad" if self._is_wrong else name))

    def _select_all(self, _: object) -> str:
        self._entry.select_range(0, "end")
        return "break"


class Choice(Button):
    """One of a few words: a button with a chevron that opens a menu; arrow keys step through."""

    def __init__(self, master: Any, values: Sequence[str], command: Callable[[str], Any], *, value: str = "",
                 width: int = 140, labels: dict[str, str] | None = None) -> None:
        self._values, self._labels, self._tell = list(values), labels or {}, command
        self.value = value or (self._values[0] if self._values else "")
        super().__init__(master, self._label(self.value), self._open, trailing="chevron", width=width, anchor="w")
        self.menu: tk.Menu | None = None
        for key, step in (("<Down>", 1), ("<Up>", -1)):
            self.bind(key, partial(self._key_moved, step))

    def set_values(self, values: Sequence[str], labels: dict[str, str] | None = None) -> None:
        self._values, self._labels = list(values), labels or self._labels
        self.show(self._label(self.value))

    def set_value(self, value: str) -> None:
        """Show another value without calling the command."""
        if value != self.value:
            self.value = value
            self.show(self._label(value))

    def _label(self, value: str) -> str:
        return self._labels.get(value, value)

    def _open(self) -> None:
        theme = theme_of(self)
        if self.menu is not None:
            self.menu.destroy()
        self.menu = popup_menu(self, theme)
        for value in self._values:
            mark = "✓  " if value == self.value else "     "
            self.menu.add_command(label=mark + self._label(value), command=partial(self._pick, value))
        self.menu.tk_popup(self.winfo_rootx(), self.winfo_rooty() + self.winfo_height() + 2)

    def _key_moved(self, step: int, _: object) -> str:
        if self.value in self._values:
            at = min(max(self._values.index(self.value) + step, 0), len(self._values) - 1)
            self._pick(self._values[at])
        return "break"

    def _pick(self, value: str) -> None:
        if value != self.value:
            self.set_value(value)
            self._tell(value)


class Segments(Row):
    """A few words side by side, one of them chosen; arrow keys move the choice."""

    def __init__(self, master: Any, labels: dict[str, str], command: Callable[[str], Any]) -> None:
        super().__init__(master)
        self._tell = command
        self.value = next(iter(labels))
        self.parts: dict[str, Button] = {}
        for column, (value, words) in enumerate(labels.items()):
            part = Button(self, words, partial(self.pick, value), kind="quiet", width=84, height=32)
            part.grid(row=0, column=column, padx=(0, XS))
            for key, step in (("<Left>", -1), ("<Right>", 1)):
                part.bind(key, partial(self._move, step))
            self.parts[value] = part
        self._paint()

    def pick(self, value: str) -> None:
        """Choose one and tell."""
        if value != self.value:
            self.value = value
            self._paint()
            self._tell(value)

    def _move(self, step: int, _: object) -> str:
        values = list(self.parts)
        self.pick(values[(values.index(self.value) + step) % len(values)])
        self.parts[self.value].focus_set()
        return "break"

    def _paint(self) -> None:
        for value, part in self.parts.items():
            part.set_kind("active" if value == self.value else "quiet")


def popup_menu(master: Any, theme: Any) -> tk.Menu:
    """An empty menu in the colours of the window."""
    return tk.Menu(master, tearoff=False, font=theme.fonts["body"], bg=theme.now("card"), fg=theme.now("text"),
                   activebackground=theme.now("accent_soft"), activeforeground=theme.now("text"), bd=1,
                   activeborderwidth=5, relief="flat", disabledforeground=theme.now("faint"))


class Pill(tk.Label):
    """A word on a tinted ground: 'Private', 'Running'."""

    def __init__(self, master: Any, text: str = "", *, tone: str = "idle") -> None:
        theme = theme_of(master)
        super().__init__(master, text=text, font=theme.fonts["caption_strong"], bd=0, padx=S, pady=2)
        self._tone = tone
        theme.follow(self, self._paint)

    def show(self, text: str, tone: str) -> None:
        if self.cget("text") != text:
            self.configure(text=text)
        if tone != self._tone:
            self._tone = tone
            self._paint()

    def _paint(self) -> None:
        theme = theme_of(self)
        self.configure(bg=theme.now(f"{self._tone}_soft"), fg=theme.now(self._tone if self._tone != "accent"
                                                                        else "accent_text"))


class Progress(tk.Canvas):
    """How far a job is, 0 to 1."""

    def __init__(self, master: Any, width: int = 10) -> None:
        theme = theme_of(master)
        super().__init__(master, bd=0, highlightthickness=0, takefocus=0, height=theme.px(6), width=theme.px(width))
        self._surface, self._share = surface_of(master), 0.0
        self.bind("<Configure>", lambda _: self._paint())
        theme.follow(self, self._paint)

    def show(self, share: float) -> None:
        if abs(share - self._share) > 0.002:
            self._share = share
            self._paint()

    def _paint(self) -> None:
        theme, width, middle = theme_of(self), self.winfo_width(), self.winfo_height() / 2
        self.configure(bg=theme.now(self._surface))
        self.delete("all")
        thick, inset = theme.px(5), theme.px(3)
        for end, colour in ((1.0, "track"), (self._share, "accent")):
            if end > 0:
                self.create_line(inset, middle, inset + (width - 2 * inset) * end, middle, width=thick,
                                 capstyle="round", fill=theme.now(colour))


class Line(tk.Frame):
    """A hairline between two things."""

    def __init__(self, master: Any) -> None:
        super().__init__(master, height=1, bd=0, highlightthickness=0)
        theme = theme_of(master)
        theme.follow(self, lambda: self.configure(bg=theme.now("border")))


class Banner(Sheet):
    """A sentence that matters, its cure, and at most one thing to do about it."""

    def __init__(self, master: Any, tone: str = "bad") -> None:
        super().__init__(master, fill=f"{tone}_soft", border="", radius=RADIUS)
        self.grid_columnconfigure(1, weight=1)
        self._tone = tone
        self._icon = tk.Label(self, bd=0)
        theme = theme_of(self)
        theme.follow(self._icon, lambda: self._icon.configure(
            bg=theme.now(self.surface), image=icons.photo(self, "alert", theme.now(tone), theme.px(18))))
        self._icon.grid(row=0, column=0, rowspan=2, padx=(M, S), pady=S, sticky="n")
        self.what = Text(self, role="strong", wrap=True)
        self.cure = Text(self, role="small", colour="muted", wrap=True)
        self.button = Button(self, "", kind="secondary")

    def show(self, what: str, cure: str = "", *, action: str = "", command: Callable[[], Any] | None = None) -> None:
        """Put the sentence up; an empty `what` takes nothing away: the owner of the banner grids it."""
        self.what.show(what)
        self.cure.show(cure)
        self.what.grid(row=0, column=1, sticky="ew", pady=(S, 0 if cure else S), padx=(0, S))
        if cure:
            self.cure.grid(row=1, column=1, sticky="ew", pady=(0, S), padx=(0, S))
        else:
            self.cure.grid_remove()
        if action:
            self.button.show(action)
            self.button.set_command(command)
            self.button.grid(row=0, column=2, rowspan=2, padx=(0, M), pady=S)
        else:
            self.button.grid_remove()


class EmptyState(Row):
    """What a room shows while there is nothing: a picture, a sentence and what to do next."""

    def __init__(self, master: Any, *, icon: str, title: str, text: str, action: str = "",
                 command: Callable[[], Any] | None = None, second: str = "",
                 second_command: Callable[[], Any] | None = None) -> None:
        super().__init__(master)
        theme = theme_of(self)
        self.grid_columnconfigure(0, weight=1)
        picture = tk.Label(self, bd=0)
        theme.follow(picture, lambda: picture.configure(
            bg=theme.now(self.surface), image=icons.photo(self, icon, theme.now("faint"), theme.px(40))))
        picture.grid(row=0, column=0, pady=(M, S))
        Text(self, title, role="heading", anchor="center").grid(row=1, column=0)
        body = Text(self, text, colour="muted", anchor="center", justify="center")
        body.configure(wraplength=theme.px(420))
        body.grid(row=2, column=0, pady=(XS, M))
        if action:
            self.button = Button(self, action, command, kind="primary")
            self.button.grid(row=3, column=0, pady=(0, S if second else M))
        if second:
            self.second = Button(self, second, second_command, kind="quiet")
            self.second.grid(row=4, column=0, pady=(0, M))


class Tooltip:
    """A few words beside the pointer after a short rest; one window for all of them."""

    _window: tk.Toplevel | None = None
    _label: tk.Label | None = None

    def __init__(self, widget: Any, text: str) -> None:
        self._widget, self.text = widget, text
        self._waiting: str | None = None
        widget.bind("<Enter>", self._wait, add="+")
        for sequence in ("<Leave>", "<Button-1>"):
            widget.bind(sequence, self._hide, add="+")

    def _wait(self, _: object) -> None:
        self._hide(None)
        if self.text:
            self._waiting = self._widget.after(450, self._show)

    def _show(self) -> None:
        theme = theme_of(self._widget)
        if Tooltip._window is None or not Tooltip._window.winfo_exists():
            Tooltip._window = tk.Toplevel(theme.root)
            Tooltip._window.withdraw()
            Tooltip._window.overrideredirect(True)
            Tooltip._label = tk.Label(Tooltip._window, bd=0, padx=S, pady=5, justify="left", wraplength=theme.px(300))
            Tooltip._label.pack(padx=1, pady=1)
        assert Tooltip._label is not None
        Tooltip._window.configure(bg=theme.now("border"))
        Tooltip._label.configure(text=self.text, font=theme.fonts["small"], bg=theme.now("card"), fg=theme.now("text"))
        Tooltip._window.update_idletasks()
        width = Tooltip._window.winfo_reqwidth()
        x = min(self._widget.winfo_rootx(), self._widget.winfo_screenwidth() - width - 8)
        Tooltip._window.geometry(f"+{x}+{self._widget.winfo_rooty() + self._widget.winfo_height() + 6}")
        Tooltip._window.deiconify()
        Tooltip._window.lift()

    def _hide(self, _: object) -> None:
        if self._waiting is not None:
            self._widget.after_cancel(self._waiting)
            self._waiting = None
        if Tooltip._window is not None and Tooltip._window.winfo_exists():
            Tooltip._window.withdraw()
