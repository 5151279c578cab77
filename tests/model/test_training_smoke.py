"""The whole way with the packaged SmolLM2: the script trains, exports and checks, the bot's engine talks with it."""

from __future__ import annotations

import importlib
import json
import shutil
from pathlib import Path

import pytest

from data.preprocessor import delete_if_asked
from model.catalog import offline_chat_model
from model.chat.requests import GenerationOptions, ReplyRequest
from model.inference import close_model, get_model
from model.layouts import layout_of
from model.provenance import read_model_manifest
from model.training.base_model import BaseModel
from storage.paths import Workspace
from storage.records import Conversation, JobState, Turn
from storage.settings import TRANSCRIPT
from storage.store import Store
from tests.support.training_data import SYSTEM_PROMPT, write_prepared_folder


def _reply(model: Path, adapter: Path | None = None) -> str:
    conversation = Conversation((Turn("mira", "anyone up for chess tonight"),))
    options = GenerationOptions(max_tokens=8, seed=1)
    try:
        request = ReplyRequest(conversation, options, system_prompt=SYSTEM_PROMPT, channel_id=1)
        return get_model(model, n_ctx=512, adapter=adapter).generate(request).text
    finally:
        close_model()


def test_the_script_trains_exports_and_the_engine_talks_with_the_result(
    workspace: Workspace, packaged_base: BaseModel, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(packaged_base.folder, workspace.base_models / packaged_base.folder.name)
    data = write_prepared_folder(workspace.message_files / "prepared", rows=12, validation=2, pairs=2, sessions=6)
    described = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    described |= {"delete_after_training": True, "shares": [{"author_id": 4711, "name": "mira"}], "members": [4711]}
    (data / "manifest.json").write_text(json.dumps(described), encoding="utf-8")
    out = workspace.root / "run"
    importlib.import_module("scripts.3_train_model").main(
        [
            "--workspace",
            str(workspace.root),
            "--data",
            str(data),
            "--out",
            str(out),
            "--recipe",
            "cpu-smoke",
            "--method",
            "sft+dpo",
            "--name",
            "smoke",
            "--set",
            "lora.r=8",
            "lora.alpha=16",
            "sft.max_steps=2",
            "sft.batch_size=2",
            "dpo.max_steps=1",
            "dpo.batch_size=1",
            "dpo.accumulation=1",
            "evaluate_every=99",
            "log_every=1",
        ]
    )
    printed = capsys.readouterr().out
    assert "SFT" in printed
    assert "DPO" in printed
    assert "Check Q4_K_M" in printed
    with Store.open(workspace) as store:
        job = store.jobs.latest("train")
        assert job is not None
        assert job.state is JobState.DONE
        assert {metric.name for metric in store.jobs.metrics(job.id)} >= {"loss", "dpo_loss"}
    model, adapter = Path(job.result["export"]["gguf"]), Path(job.result["export"]["adapter_gguf"])
    manifest = json.loads((out / "smoke-Q4_K_M.manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["hash"].startswith("test-")
    assert manifest["checks"]["F16"]["kl"] < 0.001
    assert manifest["prompt_layout"] == layout_of(model) == layout_of(offline_chat_model(), adapter) == TRANSCRIPT
    assert _reply(model)
    assert _reply(offline_chat_model(), adapter)
    assert (data / "train.jsonl").exists(), "the evaluation still needs it"
    assert "4711" not in "".join(path.read_text(encoding="utf-8") for path in out.glob("*.json")), "nor who was in it"
    assert delete_if_asked(data, model_record=read_model_manifest(model))
    assert not data.exists()
