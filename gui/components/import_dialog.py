"""Choosing exports to import, from wherever one may."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tkinter import filedialog

from gui import texts
from gui.components.room import Panel
from gui.presenters import format as words
from gui.presenters.people import import_arguments
from storage.jobs.kinds import JobKind, job_label


def choose_exports(panel: Panel) -> None:
    """The file dialog, then the question."""
    names = filedialog.askopenfilenames(
        parent=panel.root,
        title=texts.IMPORT_TITLE,
        initialdir=str(Path.home()),
        filetypes=[(texts.IMPORT_KINDS, "*.json *.jsonl *.ndjson *.zip *.gz"), ("*", "*")],
    )
    if names:
        ask_import(panel, *map(Path, names))


def ask_import(panel: Panel, *paths: Path) -> None:
    """The question before an import; the file dialog ends here."""
    name = paths[0].name if len(paths) == 1 else words.plural(len(paths), "file")
    panel.confirm(
        texts.IMPORT_ASK_TITLE.format(name=name),
        texts.IMPORT_ASK_TEXT,
        [(texts.CANCEL, "secondary", None), (texts.IMPORT_GO, "primary", lambda: _import(panel, paths))],
    )


def _import(panel: Panel, paths: Sequence[Path]) -> None:
    channels = paths[0].with_name("channels.json")
    found = str(channels) if channels.exists() and channels not in paths else None
    panel.start_job(JobKind.IMPORT, import_arguments(list(map(str, paths)), found))
    panel.toast(texts.JOB_STARTED.format(name=job_label(JobKind.IMPORT)))
