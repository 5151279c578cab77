"""Whether a chosen model file can be used, asked of a script: the panel itself never opens one."""

from __future__ import annotations

import subprocess
import sys

from storage.errors import ModelFileError
from storage.paths import PROJECT_ROOT, Workspace
from storage.settings import ADAPTER_PATH, MODEL_PATH, Setting

_SECONDS = 600


def check_model_file(workspace: Workspace, setting: Setting[str], name: str) -> str:
    """The script's sentence about a file chosen for a setting, once it was tried; takes seconds. Raises ModelFileError
    with what the file is and what to do."""
    arguments = {MODEL_PATH.key: [name], ADAPTER_PATH.key: ["--adapter", name]}[setting.key]
    try:
        done = subprocess.run(
            [
                sys.executable,
                str(PROJECT_ROOT / "scripts" / "check_model.py"),
                *arguments,
                "--workspace",
                str(workspace.root),
            ],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"Trying {name} took too long.", "Choose another file, or try again later.") from error
    said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode != 0:
        # The script's last line is what the file is and what to do about it.
        raise ModelFileError(said[-1].removeprefix("Error: ") if said else f"{name} could not be checked.")
    return said[-1] if said else ""
