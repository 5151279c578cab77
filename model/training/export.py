"""From a finished run to a file the bot can load: merge, write, quantise, check, and only then keep it.

OUT/NAME-Q4_K_M.gguf            the model
OUT/NAME-Q4_K_M.manifest.json   its manifest: where it comes from and what the checks measured (written last)
OUT/adapter.gguf                the adapter alone, for llama.cpp on top of the base
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.files import gguf_files
from model.files.gguf_files import ExportError
from model.files.quantisations import QUANTISATIONS
from model.files.weights import FolderWeights
from model.layouts import layout_in
from model.training.base_model import BaseModel, chat_template, encoder, load_tokenizer
from model.training.export_check import (
    ExportCheckError,
    Probe,
    agreement,
    gguf_distributions,
    gguf_reply_loss,
    probes,
    require_agreement,
    require_merge_agreement,
    require_tokenizer,
)
from model.training.export_readiness import PROBE_TOKENS, require_gguf
from model.training.merging import LoraAdapter, MergedWeights, save_folder
from model.training.rows import Example, Renderer
from model.training.streamed import reply_distributions
from storage.jobs.results import ExportedModel
from storage.system.files import remove_file, remove_tree, replace_file

log = logging.getLogger(__name__)

Report = Callable[[float, str], None]
ADAPTER_FILE = "adapter.gguf"


@dataclass(frozen=True)
class ExportPlan:
    """What to make of an adapter. description: trainer.run_description, the file's provenance.

    validation: rows on which the file is compared with the untuned one, both through llama.cpp.
    """

    base: BaseModel
    adapter: Path
    out: Path
    name: str
    system_prompt: str
    description: dict[str, Any]
    validation: Sequence[Example] = ()
    quantisation: str = "Q4_K_M"
    adapter_only: bool = False
    keep_merged: bool = False


@dataclass(frozen=True)
class ExportResult:
    """Files made and what the checks measured. adapter_gguf is None where a LoRA file cannot hold the adapter.

    loss_*: nats per reply token of the validation rows, of the base's own GGUF and of the file made, through llama.cpp.
    """

    gguf: Path | None
    adapter_gguf: Path | None
    manifest: Path
    checks: dict[str, dict[str, float]]
    notes: tuple[str, ...] = ()
    loss_untuned: float | None = None
    loss_tuned: float | None = None

    def as_result(self) -> ExportedModel:
        """For the job row."""
        return ExportedModel(
            str(self.gguf or ""),
            str(self.adapter_gguf or ""),
            str(self.manifest),
            self.checks,
            self.notes,
            self.loss_untuned,
            self.loss_tuned,
        )


def export(plan: ExportPlan, report: Report = lambda _fraction, _step: None) -> ExportResult:
    """Make, check and keep the files; ExportError or ExportCheckError leave nothing half-made behind."""
    if plan.quantisation not in QUANTISATIONS:
        raise ExportError(
            f"{plan.quantisation!r} is not a valid quantisation.", f"Choose one of {', '.join(QUANTISATIONS)}."
        )
    work = plan.out / "export.partial"
    remove_tree(work)
    work.mkdir(parents=True)
    try:
        return _Export(plan, work, report).run()
    finally:
        remove_tree(work)


class _Export:
    def __init__(self, plan: ExportPlan, work: Path, report: Report) -> None:
        self.plan, self.work, self.report = plan, work, report
        self.checks: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []
        self.quantisation = plan.quantisation
        self.losses: tuple[float | None, float | None] = (None, None)
        self.weights = FolderWeights(plan.base.folder)
        self.adapter = LoraAdapter(plan.adapter)
        self.tokenizer = load_tokenizer(plan.base)
        self.template = chat_template(self.tokenizer, name=plan.base.name, layout=layout_in(plan.description))
        renderer = Renderer(encoder(self.tokenizer), self.template, plan.system_prompt, PROBE_TOKENS)
        self.probes: list[Probe] = probes(renderer)
        if not self.probes:
            raise ExportError("The system prompt is too long for the export's checks.", "Shorten it below 400 tokens.")

    def run(self) -> ExportResult:
        adapter = self._adapter()
        if self.plan.adapter_only:
            if adapter is None:
                raise ExportError(self.notes[-1], "Export the merged model instead.")
            return self._keep(None, adapter)
        return self._keep(self._model(), adapter)

    def _adapter(self) -> Path | None:
        self.report(0.05, "Writing the adapter")
        target = self.work / ADAPTER_FILE
        try:
            gguf_files.write_adapter(self.plan.adapter, self.plan.base.config, target, name=self.plan.name)
        except ExportError as error:
            self.notes.append(error.what)
            return None
        if self.plan.adapter_only:
            self._check_adapter(target)
        return target

    def _check_adapter(self, target: Path) -> None:
        """Base GGUF + adapter through llama.cpp against base + adapter in torch."""
        self.report(0.4, "Checking the adapter")
        base = require_gguf(self.plan.base)
        reference = self._apart()
        found = agreement(reference, gguf_distributions(base, self.probes, adapter=target), self.probes)
        self.checks["adapter"] = found.as_dict()
        # The base file is quantised: it may be as far from its own 16-bit weights as a Q4 file.
        require_agreement(found, "Q4_K_M", target.name)
        self._measure(base, adapter=target)

    def _model(self) -> Path:
        base_gguf = require_gguf(self.plan.base)
        merged, reference = self._merged()
        self.report(0.55, "Writing the GGUF")
        f16 = self.work / f"{self.plan.name}-F16.gguf"
        gguf_files.write_weights(merged, self.plan.base.config, base_gguf, f16, name=self.plan.name)
        self.report(0.65, "Checking the GGUF")
        require_tokenizer(f16, self.tokenizer, self.template, self.probes)
        self._check(f16, "F16", reference)
        if self.plan.quantisation == "F16":
            self._measure(f16)
            return f16
        small = self._quantised(f16, reference)
        self._measure(small)
        return small

    def _quantised(self, f16: Path, reference: list[Any]) -> Path:
        """The file in the size asked for, or in the next larger one where that costs this model too much: what was
        trained for hours is not thrown away for a size."""
        names = list(QUANTISATIONS)
        for name in names[names.index(self.plan.quantisation) :]:
            if name == "F16":
                break
            self.report(0.8, f"Quantising to {name}")
            small = self.work / f"{self.plan.name}-{name}.gguf"
            gguf_files.quantise(f16, small, name)
            self.report(0.9, "Checking the quantised file")
            try:
                self._check(small, name, reference)
            except ExportCheckError as error:
                log.warning("%s", error.what)
                self.notes.append(f"{name} costs this model too much; the next larger size was made instead.")
                remove_file(small)
                continue
            self.quantisation = name
            return small
        self.quantisation = "F16"
        return f16

    def _measure(self, made: Path, *, adapter: Path | None = None) -> None:
        """Is the gain of the training still there in the file?"""
        if not self.plan.validation:
            return
        self.report(0.93, "Measuring the file on validation rows")
        self.losses = (
            gguf_reply_loss(require_gguf(self.plan.base), self.plan.validation),
            gguf_reply_loss(made, self.plan.validation, adapter=adapter),
        )

    def _merged(self) -> tuple[MergedWeights, list[Any]]:
        """Adapter and base as one, compared with the two apart; and what it says."""
        self.report(0.1, "Computing what base and adapter say")
        apart = self._apart()
        merged = MergedWeights(self.weights, self.adapter)
        self.report(0.35, "Checking the merge")
        together = reply_distributions(merged, self.plan.base.folder, self.probes)
        found = agreement(apart, together, self.probes)
        self.checks["merge"] = found.as_dict()
        require_merge_agreement(found)
        if self.plan.keep_merged:
            self.report(0.5, "Writing the merged model")
            folder = self.plan.out / "merged"
            remove_tree(folder)
            save_folder(merged, self.plan.base.folder, folder)
        return merged, together

    def _apart(self) -> list[Any]:
        return reply_distributions(self.weights, self.plan.base.folder, self.probes, adapter=self.adapter)

    def _check(self, path: Path, quantisation: str, reference: list[Any]) -> None:
        found = agreement(reference, gguf_distributions(path, self.probes), self.probes)
        self.checks[quantisation] = found.as_dict()
        require_agreement(found, quantisation, path.name)

    def _keep(self, model: Path | None, adapter: Path | None) -> ExportResult:
        self.report(0.97, "Saving")
        kept_model = _moved(model, self.plan.out) if model else None
        kept_adapter = _moved(adapter, self.plan.out) if adapter else None
        main = kept_model or kept_adapter
        assert main is not None  # run() made one of them
        manifest = main.with_suffix(".manifest.json")
        manifest.write_text(
            json.dumps(self._manifest(kept_model, kept_adapter), indent=1, ensure_ascii=False), encoding="utf-8"
        )
        return ExportResult(kept_model, kept_adapter, manifest, self.checks, tuple(self.notes), *self.losses)

    def _manifest(self, model: Path | None, adapter: Path | None) -> dict[str, Any]:
        files = {
            path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in (model, adapter)
            if path is not None
        }
        return self.plan.description | {
            "name": self.plan.name,
            "created_at": time.time(),
            "quantisation": self.quantisation if model else "",
            "layout": self.plan.description.get("data", {}).get("layout"),
            "files": files,
            "checks": self.checks,
            "validation": {"untuned": self.losses[0], "tuned": self.losses[1]},
            "notes": self.notes,
        }


def _moved(path: Path, folder: Path) -> Path:
    target = folder / path.name
    replace_file(path, target)
    return target


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
