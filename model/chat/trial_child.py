"""The process in which a model file is tried (`model.chat.trial` starts it and watches over it).

One task as JSON on stdin; on stdout at what it is, then one line of JSON: usable, or what is wrong and the cure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from storage.errors import KnownError, ModelFileError
from storage.system.bounds import limit_own_memory

# The line that stands on stdout while foreign template code runs: the one step with a limit of its own.
READING_TEMPLATE = "template"
_CURE = "Choose another file in Settings > Model."
_WORDS = 3


def main() -> None:
    """Read the task, say at what it is, and answer with one line."""
    task = json.loads(sys.stdin.read())
    limit_own_memory(int(task["memory_bytes"]))
    try:
        _try(task)
        answer: dict[str, Any] = {"is_usable": True}
    except KnownError as error:
        answer = {"what": error.what, "cure": error.cure}
    except MemoryError:
        answer = {"what": f"{Path(task['path']).name} asks for more memory than it may have.", "cure": _CURE}
    _say(json.dumps(answer))


def _try(task: dict[str, Any]) -> None:
    from model.chat.loaded_model import template_in
    from model.llama_cpp_api import BatchToken, ContextOptions, NativeModel
    from model.prompts import render, tokenise
    from storage.records import Conversation, Turn

    path = Path(task["path"])
    options = ContextOptions(cells=512, sequences=1, ubatch=64, threads=1, repack=bool(task["repack"]))
    native = NativeModel(path, options)
    if task["adapter"]:
        native.set_adapter(Path(task["adapter"]))
    _say(READING_TEMPLATE)
    template = template_in(native, task["chat_template"])
    _say("speaking")
    talk = Conversation((Turn("Ana", "hi"), Turn("", "hey", True), Turn("Bo", "you there?")))
    tokens = tokenise(render(talk, system_prompt="Be brief.", template=template), native.encode)[-256:]
    position = 0
    for start in range(0, len(tokens), options.ubatch):
        part = tokens[start : start + options.ubatch]
        rows = [BatchToken(token, start + at, 0, start + at == len(tokens) - 1) for at, token in enumerate(part)]
        _require_done(native.decode(rows), path)
        position = start + len(part)
    row = (position - 1) % options.ubatch
    for _ in range(_WORDS):
        token = _likeliest(native.logits(row), path)
        _require_done(native.decode([BatchToken(token, position, 0, True)]), path)
        position, row = position + 1, 0


def _say(line: str) -> None:
    """To the parent: at what it is, or the answer."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _likeliest(logits: Any, path: Path) -> int:
    import numpy as np

    if not np.isfinite(logits).any() or np.isnan(logits).any():
        raise ModelFileError(
            f"{path.name} loads, but what it computes is not a number: its weights are damaged.", "Download it again."
        )
    return int(np.argmax(logits))


def _require_done(code: int, path: Path) -> None:
    if code:
        raise ModelFileError(f"llama.cpp cannot compute with {path.name} (code {code}).", _CURE)


if __name__ == "__main__":
    from model.process import prepare_process_environment

    prepare_process_environment()
    main()
