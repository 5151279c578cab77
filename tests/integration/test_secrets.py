"""No secret is in the project itself, and what a running program is given does not come out of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage.environment import TOKEN, Environment, write_value
from storage.paths import PROJECT_ROOT, Workspace

SECRETS = {
    "Discord token": re.compile(rb"[MNO][\w-]{23,27}\.[\w-]{6,7}\.[\w-]{27,45}"),
    "webhook": re.compile(rb"discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{40,}"),
    "GitHub token": re.compile(rb"\b(?:ghp|gho|ghs)_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,}"),
    "Hugging Face token": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "AWS key": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "private key": re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
}
# Made up for tests, and saying so; the first is the example in Discord's own documentation.
MADE_UP = re.compile(rb"ZnCjm1XVW7vRze4b7Cq4se7kKWs|not-a-real|loopback-only|of-this-test|(?i:example|abcdef)|xxxxxxxx")
SKIPPED = {
    ".git",
    ".venv",
    "__pycache__",
    ".hypothesis",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    "data_storage",
    "models",
    "logs",
    "backups",
    "demo_workspace",
}


def secrets_in(content: bytes) -> list[str]:
    """Kinds of secrets found, those that say they are made up left out."""
    return [
        kind for kind, pattern in SECRETS.items() for match in pattern.finditer(content) if not MADE_UP.search(match[0])
    ]


def project_files() -> list[Path]:
    return [
        path
        for path in PROJECT_ROOT.rglob("*")
        if path.is_file() and path.name != ".env" and not SKIPPED & set(path.relative_to(PROJECT_ROOT).parts)
    ]


def test_the_project_holds_no_secret() -> None:
    """Fault 48."""
    found = {
        str(path.relative_to(PROJECT_ROOT)): kinds
        for path in project_files()
        if path.stat().st_size < 20_000_000 and (kinds := secrets_in(path.read_bytes()))
    }
    assert found == {}


def test_the_search_finds_what_it_looks_for() -> None:
    """Fault 48: the test above is not blind."""
    token = b"MTIzNDU2Nzg5MDEyMzQ1Njc4OQ." + b"GaBcDe." + b"q" * 38
    for secret in (token, b"ghp_" + b"a1B2" * 9, b"hf_" + b"a1B2" * 9, b"AKIA" + b"QWERTYUIOPASDFGH"):
        assert len(secrets_in(b"x = '" + secret + b"'")) == 1


def test_what_holds_secrets_is_ignored_by_git() -> None:
    """Fault 48."""
    ignored = (PROJECT_ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/.env", "/data_storage/", "/models/", "/logs/", "/backups/"} <= set(ignored)


@pytest.mark.parametrize(
    "script",
    [
        "bot/run.py --offline",
        "scripts/doctor.py --offline",
        "scripts/backup.py",
        "scripts/fetch_and_embed.py --import missing.json",
    ],
)
def test_a_broken_env_file_is_named_without_showing_what_is_in_it(workspace: Workspace, script: str) -> None:
    """Fault 48: the error names the file or the key, never the token beside it."""
    secret = "MTIzNDU2Nzg5MDEyMzQ1Njc4OQ.GaBcDe.not-a-real-token-of-this-test-00000"
    write_value(workspace.env_file, TOKEN, secret)
    workspace.env_file.write_text(f"{workspace.env_file.read_text()}SERVER_ID=my server\n", encoding="utf-8")
    name, *arguments = script.split()
    done = subprocess.run(
        [sys.executable, name, "--workspace", str(workspace.root), *arguments],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"DISCORD_TOKEN": ""},
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0 or "doctor" in script or "backup" in script
    assert secret not in said
    assert secret[-20:] not in said
    assert "Traceback" not in said


def test_an_environment_never_shows_its_token() -> None:
    """Fault 48: in an exception's local variables or a debug line."""
    assert "sesame" not in repr(Environment(token="sesame"))
    assert "sesame" not in str(Environment(token="sesame"))
