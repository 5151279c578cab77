"""The base a run starts from: a folder, a hub id, or the packaged SmolLM2 (dequantised once).

`resolve_base` finds it, `load_base` and `load_tokenizer` load it with transformers. Only safetensors are ever read:
a pickled checkpoint can run code.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.catalog import PACKAGED, entry_of_base, offline_chat_model
from model.chat.chat_templates import template_of
from model.files.download import DownloadError, Report
from model.files.gguf_files import quick_gguf, read_config
from model.files.hub import HubFile, HubRepository, fetch_file, fetch_files, look_up
from model.prompts import CHATML, ChatTemplate, Encode, transcript_layout
from storage.errors import KnownError
from storage.settings import CHAT, TRANSCRIPT
from storage.stored_json import parse_json
from storage.system.files import remove_tree, replace_file
from storage.typed_paths import typed_path

log = logging.getLogger(__name__)

_PACKAGED_FOLDER = "SmolLM2-135M-Instruct"
_ORIGIN = "base.json"
_FETCHED = ("*.json", "*.jinja", "*.txt", "*.model")
# Some publishers put the same weights there twice, once in a format of their own (consolidated.safetensors).
_WEIGHTS = ("model*.safetensors", "*.safetensors")


class BaseModelError(KnownError):
    """The base model cannot be found, fetched or read."""


@dataclass(frozen=True)
class BaseModel:
    """A base on disk as a Hugging Face folder. gguf: the file whose metadata and tokenizer an export copies."""

    name: str
    folder: Path
    gguf: Path | None

    @property
    def config(self) -> dict[str, Any]:
        """config.json."""
        return read_config(self.folder)


def resolve_base(
    name: str, base_models: Path, *, gguf: Path | None = None, report: Report = lambda _fraction, _step: None
) -> BaseModel:
    """The base called `name`: 'packaged', a folder with config.json, a GGUF file, or a hub id (fetched once).

    report(0-1 of what is being fetched, step) may raise to stop; what has arrived is kept.

    base_models: where fetched and dequantised bases are kept. gguf: a GGUF of the same model, for the export.
    """
    if name in (PACKAGED, ""):
        return dequantised(offline_chat_model(), base_models / f"{_PACKAGED_FOLDER}-f16", report=report)
    path = typed_path(name)
    if path.suffix == ".gguf" and path.is_file():
        return dequantised(path.resolve(), base_models / f"{path.stem}-f16", report=report)
    if path.is_dir():
        return _folder(path.resolve(), gguf)
    if name.count("/") != 1 or path.is_absolute():
        raise _no_such_base(name)
    return _from_hub(name, base_models, gguf, report)


def local_base(name: str, base_models: Path, *, gguf: Path | None = None) -> BaseModel | None:
    """The base called `name` where it is on this computer as a folder; None where it has to be fetched or unpacked."""
    if name in (PACKAGED, ""):
        return None
    path = typed_path(name)
    if path.is_dir():
        return _folder(path.resolve(), gguf)
    if name.count("/") == 1 and not path.is_absolute() and path.suffix != ".gguf":
        folder = base_models / name.replace("/", "--")
        is_here = (folder / _ORIGIN).is_file()
        return BaseModel(name, folder, gguf or matching_gguf(name, base_models)) if is_here else None
    if path.suffix == ".gguf" and path.is_file():
        return None
    raise _no_such_base(name)


def _no_such_base(name: str) -> BaseModelError:
    return BaseModelError(
        f"There is no base model at {name}.",
        f"Give a folder with config.json, a GGUF file, a hub id such as Qwen/Qwen2.5-3B-Instruct, or '{PACKAGED}'.",
    )


def _folder(folder: Path, gguf: Path | None) -> BaseModel:
    if not (folder / "config.json").is_file():
        raise BaseModelError(f"{folder} holds no config.json.", "Give the folder of a Hugging Face model.")
    if not any(folder.glob("*.safetensors")):
        raise BaseModelError(
            f"{folder} holds no .safetensors weights.",
            "Pickled weights (.bin) are refused; convert them to safetensors.",
        )
    origin = _origin(folder)
    recorded = Path(origin.get("gguf") or "")
    if gguf is None:
        # The folder may have been carried to another machine: the packaged file is found there again.
        gguf = recorded if recorded.is_file() else None
        if gguf is None and recorded.name == offline_chat_model().name:
            gguf = offline_chat_model()
    repo = str(origin.get("repo") or "")
    if gguf is None and repo:
        gguf = matching_gguf(repo, folder.parent)
    if gguf is None:
        gguf = next(iter(sorted(folder.glob("*.gguf"))), None)
    # However it is asked for, by its name or by where it lies, it is the same base.
    name = repo or (_unpacked_name(recorded) if recorded.name else folder.name)
    return BaseModel(name, folder, gguf)


def _origin(folder: Path) -> dict[str, Any]:
    """What a folder that was fetched or unpacked here was made from; empty for any other."""
    try:
        record = parse_json((folder / _ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _unpacked_name(gguf: Path) -> str:
    return gguf.stem.rsplit(".", 1)[0]


def _from_hub(repo: str, base_models: Path, gguf: Path | None, report: Report) -> BaseModel:
    folder = base_models / repo.replace("/", "--")
    if not (folder / _ORIGIN).is_file():
        report(0.0, f"Looking up {repo}")
        repository = look_up(repo)
        sums = fetch_files(repository, wanted_files(repository), folder, report=_fetching(report, repo))
        _write_origin(
            folder, {"repo": repo, "revision": repository.revision, "gguf": str(gguf or ""), "checksums": sums}
        )
    gguf = gguf or matching_gguf(repo, base_models) or _fetched_gguf(repo, base_models, report)
    return BaseModel(repo, folder, gguf)


def wanted_files(repository: HubRepository) -> list[HubFile]:
    """What training needs of a repository: the files at its top, the weights as transformers reads them, once."""
    top = replace(repository, files=tuple(file for file in repository.files if "/" not in file.name))
    weights = next(filter(None, (top.matching([pattern]) for pattern in _WEIGHTS)), [])
    if not weights:
        raise BaseModelError(
            f"{repository.repo} holds no .safetensors weights.",
            "Pickled weights (.bin) are refused: choose another repository, or convert them to safetensors.",
        )
    return [*top.matching(_FETCHED), *weights]


def _fetching(report: Report, repo: str) -> Report:
    return lambda fraction, step: report(fraction, f"Fetching {repo}: {step}")


def matching_gguf(repo: str, base_models: Path) -> Path | None:
    """A GGUF of the same model among the downloaded ones: the catalogue's, or one whose name differs by case and
    quantisation only."""
    entry = entry_of_base(repo)
    if entry is not None and (base_models / entry.file).is_file():
        return base_models / entry.file
    wanted = repo.split("/")[1].lower()
    return next((path for path in sorted(base_models.glob("*.gguf")) if wanted in path.name.lower()), None)


def _fetched_gguf(repo: str, base_models: Path, report: Report) -> Path | None:
    """The catalogue's GGUF of that model, fetched now; None for models the catalogue does not know."""
    entry = entry_of_base(repo)
    if entry is None:
        return None
    try:
        repository = look_up(entry.repo)
        file = repository.file(entry.file)
        part = _fetching(report, f"{entry.repo}, for its tokenizer")
        return fetch_file(repository, file, base_models / entry.file, sha256=entry.sha256, report=part)
    except DownloadError as error:
        # Training can go on without; the export says what is missing.
        log.warning("%s could not be fetched (%s).", entry.file, error)
        return None


def dequantised(gguf: Path, folder: Path, *, report: Report = lambda _fraction, _step: None) -> BaseModel:
    """A GGUF as a Hugging Face folder in 16 bit, made once; an interrupted attempt is made again."""
    origin = {"gguf": str(gguf), "bytes": gguf.stat().st_size}
    if not _is_made_from(folder, origin):
        report(0.0, f"Unpacking {gguf.name} for training (once)")
        partial = folder.with_name(folder.name + ".partial")
        remove_tree(partial)
        _dequantise(gguf, partial)
        remove_tree(folder)
        replace_file(partial, folder)
        _write_origin(folder, origin)
    return BaseModel(_unpacked_name(gguf), folder, gguf)


def _is_made_from(folder: Path, origin: dict[str, Any]) -> bool:
    try:
        made_from = json.loads((folder / _ORIGIN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return Path(made_from["gguf"]).name == Path(origin["gguf"]).name and made_from["bytes"] == origin["bytes"]


def _write_origin(folder: Path, origin: dict[str, Any]) -> None:
    # Written last: its existence means that the folder is complete.
    (folder / _ORIGIN).write_text(json.dumps(origin, indent=1), encoding="utf-8")


def silence_libraries() -> None:
    """Progress bars of the libraries off: the run has one of its own."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()


def _dequantise(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    silence_libraries()
    with quick_gguf():
        # Without dequantize=True, save_pretrained refuses.
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
        )
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokens = _end_tokens(model.config)
    if tokens:
        # transformers reads another token than the file names as its end of turn.
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(tokens[0])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(torch.float16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _end_tokens(config: Any) -> list[int]:
    ids = config.eos_token_id
    return [ids] if isinstance(ids, int) else list(ids or ())


def load_tokenizer(base: BaseModel) -> Any:
    """The base's tokenizer, with a padding token."""
    from transformers import AutoTokenizer

    # The "clean-up" of an old tokenizer format takes spaces out of decoded text.
    tokenizer = AutoTokenizer.from_pretrained(base.folder, clean_up_tokenization_spaces=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def encoder(tokenizer: Any) -> Encode:
    """`encode(text, special)` of a Hugging Face tokenizer, as model.prompts.tokenise wants it."""

    def encode(text: str, special: bool) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=not special))

    return encode


def chat_template(tokenizer: Any, *, name: str = "", layout: str = CHAT) -> ChatTemplate:
    """How conversations are marked: the base's own chat template, or a transcript; as the bot reads its GGUF."""
    if layout == TRANSCRIPT:
        adds_bos = bool(getattr(tokenizer, "add_bos_token", False))
        bos = (tokenizer.bos_token or "") if adds_bos else ""
        return transcript_layout(bos=bos, eos=tokenizer.eos_token or "")
    source = tokenizer.chat_template
    return template_of(
        source.get("default") if isinstance(source, dict) else source,
        bos=tokenizer.bos_token or "",
        eos=tokenizer.eos_token or "",
        name=name or "model",
        adds_bos=bool(getattr(tokenizer, "add_bos_token", False)),
        has_chatml=CHATML.user_open.partition("user")[0] in tokenizer.get_vocab(),
    )


def load_base(base: BaseModel, *, dtype: str, device: str = "cpu", is_4bit: bool = False) -> Any:
    """The base's weights. dtype: 'float32', 'float16' or 'bfloat16'. 4 bit works on CUDA alone.

    On processors with AVX512-BF16 any evaluation forward of a 4-bit model silently spoils later gradients.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    silence_libraries()
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "use_safetensors": True}
    if is_4bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=getattr(torch, dtype),
            bnb_4bit_use_double_quant=True,
        )
        options["device_map"] = {"": device}
    try:
        model = AutoModelForCausalLM.from_pretrained(base.folder, **options)
    except (OSError, ValueError) as error:
        raise BaseModelError(
            f"The base model in {base.folder} cannot be loaded ({error}).",
            "Delete the folder and start again; it is downloaded again.",
        ) from error
    return model if is_4bit else model.to(device)
