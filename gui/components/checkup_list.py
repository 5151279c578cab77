"""What a check-up found, to be read whole, with the button that cures it."""

from __future__ import annotations

from typing import Any

from gui import texts
from gui.components.basics import Hairline, RowFrame, Text
from gui.components.button import Button
from gui.components.room import M, Panel, S
from gui.presenters.first_run import FindingRow


class CheckupList(RowFrame):
    """One line for each finding."""

    def __init__(self, master: Any, panel: Panel) -> None:
        super().__init__(master)
        self._panel = panel
        self.grid_columnconfigure(0, weight=1)
        self.lines: list[FindingLine] = []
        self.empty = Text(self, texts.CHECKUP_EMPTY, colour="muted", wrap=True)
        self.empty.grid(row=0, column=0, sticky="ew")

    def show(self, findings: tuple[FindingRow, ...]) -> None:
        """Show the findings, in their order; lines are reused."""
        (self.empty.grid_remove if findings else self.empty.grid)()
        while len(self.lines) < len(findings):
            line = FindingLine(self, self._panel, is_first=not self.lines)
            line.grid(row=len(self.lines) + 1, column=0, sticky="ew")
            self.lines.append(line)
        for line, finding in zip(self.lines, findings, strict=False):
            line.show(finding)
            line.grid()
        for line in self.lines[len(findings) :]:
            line.grid_remove()


class FindingLine(RowFrame):
    """One finding."""

    def __init__(self, master: Any, panel: Panel, *, is_first: bool) -> None:
        super().__init__(master)
        self._panel = panel
        self._finding: FindingRow | None = None
        self.grid_columnconfigure(1, weight=1)
        if not is_first:
            Hairline(self).grid(row=0, column=0, columnspan=3, sticky="ew", pady=S)
        self.mark = Text(self, "", role="strong", width=2, anchor="n")
        self.mark.grid(row=1, column=0, rowspan=3, sticky="n", padx=(0, S))
        self.name = Text(self, "", role="strong")
        self.name.grid(row=1, column=1, sticky="w")
        self.words = Text(self, "", role="small", wrap=True)
        self.words.grid(row=2, column=1, sticky="ew", padx=(0, M))
        self.cure = Text(self, "", role="small", colour="muted", wrap=True)
        self.cure.grid(row=3, column=1, sticky="ew", padx=(0, M))
        self.button = Button(self, "", self._act)
        self.button.grid(row=1, column=2, rowspan=3, sticky="e")

    def show(self, finding: FindingRow) -> None:
        if finding == self._finding:
            return
        self._finding = finding
        self.mark.show(finding.mark, colour=finding.tone)
        self.name.show(finding.name)
        self.words.show(finding.words)
        self.cure.show(finding.cure)
        (self.cure.grid if finding.cure else self.cure.grid_remove)()
        self.button.show(finding.action)
        self.button.set_shown(bool(finding.action))

    def _act(self) -> None:
        finding = self._finding
        if finding is not None and finding.job_kind:
            self._panel.start_job(finding.job_kind, list(finding.arguments))
        elif finding is not None and finding.place:
            self._panel.go(finding.place)


__all__ = ["CheckupList"]
