"""Every file the program writes below a workspace: where it lies, who writes it, and what an erasure does with it.

`KINDS` is the one list. Erasure walks it (`storage.forgetting`), and a test runs the whole pipeline and asks that each
file that appears is claimed by a kind. A new writer adds its kind here, or that test fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from storage.control import KeyValueStore
from storage.jobs.table import Jobs
from storage.paths import Workspace
from storage.split_files import is_later_part, model_bytes, model_files, part_name, whole_stem
from storage.system.files import remove_file, write_whole

MANIFEST = "manifest.json"
RUN = "run.json"
POINTER = "current.json"
_VERSION_FORMAT = 1
# Folders of ours outside the workspace, as [[kind, path], ...]: an owner may prepare or evaluate anywhere.
_ELSEWHERE_FACT = "artefacts_elsewhere"


class Care(StrEnum):
    """What an erasure does with a file of a kind."""

    NOTHING = "it quotes nobody"
    ROWS = "rows that quote them go"
    DOCUMENT = "their entries go, by id"
    QUOTES = "it quotes people without saying whom: it is deleted, and can be made again"
    SAMPLES = "its figures stay, its quotations go"
    OWNERS = "an export the owner put there: what is theirs goes"
    LOG = "lines with their id are blanked"
    DATABASE = "rows go, the file is rewritten"
    COPY = "a copy of a database: the same, or it goes where it cannot be read"
    INDEX = "rows go, the table is rewritten"
    BACKUP = "made again without them"
    LEFTOVER = "of work that was killed: deleted"


@dataclass(frozen=True)
class Kind:
    """Files matched by `pattern`, a path below the workspace with * (within a name), ** (folders) and {a,b}."""

    name: str
    pattern: str
    care: Care
    writer: str

    @property
    def quotes_members(self) -> bool:
        """Whether an erasure has to look into files of this kind."""
        return self.care is not Care.NOTHING

    @cached_property
    def expression(self) -> re.Pattern[str]:
        """The pattern as a regular expression over the path with forward slashes."""
        parts = re.split(r"(\*\*/|\*\*|\*|\{[^}]*\})", self.pattern)
        return re.compile("".join(_part(part) for part in parts))


# The first that matches counts.
KINDS: tuple[Kind, ...] = (
    Kind("environment", ".env*", Care.NOTHING, "storage/environment.py"),
    # ---- databases -----------------------------------------------------------------------------------
    Kind("database", "data_storage/database/{control,messages}.db*", Care.DATABASE, "storage/database.py"),
    Kind("lock", "data_storage/database/*.{open-lock,json}", Care.NOTHING, "storage/database.py"),
    Kind("lock", "data_storage/locks/**", Care.NOTHING, "storage/locks.py"),
    Kind("salvage", "data_storage/database/salvage-*/**", Care.LEFTOVER, "storage/salvage.py"),
    Kind("side copy", "data_storage/database/**", Care.COPY, "storage/migrations.py, backup.py, salvage.py"),
    # ---- index ---------------------------------------------------------------------------------------
    Kind("search index", "data_storage/embeddings/**", Care.INDEX, "storage/vectordb.py"),
    Kind("search index", "data_storage/embeddings.*/**", Care.LEFTOVER, "storage/backup.py"),
    # Weights, no words; what they were learnt from can be taken back all the same.
    Kind("learnt reactions", "data_storage/habits/**", Care.QUOTES, "model/emoji_reactions.py"),
    # ---- data sets and exports -----------------------------------------------------------------------
    Kind("unfinished data set", "data_storage/messages/**/.*.{partial,old}/**", Care.LEFTOVER, "data/preprocessor.py"),
    Kind("data set's page", "data_storage/messages/**/report.html", Care.QUOTES, "data/dataset_report.py"),
    Kind("rejected replies", "data_storage/messages/rejected-*.jsonl", Care.QUOTES, "data/preferences.py"),
    Kind(
        "data set",
        "data_storage/messages/**/{train,validation,test,preferences,kto,sessions}.jsonl*",
        Care.ROWS,
        "data/preprocessor.py",
    ),
    Kind("data set's manifest", "data_storage/messages/**/manifest.json", Care.DOCUMENT, "data/preprocessor.py"),
    Kind("export", "data_storage/messages/**", Care.OWNERS, "the owner"),
    # ---- evaluations and blind tests -----------------------------------------------------------------
    Kind("evaluation", "data_storage/evaluation/**/report.json", Care.SAMPLES, "model/evaluation/report.py"),
    Kind("evaluation", "data_storage/evaluation/**/{suggested_settings,score}.json", Care.NOTHING, "scripts"),
    Kind("evaluation", "data_storage/evaluation/**", Care.QUOTES, "model/evaluation"),
    Kind("blind test's key", "data_storage/blind_tests/*/key.json", Care.NOTHING, "model/evaluation/blind_test.py"),
    Kind("blind test's results", "data_storage/blind_tests/*/results/**", Care.NOTHING, "storage/blind_test.py"),
    Kind("blind test", "data_storage/blind_tests/**", Care.QUOTES, "model/evaluation/blind_test.py"),
    # ---- models --------------------------------------------------------------------------------------
    Kind("pointer", "models/finetuned/current.json", Care.NOTHING, "model/publishing/deployment.py"),
    Kind("evaluation", "models/finetuned/*.report.json", Care.SAMPLES, "model/publishing/deployment.py"),
    # As with reactions: weights, learnt from what can be taken back.
    Kind("drafts' scorer", "models/**.drafts.json", Care.QUOTES, "model/draft_scorer.py"),
    Kind("version's manifest", "models/finetuned/**.json", Care.DOCUMENT, "model/publishing/deployment.py"),
    Kind("weights", "models/finetuned/**", Care.NOTHING, "model/publishing/deployment.py"),
    Kind("training run", "models/training/**/{run.json,*.manifest.json}", Care.DOCUMENT, "model/training"),
    Kind("training run", "models/training/**", Care.NOTHING, "model/training"),
    Kind("model", "models/{base,embedding}/**", Care.NOTHING, "model/files/download.py"),
    # ---- the rest ------------------------------------------------------------------------------------
    Kind("log", "logs/**", Care.LOG, "storage/logs.py, storage/processes.py"),
    Kind("backup", "backups/**", Care.BACKUP, "storage/backup.py"),
)


def kind_of(path: Path, workspace: Workspace) -> Kind | None:
    """The kind that claims a file, None for a stranger's."""
    name = path.relative_to(workspace.root).as_posix()
    return next((kind for kind in KINDS if kind.expression.fullmatch(name)), None)


def files(workspace: Workspace, *cares: Care) -> Iterator[tuple[Path, Kind]]:
    """Files whose kind gets one of these cares, links left out. Everything when none is given."""
    for top in ("data_storage", "models", "logs"):
        for path in sorted((workspace.root / top).rglob("*")):
            if path.is_file() and not path.is_symlink():
                kind = kind_of(path, workspace)
                if kind is not None and (not cares or kind.care in cares):
                    yield path, kind


# ---- outside the workspace ----------------------------------------------------------------------------


def remember_elsewhere(facts: KeyValueStore, workspace: Workspace, folder: Path) -> None:
    """Write down that a data set, a run, an evaluation or a blind test lies in `folder`, so that erasures find it."""
    known = facts.get(_ELSEWHERE_FACT, [])
    path = str(folder.resolve())
    if not folder.resolve().is_relative_to(workspace.root) and path not in known:
        facts.set(_ELSEWHERE_FACT, [*known, path])


def remembered(facts: KeyValueStore) -> list[Path]:
    """Folders outside as they were written down, there or not."""
    return [Path(path) for path in facts.get(_ELSEWHERE_FACT, [])]


def elsewhere(facts: KeyValueStore, jobs: Jobs, workspace: Workspace) -> list[Path]:
    """Folders of ours outside the workspace that are still there: as written down, and as old jobs reported them."""
    known = remembered(facts)
    for job in jobs.recent(limit=500):
        known += [Path(value) for value in _strings(job.result) if len(value) < 1000]
    known += [run.data_path for run in TrainingRun.all(workspace) if run.data_path]
    found: dict[Path, None] = {}
    for path in known:
        folder = path if path.is_absolute() and path.is_dir() else path.parent
        if path.is_absolute() and not folder.is_relative_to(workspace.root) and is_of_ours(folder):
            found[folder] = None
    return list(found)


def is_of_ours(folder: Path) -> bool:
    """Whether a folder outside holds a data set, a run, an evaluation or a blind test, by what only they hold."""
    marks = (
        ("train.jsonl", MANIFEST),
        (RUN,),
        ("report.json", "report.html"),
        ("quiz.json", "key.json"),
    )
    return folder.is_dir() and any(all((folder / name).is_file() for name in mark) for mark in marks)


def care_elsewhere(path: Path) -> Care:
    """What an erasure does with a file of such a folder: by its name, and nothing with names that are not ours."""
    if (
        re.fullmatch(r"(train|validation|test|preferences|kto|sessions)\.jsonl.*", path.name)
        and (path.parent / MANIFEST).is_file()
    ):
        return Care.ROWS
    if path.name in (MANIFEST, RUN) or path.name.endswith(".manifest.json"):
        return Care.DOCUMENT
    if path.name == "report.json":
        return Care.SAMPLES
    if path.name in ("report.html", "quiz.json", "blind-test.html") or path.parent.name == "answers":
        return Care.QUOTES
    return Care.NOTHING


# ---- typed manifests ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreparedSet:
    """A finished data set: its folder and what its manifest says. format 0: made before manifests had one."""

    folder: Path
    format: int
    made_at: float
    data_hash: str
    layout: int
    is_deleted_after_training: bool
    has_canaries: bool
    manifest: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> PreparedSet | None:
        """None when the folder was never finished (the manifest comes last) or its manifest cannot be read."""
        manifest = read_object(folder / MANIFEST)
        if manifest is None:
            return None
        return cls(
            folder,
            _int(manifest.get("format")),
            _float(manifest.get("made_at")),
            str(manifest.get("hash") or ""),
            _int(manifest.get("layout")),
            bool(manifest.get("delete_after_training")),
            bool(manifest.get("has_canaries")),
            manifest,
        )

    @classmethod
    def all(cls, workspace: Workspace) -> list[PreparedSet]:
        """Finished data sets in their usual place, newest first (by their folder's last change, as copies keep it)."""
        folders = [path.parent for path in workspace.message_files.glob(f"*/{MANIFEST}")]
        folders = [folder for folder in folders if not folder.name.startswith(".")]
        folders.sort(key=lambda folder: -(folder / MANIFEST).stat().st_mtime)
        return [found for folder in folders if (found := cls.read(folder))]

    @classmethod
    def newest(cls, workspace: Workspace) -> PreparedSet | None:
        """The data set prepared last; None where there is none."""
        return next(iter(cls.all(workspace)), None)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A run below models/training: where its data was, and whether it was finished."""

    folder: Path
    data_path: Path | None
    is_finished: bool

    @classmethod
    def read(cls, folder: Path) -> TrainingRun | None:
        """The run recorded in a folder; None where the record is missing or cannot be read."""
        record = read_object(folder / RUN)
        if record is None:
            return None
        data = record.get("data_path")
        return cls(
            folder,
            Path(data) if isinstance(data, str) and data else None,
            bool(list(folder.glob("*.manifest.json"))),
        )

    @classmethod
    def all(cls, workspace: Workspace) -> list[TrainingRun]:
        """Newest first."""
        folders = [path.parent for path in (workspace.root / "models" / "training").glob(f"*/{RUN}")]
        folders.sort(key=lambda folder: -(folder / RUN).stat().st_mtime)
        return [found for folder in folders if (found := cls.read(folder))]

    @classmethod
    def newest(cls, workspace: Workspace) -> TrainingRun | None:
        """The run that ended last; None where there is none."""
        return next(iter(cls.all(workspace)), None)


@dataclass(frozen=True, slots=True)
class Pointer:
    """What current.json says: the version in use and the one before it. None: the model without any."""

    file: str | None
    previous: str | None = None

    @classmethod
    def read(cls, workspace: Workspace) -> Pointer | None:
        """None before the first deployment; ValueError when the file is there and makes no sense."""
        try:
            record = json.loads((workspace.finetuned_models / POINTER).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        if not isinstance(record, dict) or "file" not in record:
            raise ValueError("it names no file")
        names = (record["file"], record.get("previous"))
        if not all(name is None or isinstance(name, str) for name in names):
            raise ValueError("a file name is not text")
        return cls(*names)

    @classmethod
    def in_use(cls, workspace: Workspace) -> str:
        """The name of the version in use, '' when there is none or the pointer cannot be read."""
        try:
            pointer = cls.read(workspace)
        except (OSError, ValueError):
            return ""
        return whole_stem(pointer.file) if pointer and pointer.file else ""

    def write(self, workspace: Workspace) -> None:
        """Replace the pointer in one step."""
        record = {"file": self.file, "previous": self.previous}
        write_whole(workspace.finetuned_models / POINTER, json.dumps(record, indent=1).encode("utf-8"))


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One published version. `forced`: the objections that --force overrode. `provenance`: the trainer's manifest."""

    name: str
    sha256: str
    size_bytes: int
    deployed_at: float
    source: str = ""
    match_percent: float | None = None
    auc: float | None = None
    forced: tuple[str, ...] = ()
    verified_by: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)
    parts: int = 1

    @property
    def file(self) -> str:
        """Name of the GGUF inside models/finetuned; of its first part where the model is split."""
        return part_name(self.name, 1, self.parts)

    @classmethod
    def read(cls, workspace: Workspace, name: str) -> ModelVersion | None:
        """None without a manifest or without the model itself, all parts of it. What an older or newer version of the
        program wrote is read as far as it is known."""
        record = read_object(workspace.finetuned_models / f"{name}.json")
        if not record:
            return None
        parts = max(1, _int(record.get("parts")))
        file = workspace.finetuned_models / part_name(name, 1, parts)
        if not all(part.is_file() for part in model_files(file)):
            return None
        percent, auc, provenance = (record.get(key) for key in ("match_percent", "auc", "provenance"))
        return cls(
            name,
            str(record.get("sha256") or ""),
            _int(record.get("size_bytes")) or model_bytes(file),
            _float(record.get("deployed_at")),
            str(record.get("source") or ""),
            float(percent) if isinstance(percent, int | float) else None,
            float(auc) if isinstance(auc, int | float) else None,
            tuple(str(each) for each in record.get("forced") or ()),
            str(record.get("verified_by") or ""),
            provenance if isinstance(provenance, dict) else {},
            parts,
        )

    @classmethod
    def all(cls, workspace: Workspace) -> list[ModelVersion]:
        """Every complete version, newest first."""
        files = [path for path in workspace.finetuned_models.glob("*.gguf") if not is_later_part(path)]
        found = [cls.read(workspace, whole_stem(path.name)) for path in files]
        return sorted((version for version in found if version), key=lambda version: -version.deployed_at)

    @classmethod
    def in_use(cls, workspace: Workspace) -> ModelVersion | None:
        """The version the pointer names; None before the first deployment, or where it cannot be read."""
        name = Pointer.in_use(workspace)
        return cls.read(workspace, name) if name else None

    def delete(self, workspace: Workspace) -> None:
        """Take it away with its report; the manifest goes first, so that what is cut short leaves no version."""
        remove_file(workspace.finetuned_models / f"{self.name}.json")
        remove_file(workspace.finetuned_models / f"{self.name}.report.json")
        remove_file(workspace.finetuned_models / f"{self.name}.drafts.json")
        for part in model_files(workspace.finetuned_models / self.file):
            remove_file(part)

    def write(self, workspace: Workspace) -> None:
        """The manifest, which makes the version exist."""
        content = json.dumps({"format": _VERSION_FORMAT, **asdict(self)}, ensure_ascii=False, indent=1)
        write_whole(workspace.finetuned_models / f"{self.name}.json", content.encode("utf-8"))


def read_object(path: Path) -> dict[str, Any] | None:
    """A JSON object; None when it is not there, or not one."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _part(part: str) -> str:
    if part == "**/":
        return "(?:.*/)?"
    if part == "**":
        return ".*"
    if part == "*":
        return "[^/]*"
    if part.startswith("{"):
        return "(?:" + "|".join("[^/]*".join(map(re.escape, each.split("*"))) for each in part[1:-1].split(",")) + ")"
    return re.escape(part)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
