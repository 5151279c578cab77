"""What was said, line by line: one text widget, so that twenty messages a second cost next to nothing.

Only what changed is written anew; at most so many lines in one go. Lines are picked with a click, several with Ctrl, or
with the arrow keys; what can be done about them stands beside the feed.
"""

from __future__ import annotations

import tkinter as tk
from collections.abc import Callable, Sequence
from typing import Any

from gui.components.shapes import ThinBar
from gui.components.theme import surface_of, theme_of
from gui.presenters.live import FeedLine

AVATAR = 26
# Grounds and ink of members' initials, as calm in both appearances; the bot's own is the accent.
_GROUNDS = ("#4A76A8", "#3F7D5E", "#9A6A2F", "#A8555F", "#6A5FA0", "#3B7A86", "#8A5A8C", "#66703A")
# So many lines are written before the window has its turn.
SLICE = 12
_TONES = ("idle", "good", "bad", "busy")


class Feed(tk.Frame):
    """`show(lines)`, oldest first; `picked(ids)` is called when the choice changes. scrolls: a page that stays short
    does not."""

    def __init__(
        self, master: Any, picked: Callable[[tuple[int, ...]], Any], *, scrolls: bool = True, height: int = 10
    ) -> None:
        super().__init__(master, bd=0, highlightthickness=0)
        self.surface = surface_of(master)
        self._picked_call = picked
        self.lines: tuple[FeedLine, ...] = ()
        self.picked: tuple[int, ...] = ()
        self._asked: tuple[FeedLine, ...] = ()
        self._wanted: tuple[FeedLine, ...] | None = None
        self._scrolls = scrolls
        # Until somebody scrolls away from it, the end stays in view whatever comes and changes its size.
        self._is_at_end = True
        self._job: str | None = None
        theme = theme_of(self)
        self.grid_columnconfigure(0, weight=1)
        self.grid_rowconfigure(0, weight=1)
        self.text = tk.Text(
            self,
            bd=0,
            highlightthickness=0,
            wrap="word",
            width=10,
            height=height,
            font=theme.fonts["body"],
            cursor="arrow",
            padx=0,
            pady=theme.px(4),
            insertwidth=0,
            takefocus=1,
        )
        self.text.grid(row=0, column=0, sticky="nsew")
        self.bar = ThinBar(self, self._bar_moved)
        if scrolls:
            self.grid_columnconfigure(1, minsize=theme.px(12))
            self.bar.grid(row=0, column=1, sticky="ns")
            self.text.configure(yscrollcommand=self.bar.set)
        self._connect()
        theme.follow(self, self._paint)

    # ---- content ---------------------------------------------------------------------------------

    def show(self, lines: Sequence[FeedLine]) -> None:
        """Other lines: those that left at the top go, and everything from the first that differs is written anew."""
        wanted = tuple(lines)
        if wanted == self._asked:
            return
        self._asked = self._wanted = wanted
        if self._job is None:
            self._work()

    def place_of(self, line_id: int) -> tuple[int, int] | None:
        """Where a line stands in the widget (x, y), None while it is out of view."""
        ranges = self.text.tag_ranges(f"line{line_id}")
        box = self.text.bbox(str(ranges[0])) if ranges else None
        return (box[0] + 60, box[1] + box[3] // 2) if box else None

    def pick(self, line_id: int, *, more: bool = False) -> None:
        """Choose a line; `more`: besides those chosen, or not any more."""
        if more:
            kept = [number for number in self.picked if number != line_id]
            self._choose((*kept, line_id) if len(kept) == len(self.picked) else tuple(kept))
        else:
            self._choose((line_id,))

    def move(self, step: int, *, only: Callable[[FeedLine], bool] = lambda _: True) -> None:
        """Choose the next line in a direction that `only` accepts."""
        fitting = [line.id for line in self.lines if only(line)]
        if not fitting:
            return
        order = {line.id: place for place, line in enumerate(self.lines)}
        here = order.get(self.picked[-1]) if self.picked else None
        if here is None:
            target = fitting[-1 if step < 0 else 0]
        else:
            beyond = [number for number in fitting if (order[number] - here) * step > 0]
            if not beyond:
                return
            target = beyond[0 if step > 0 else -1]
        self._choose((target,))
        ranges = self.text.tag_ranges(f"line{target}")
        if ranges:
            self.text.see(str(ranges[-1]))
            self.text.see(str(ranges[0]))
            self._moved_by_hand()

    def to_end(self) -> None:
        """Go to the newest line and stay there."""
        self._is_at_end = True
        self._stay()

    def _stay(self) -> None:
        if self._is_at_end:
            self.text.yview_moveto(1.0)

    def _moved_by_hand(self) -> None:
        self._is_at_end = self.text.yview()[1] > 0.98

    def _bar_moved(self, *arguments: Any) -> None:
        self.text.yview(*arguments)
        self._moved_by_hand()

    # ---- writing ---------------------------------------------------------------------------------

    def _work(self) -> None:
        """One slice; the rest with the window's next turn."""
        self._job = None
        if not self.winfo_exists() or self._wanted is None:
            return
        wanted = self._wanted
        self.text.configure(state="normal")
        self._drop_top(wanted)
        same = _same(self.lines, wanted)
        if same < len(self.lines):
            self.text.delete(self._start_of(same), "end-1c")
            self.lines = self.lines[:same]
        for line in wanted[same : same + SLICE]:
            self._write(line)
        self.lines = wanted[: same + SLICE]
        self.text.configure(state="disabled")
        self._stay()
        if len(self.lines) < len(wanted):
            self._job = self.after(1, self._work)
        else:
            self._wanted = None
            if not self._scrolls:
                self._fit()
            shown = {line.id for line in self.lines}
            if any(number not in shown for number in self.picked):
                self._choose(tuple(number for number in self.picked if number in shown))

    def _fit(self) -> None:
        """Where nothing scrolls, no line is shown in half: the oldest go until the rest has room."""
        self.text.update_idletasks()
        self.text.configure(state="normal")
        while len(self.lines) > 1 and self._height() > self.text.winfo_height() > 1:
            self.text.delete("1.0", self._start_of(1))
            self.lines = self.lines[1:]
        self.text.configure(state="disabled")

    def _height(self) -> int:
        counted: Any = self.text.count("1.0", "end", "update", "ypixels")
        return int(counted[0] if isinstance(counted, tuple) else counted or 0)

    def _drop_top(self, wanted: tuple[FeedLine, ...]) -> None:
        first = wanted[0].id if wanted else None
        gone = next((place for place, line in enumerate(self.lines) if line.id == first), len(self.lines))
        if gone:
            self.text.delete("1.0", self._start_of(gone) if gone < len(self.lines) else "end-1c")
            self.lines = self.lines[gone:]

    def _start_of(self, place: int) -> str:
        ranges = self.text.tag_ranges(f"line{self.lines[place].id}")
        return str(ranges[0]) if ranges else "end"

    def _write(self, line: FeedLine) -> None:
        text, tag = self.text, f"line{line.id}"
        mark = (tag, "own" if line.is_own else "other")
        start = text.index("end-1c")
        text.image_create("end", image=self._avatar(line), padx=theme_of(self).px(6), align="center")
        for name in (*mark, "head"):
            text.tag_add(name, start)
        text.insert("end", line.name, (*mark, "head", "name", "own_name" if line.is_own else "other_name"))
        text.insert("end", f"  {line.meta}\n", (*mark, "head", "meta"))
        said = "gone" if line.is_gone else "said"
        text.insert("end", f"{line.text}\n", (*mark, "body", said))
        if line.pill:
            text.insert("end", f" {line.pill} ", (*mark, "body", "pill", f"pill_{line.tone}"))
            text.insert("end", "\n", (*mark, "body"))
        text.insert("end", "\n", (*mark, "foot"))
        if line.id in self.picked:
            text.tag_add("picked", start, "end-1c")

    def _avatar(self, line: FeedLine) -> Any:
        theme = theme_of(self)
        ground = theme.now("accent") if line.is_own else _GROUNDS[line.avatar % len(_GROUNDS)]
        letter = next((c for c in line.name if c.isalnum()), "?").upper()
        behind = theme.now("accent_soft" if line.is_own else self.surface)
        return _disc(self, letter, ground, behind, theme.px(AVATAR))

    # ---- hands -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        text = self.text
        text.bind("<Button-1>", lambda event: self._clicked(event, more=False))
        text.bind("<Control-Button-1>", lambda event: self._clicked(event, more=True))
        for sequence in ("<B1-Motion>", "<Double-Button-1>", "<Triple-Button-1>", "<Key>"):
            text.bind(sequence, lambda _: "break")
        for sequence in ("<Tab>", "<Shift-Tab>", "<Control-f>", "<Control-q>", "<Escape>", "<<PrevWindow>>"):
            text.bind(sequence, lambda _: None)
        text.bind("<Up>", lambda _: self._moved(-1))
        text.bind("<Down>", lambda _: self._moved(1))
        text.bind("<Prior>", lambda _: self._bar_moved("scroll", "-1", "pages"))
        text.bind("<Next>", lambda _: self._bar_moved("scroll", "1", "pages"))
        for sequence in ("<MouseWheel>", "<Button-4>", "<Button-5>"):  # after the text has scrolled by itself
            text.bind(sequence, lambda _: self.after_idle(self._moved_by_hand))
        text.bind("<Configure>", lambda _: self._stay())

    def _moved(self, step: int) -> str:
        self.move(step)
        return "break"

    def _clicked(self, event: tk.Event[tk.Misc], *, more: bool) -> str:
        self.text.focus_set()
        names = self.text.tag_names(f"@{event.x},{event.y}")
        found = next((name for name in names if name.startswith("line")), "")
        if found:
            self.pick(int(found.removeprefix("line")), more=more)
        return "break"

    def _choose(self, ids: tuple[int, ...]) -> None:
        if ids == self.picked:
            return
        self.picked = ids
        self.text.tag_remove("picked", "1.0", "end")
        for number in ids:
            ranges = self.text.tag_ranges(f"line{number}")
            if ranges:
                self.text.tag_add("picked", str(ranges[0]), str(ranges[-1]))
        self._picked_call(ids)

    # ---- look ------------------------------------------------------------------------------------

    def _paint(self) -> None:
        theme, text = theme_of(self), self.text
        ground = theme.now(self.surface)
        self.configure(bg=ground)
        text.configure(bg=ground, fg=theme.now("text"), selectbackground=ground, selectforeground=theme.now("text"))
        indent, edge = theme.px(AVATAR + 18), theme.px(8)
        text.tag_configure("other", lmargincolor=ground, rmargincolor=ground)
        own = theme.now("accent_soft")
        text.tag_configure("own", background=own, lmargincolor=own, rmargincolor=own)
        text.tag_configure("name", font=theme.fonts["strong"])
        text.tag_configure("own_name", foreground=theme.now("accent_text"))
        text.tag_configure("other_name", foreground=theme.now("text"))
        text.tag_configure("meta", font=theme.fonts["caption"], foreground=theme.now("muted"))
        text.tag_configure("gone", foreground=theme.now("faint"))
        text.tag_configure("head", spacing1=edge, lmargin1=theme.px(4), lmargin2=indent)
        text.tag_configure("body", lmargin1=indent, lmargin2=indent, rmargin=theme.px(10))
        # A line of its own: a line's spacing would take the colour of the pill in it.
        text.tag_configure("foot", font=(theme.family, -theme.px(6)))
        text.tag_configure("pill", font=theme.fonts["caption_strong"])
        picked = theme.now("hover")
        text.tag_configure("picked", background=picked, lmargincolor=picked, rmargincolor=picked)
        text.tag_raise("picked", "own")
        for tone in _TONES:
            text.tag_configure(f"pill_{tone}", background=theme.now(f"{tone}_soft"), foreground=theme.now(tone))
            text.tag_raise(f"pill_{tone}")
        if self.lines:  # pictures have their ground painted in
            lines, self.lines = self.lines, ()
            text.configure(state="normal")
            text.delete("1.0", "end-1c")
            self._asked = ()
            self.show(lines)


def _same(old: Sequence[FeedLine], new: Sequence[FeedLine]) -> int:
    count = 0
    for one, other in zip(old, new, strict=False):
        if one != other:
            break
        count += 1
    return count


def _disc(owner: tk.Misc, letter: str, ground: str, behind: str, size: int) -> Any:
    """An initial on a round ground; kept by the window."""
    from PIL import Image, ImageDraw, ImageFont, ImageTk

    root: Any = owner.nametowidget(".")
    kept: dict[Any, Any] = root.__dict__.setdefault("_kept_discs", {})
    key = (letter, ground, behind, size)
    if key not in kept:
        big = size * 3
        picture = Image.new("RGB", (big, big), behind)
        pen = ImageDraw.Draw(picture)
        pen.ellipse([0, 0, big - 1, big - 1], fill=ground)
        font = ImageFont.load_default(size=big * 0.48)
        pen.text((big / 2, big / 2), letter, fill="#FFFFFF", font=font, anchor="mm")
        small = picture.resize((size, size), Image.Resampling.LANCZOS)
        if len(kept) > 400:
            kept.clear()
        kept[key] = ImageTk.PhotoImage(small, master=root)
    return kept[key]
