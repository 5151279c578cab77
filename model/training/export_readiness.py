"""Can what is trained be exported? Asked before the hours of training, answered from the base alone.

Everything an export may fail on for reasons that are there at the start: the architecture, the base's GGUF and whether
it is of the very same model (shape, tensors, chat template, end of a reply, token ids), room for the checks' prompts.
"""

from __future__ import annotations

from pathlib import Path

from model.catalog import PACKAGED, entry_of_base
from model.files import gguf_files
from model.files.gguf_check import check_gguf
from model.files.gguf_files import ARCHITECTURES, ExportError
from model.files.model_kind import check_chat_model
from model.files.weights import FolderWeights
from model.training.base_model import (
    BaseModel,
    chat_template,
    encoder,
    load_tokenizer,
    local_base,
    matching_gguf,
)
from model.training.export_check import probes, require_tokenizer
from model.training.rows import Renderer
from model.training.shapes import KNOWN_BASES
from storage.errors import KnownError
from storage.typed_paths import typed_path

# The checks' prompts are this long at most, system prompt included.
PROBE_TOKENS = 480
_ANOTHER_MODEL = "Choose another model in Settings > Model, or give --base one of these types: {}."


def export_objection(name: str, base_models: Path, *, system_prompt: str, layout: str, gguf: Path | None = None) -> str:
    """Why a model trained from the base called `name` cannot be exported, with the cure; '' when nothing speaks
    against it. Nothing is fetched: of a base that is not here, the catalogue knows the architecture."""
    try:
        base = local_base(name, base_models, gguf=gguf)
        if base is not None:
            require_exportable(base, system_prompt=system_prompt, layout=layout)
        else:
            _require_fetchable(name, base_models, gguf)
    except KnownError as error:
        return error.text()
    return ""


def require_exportable(base: BaseModel, *, system_prompt: str, layout: str) -> None:
    """ExportError or ExportCheckError unless the base's own GGUF fits the base in everything."""
    require_architecture(str(base.config.get("model_type", "")), base.name)
    path = require_gguf(base)
    gguf_files.require_same_model(path, base.config, FolderWeights(base.folder))
    tokenizer = load_tokenizer(base)
    template = chat_template(tokenizer, name=base.name, layout=layout)
    wanted = probes(Renderer(encoder(tokenizer), template, system_prompt, PROBE_TOKENS))
    if not wanted:
        raise ExportError("The system prompt is too long for the export's checks.", "Shorten it below 400 tokens.")
    require_tokenizer(path, tokenizer, template, wanted)


def require_gguf(base: BaseModel) -> Path:
    """The GGUF whose metadata and tokenizer an export copies."""
    if base.gguf is None:
        raise ExportError(
            f"There is no GGUF of {base.name} to take tokenizer and metadata from.",
            "Put one (any quantisation) into models/base, or name it with --base-gguf FILE.",
        )
    check_chat_model(base.gguf)
    return base.gguf


def require_architecture(model_type: str, name: str) -> None:
    """ExportError for a kind of model that cannot be written as GGUF."""
    if model_type not in ARCHITECTURES:
        raise ExportError(
            f"{name} can be talked to but not retrained here: models of type {model_type!r} cannot be written as GGUF "
            "by this program.",
            _ANOTHER_MODEL.format(", ".join(ARCHITECTURES)),
        )


def _require_fetchable(name: str, base_models: Path, gguf: Path | None) -> None:
    """What can be said of a base that has to be fetched or unpacked first."""
    if name in (PACKAGED, ""):
        return
    path = typed_path(name)
    if path.suffix == ".gguf":
        check_chat_model(path)
        architecture = check_gguf(path).architecture
        if architecture not in ARCHITECTURES.values():
            raise ExportError(
                f"{path.name} can be talked to but not retrained here: models of type {architecture!r} cannot be "
                "written as GGUF by this program.",
                _ANOTHER_MODEL.format(", ".join(ARCHITECTURES)),
            )
        return
    known = KNOWN_BASES.get(name)
    if known is not None:
        require_architecture(known.model_type, name)
    if gguf is None and entry_of_base(name) is None and matching_gguf(name, base_models) is None:
        require_gguf(BaseModel(name, base_models, None))
