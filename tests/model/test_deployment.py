"""Deployment: old or new at every moment, nothing worse or leaking by accident, back on its own when the bot cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from launcher import choose_demo_models
from model.catalog import DEFAULT_MODEL, OFFLINE_MODEL_KEY, offline_chat_model, resolve_model
from model.draft_scorer import SCORER, DraftScorer, read_scorer, scorer_path
from model.evaluation.comparison import Estimate
from model.evaluation.memory import Memorisation
from model.evaluation.report import Contender, EvaluationReport, MeasuredModel, write_report
from model.evaluation.verdict import Match, Part
from model.files.parts import model_sha256
from model.publishing import checks as deployment_checks
from model.publishing import deployment
from model.publishing.deployment import DeployedModel, DeploymentError, Pointer
from model.publishing.release import Release, find_report
from model.publishing.suggested import SUGGESTED
from storage.artefacts import remember_elsewhere
from storage.environment import Environment
from storage.errors import ModelFileError
from storage.paths import Workspace
from storage.settings import ADAPTER_PATH, MIN_P, MODEL_PATH, TEMPERATURE, Settings
from storage.store import Store
from storage.system.files import remove_file
from storage.trained_models import all_models
from tests.support.endings import KILLED
from tests.support.model_files import split_model
from tests.support.switched_bot import model_file, publish

ROOT = Path(__file__).resolve().parents[2]


def report_of(
    sha256: str,
    *,
    percent: float = 60.0,
    auc: float = 0.8,
    objections: tuple[str, ...] = (),
    data_hash: str = "data",
    against: Contender | None = None,
    has_canaries: bool = False,
) -> EvaluationReport:
    writer = Contender(
        "model",
        "new",
        {"auc": Estimate(auc, auc - 0.02, auc + 0.02)},
        Memorisation(),
        Match(percent, (Part("detector", 40, percent / 100),), 1.0),
        MeasuredModel("new", "new.gguf", sha256, 1),
    )
    writers = (writer,) if against is None else (writer, against)
    return EvaluationReport(
        "now", data_hash, 100, 10, 1000, False, {}, writers, objections, (), has_canaries=has_canaries
    )


def deployed(name: str = "old", sha256: str = "0" * 64) -> DeployedModel:
    return DeployedModel(name, sha256, 1, 0.0)


def test_a_published_model_is_the_one_that_is_resolved(workspace: Workspace, tmp_path: Path, store: Store) -> None:
    version = publish(workspace, model_file(tmp_path, "one"))
    assert deployment.current(workspace) == version
    path = resolve_model(workspace, store.settings.read(), Environment())
    assert path == deployment.model_path(workspace, version).resolve()
    assert path.read_bytes() == (tmp_path / "one.gguf").read_bytes()
    assert not os.access(path, os.W_OK) or os.geteuid() == 0


def test_rolling_back_twice_comes_back(workspace: Workspace, tmp_path: Path) -> None:
    first = publish(workspace, model_file(tmp_path, "one"))
    second = publish(workspace, model_file(tmp_path, "two"))
    assert deployment.rollback(workspace) == first
    assert deployment.rollback(workspace) == second


def test_rolling_back_from_the_first_version_leads_to_the_model_from_before_and_back(
    workspace: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(DeploymentError, match="No model has been deployed"):
        deployment.rollback(workspace)
    first = publish(workspace, model_file(tmp_path, "one"))
    assert deployment.rollback(workspace) is None
    assert deployment.current(workspace) is None
    assert resolve_model(workspace, Settings({MODEL_PATH.key: OFFLINE_MODEL_KEY}), Environment()).exists()
    named = resolve_model(workspace, Settings({MODEL_PATH.key: DEFAULT_MODEL.key}), Environment())
    assert named == workspace.base_models / DEFAULT_MODEL.file
    with pytest.raises(ModelFileError, match="No model is installed"):
        resolve_model(workspace, Settings(), Environment())
    assert deployment.rollback(workspace) == first == deployment.current(workspace)


def test_a_version_that_was_deleted_cannot_be_gone_back_to(workspace: Workspace, tmp_path: Path) -> None:
    old, _new = (publish(workspace, model_file(tmp_path, name)) for name in ("one", "two"))
    remove_file(deployment.model_path(workspace, old))
    with pytest.raises(DeploymentError, match="is gone"):
        deployment.rollback(workspace)


def test_publishing_the_same_bytes_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    file = model_file(tmp_path, "one")
    publish(workspace, model_file(tmp_path, "zero"))
    publish(workspace, file)
    before = deployment.read_pointer(workspace)
    publish(workspace, file)
    assert deployment.read_pointer(workspace) == before
    assert len(deployment.versions(workspace)) == 2


def test_pruning_spares_the_one_in_use_and_the_one_before(workspace: Workspace, tmp_path: Path) -> None:
    for number in range(6):
        publish(workspace, model_file(tmp_path, f"m{number}"), clock=lambda number=number: float(number))
    deployment.rollback(workspace)
    removed = deployment.prune(workspace, keep=0)
    assert {version.source for version in deployment.versions(workspace)} == {"m4.gguf", "m5.gguf"}
    assert len(removed) == 4
    assert deployment.current(workspace) is not None


def test_a_full_disk_is_said_before_anything_is_copied(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 0))
    with pytest.raises(DeploymentError, match="GiB free"):
        publish(workspace, model_file(tmp_path, "one"))
    assert deployment.current(workspace) is None
    assert not list(workspace.finetuned_models.glob("*"))


def test_a_locked_pointer_is_tried_again(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAULTS 53 (fake for what Windows does: a PermissionError on the first replaces)."""
    real, refusals = os.replace, iter([True, True, False])

    def replace_later(source: Path, target: Path) -> None:
        if next(refusals, False):
            raise PermissionError(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_later)
    assert publish(workspace, model_file(tmp_path, "one")) == deployment.current(workspace)


_KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.support.switched_bot import publish
from storage.paths import Workspace
workspace, gguf, kill_at = Workspace.at(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
folder, seen = str(workspace.finetuned_models), 0
def watch(event, arguments):
    global seen
    if event in ("open", "os.rename", "os.remove", "os.chmod") and str(arguments[0]).startswith(folder):
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), 9)
sys.addaudithook(watch)
publish(workspace, gguf)
print("finished")
"""


def test_kill_at_every_step_leaves_the_old_model_or_the_new_one(workspace: Workspace, tmp_path: Path) -> None:
    """FAULTS 58: a child is killed (kill -9) at each file operation of a publication in turn."""
    old = publish(workspace, model_file(tmp_path, "old"))
    gguf = model_file(tmp_path, "new")
    bytes_before = deployment.model_path(workspace, old).read_bytes()
    outcomes = []
    for kill_at in range(1, 100):
        child = subprocess.run(
            [sys.executable, "-c", _KILLED, str(ROOT), str(workspace.root), str(gguf), str(kill_at)],
            capture_output=True,
            text=True,
            check=False,
        )
        current = deployment.current(workspace)
        assert current is not None, f"no model after a kill at step {kill_at}"
        content = deployment.model_path(workspace, current).read_bytes()
        assert content == (bytes_before if current == old else gguf.read_bytes())
        assert deployment.model_path(workspace, old).read_bytes() == bytes_before
        outcomes.append(current.source)
        if "finished" in child.stdout:
            break
        assert child.returncode == KILLED, child.stderr
        deployment.write_pointer(workspace, Pointer(old.file))
    assert outcomes[-1] == "new.gguf"
    assert outcomes[0] == "old.gguf"
    assert len(outcomes) > 8
    deployment.prune(workspace, keep=9)
    assert not list(workspace.finetuned_models.glob("*.part"))


def test_pruning_removes_what_a_killed_deployment_copied_and_nothing_of_the_owners(
    workspace: Workspace, tmp_path: Path
) -> None:
    """FAULTS 58: a copy without a manifest is in no list, so nobody else would ever remove it."""
    version = publish(workspace, model_file(tmp_path, "one"))
    lost = deployment.store_version(workspace, model_file(tmp_path, "lost"))
    (workspace.finetuned_models / f"{lost.name}.json").unlink()
    own = workspace.finetuned_models / "my-own-0123456789ab.gguf"
    own.write_bytes(b"GGUF that the owner put here")
    (workspace.finetuned_models / f"{version.name}.json").unlink()  # the one in use stays, whatever is missing
    assert deployment.prune(workspace) == [lost.name]
    left = {path.name for path in workspace.finetuned_models.glob("*.gguf")}
    assert left == {version.file, own.name}


def test_a_worse_model_is_objected_to_and_noise_is_not() -> None:
    old = report_of("0" * 64, percent=60)
    common = {"sha256": "1" * 64, "manifest": {}, "in_use": deployed(), "in_use_report": old}
    worse = deployment_checks.examine(report_of("1" * 64, percent=50), **common)
    assert any("personality match" in each for each in worse.forceable)
    assert not worse.final
    assert not deployment_checks.examine(report_of("1" * 64, percent=59), **common).forceable
    easier = deployment_checks.examine(report_of("1" * 64, auc=0.95), **common)
    assert any("recognised" in each for each in easier.forceable)


def test_a_measurement_of_both_in_one_run_counts_more_than_an_old_report() -> None:
    against = replace(report_of("0" * 64, percent=40).model, role="against")
    found = deployment_checks.examine(
        report_of("1" * 64, percent=50, against=against),
        sha256="1" * 64,
        manifest={},
        in_use=deployed(),
        in_use_report=report_of("0" * 64, percent=90),
    )
    assert not found.forceable
    assert not found.remarks


def test_a_quick_evaluation_is_no_match_for_a_whole_one() -> None:
    """Fewer places look better on their own."""
    old = report_of("0" * 64, percent=60)
    common = {"sha256": "1" * 64, "manifest": {}, "in_use": deployed(), "in_use_report": old}
    quick = replace(report_of("1" * 64, percent=90), is_quick=True)
    assert "--against current" in deployment_checks.examine(quick, **common).forceable[0]
    both_quick = common | {"in_use_report": replace(old, is_quick=True)}
    assert not deployment_checks.examine(quick, **both_quick).forceable


def test_the_data_set_of_a_stored_version_is_known_too() -> None:
    assert deployment_checks.manifest_data_hash({"data": {"hash": "abc"}}) == "abc"
    assert deployment_checks.manifest_data_hash({"name": "x", "provenance": {"data": {"hash": "abc"}}}) == "abc"
    assert deployment_checks.manifest_data_hash({}) == ""


def test_what_was_not_measured_or_measured_elsewhere_is_objected_to() -> None:
    missing = deployment_checks.examine(None, sha256="1", manifest={}, in_use=None, in_use_report=None)
    assert "not been evaluated" in missing.forceable[0]
    other = deployment_checks.examine(report_of("2"), sha256="1", manifest={}, in_use=None, in_use_report=None)
    assert "another file" in other.forceable[0]


def test_a_reciting_model_is_objected_to() -> None:
    found = deployment_checks.examine(
        report_of("1", objections=("It told 3 of 4 planted secrets.",)),
        sha256="1",
        manifest={},
        in_use=None,
        in_use_report=None,
    )
    assert "recites" in found.forceable[0]


@pytest.mark.parametrize(
    "manifest",
    [{"canaries": [{"secret": "x"}]}, {"data": {"canaries": 3}}, {"provenance": {"data": {"has_canaries": True}}}],
)
def test_a_model_from_a_folder_with_canaries_is_never_published(manifest: dict) -> None:
    """FAULTS 59."""
    found = deployment_checks.examine(report_of("1"), sha256="1", manifest=manifest, in_use=None, in_use_report=None)
    assert found.final


def test_another_prompt_layout_is_objected_to() -> None:
    found = deployment_checks.examine(
        report_of("1"), sha256="1", manifest={"data": {"layout": 1}}, in_use=None, in_use_report=None, layout=2
    )
    assert "layout 1" in found.forceable[0]


def test_two_models_are_not_loaded_at_once_where_memory_is_short(tmp_path: Path) -> None:
    gguf = model_file(tmp_path, "one", b"x" * 1_000_000)
    assert deployment_checks.has_memory_for(gguf, available_bytes=lambda: 2 << 30)
    assert not deployment_checks.has_memory_for(gguf, available_bytes=lambda: 300 << 20)


def test_a_truncated_file_is_refused_and_the_old_model_stays(store: Store, tmp_path: Path) -> None:
    old = publish(store.workspace, model_file(tmp_path, "old"))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(offline_chat_model().read_bytes()[:100_000])
    with pytest.raises(ModelFileError):
        Release(store).deploy(broken, is_forced=True)
    assert deployment.current(store.workspace) == old


def test_a_real_model_is_loaded_speaks_and_is_stored_with_its_report(store: Store, tmp_path: Path) -> None:
    gguf = tmp_path / "tuned.gguf"
    shutil.copyfile(offline_chat_model(), gguf)
    with pytest.raises(DeploymentError, match="not been evaluated"):
        Release(store).deploy(gguf)
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")  # of something else
    folder = store.workspace.data / "evaluation" / "run"
    folder.mkdir(parents=True)
    write_report(report_of(model_sha256(gguf), percent=61), folder / "report.json")
    DraftScorer({"length": 0.5}, 60).write(folder / SCORER)
    assert find_report(store, gguf) == folder / "report.json"
    outcome = Release(store).deploy(gguf)
    assert not outcome.was_reloaded
    assert "next start" in outcome.text
    assert outcome.version.match_percent == 61
    assert outcome.version.verified_by.startswith("deploy: loaded")
    assert deployment.report_path(store.workspace, outcome.version).exists()
    scorer = scorer_path(deployment.model_path(store.workspace, outcome.version))
    assert read_scorer(scorer) == DraftScorer({"length": 0.5}, 60)
    outcome.version.delete(store.workspace)
    assert not scorer.exists()


def test_force_is_written_into_the_manifest_and_settings_found_for_the_file_are_taken_when_asked(
    store: Store, tmp_path: Path
) -> None:
    gguf = tmp_path / "tuned.gguf"
    shutil.copyfile(offline_chat_model(), gguf)
    found = {"model_sha256": model_sha256(gguf), "settings": {"temperature": 0.9, "min_p": 0.05, "from_tomorrow": 1}}
    layouts = {"transcript": {"auc": 0.61, "fit": 0.8}, "chat template": {"auc": 0.9, "fit": None}}
    swept = store.workspace.data / "evaluation" / "sweep"
    for name, record in (("of-another", found | {"model_sha256": "0" * 64}), ("sweep", found | {"layouts": layouts})):
        (swept.parent / name).mkdir(parents=True)
        (swept.parent / name / SUGGESTED).write_text(json.dumps(record), encoding="utf-8")
    store.settings.set(TEMPERATURE, 0.5, changed_by="panel")
    outcome = Release(store).deploy(gguf, is_forced=True)
    version = outcome.version
    assert "temperature 0.9" in outcome.remarks[-1]
    assert outcome.remarks[-1].startswith("You chose temperature yourself")
    assert "chat template: detector AUC 0.90, fit to context not measured" in outcome.remarks[-1]
    assert store.settings.get(TEMPERATURE) == 0.5, "the owner's own choice is not replaced unasked"
    manifest = json.loads((store.workspace.finetuned_models / f"{version.name}.json").read_text(encoding="utf-8"))
    assert "not been evaluated" in manifest["forced"][0]
    Release(store).deploy(gguf, is_forced=True, takes_settings=True)
    assert (store.settings.get(TEMPERATURE), store.settings.get(MIN_P)) == (0.9, 0.05)
    (swept / SUGGESTED).unlink()
    Release(store).use_version(version.name)
    assert not store.settings.read().is_set(TEMPERATURE), "they go with the model they were found for"


def test_a_chosen_model_and_adapter_give_way_to_the_deployed_one_and_come_back_with_the_rollback(
    store: Store, tmp_path: Path
) -> None:
    store.settings.set(MODEL_PATH, "models/base/x.gguf", changed_by="owner")
    store.settings.set(ADAPTER_PATH, "models/base/voice.gguf", changed_by="owner")
    version = deployment.store_version(store.workspace, model_file(tmp_path, "new"))
    outcome = Release(store)._switch(lambda: deployment.use(store.workspace, version), (), "test")
    assert outcome.name == version.name
    assert all("gave way" in remark for remark in outcome.remarks)
    assert (store.settings.get(MODEL_PATH), store.settings.get(ADAPTER_PATH)) == ("", "")
    back = Release(store).roll_back()
    assert back.version is None
    assert back.name == "x + voice"
    assert store.settings.get(MODEL_PATH) == "models/base/x.gguf"
    assert store.settings.get(ADAPTER_PATH) == "models/base/voice.gguf"
    store.settings.reset(ADAPTER_PATH)
    again = Release(store).roll_back()
    assert again.version == version
    assert store.settings.get(MODEL_PATH) == ""
    assert Release(store).roll_back().name == "x", "the adapter was taken off in the meantime"


def test_the_demo_leaves_a_deployed_model_alone_and_finds_its_adapter_again(store: Store, tmp_path: Path) -> None:
    choose_demo_models(store, is_new=True)
    assert resolve_model(store.workspace, store.settings.read(), Environment()) == offline_chat_model()
    store.settings.set(ADAPTER_PATH, str(tmp_path / "moved.gguf"), changed_by="test")
    choose_demo_models(store, is_new=False)
    assert Path(store.settings.get(ADAPTER_PATH)).exists()
    version = deployment.store_version(store.workspace, model_file(tmp_path, "new"))
    Release(store)._switch(lambda: deployment.use(store.workspace, version), (), "test")
    choose_demo_models(store, is_new=False)
    assert resolve_model(store.workspace, store.settings.read(), Environment()).stem == version.name
    assert not store.settings.get(ADAPTER_PATH)


def test_a_rollback_with_nothing_to_go_back_to_leaves_the_deployed_model(store: Store, tmp_path: Path) -> None:
    version = publish(store.workspace, model_file(tmp_path, "only"))
    with pytest.raises(DeploymentError, match=r"nothing to go back to\. No model is installed") as refused:
        Release(store).roll_back()
    assert refused.value.cure == f"{version.name} is in use, as before."
    assert deployment.current(store.workspace) == version


def test_a_report_written_outside_the_workspace_is_found_and_an_unknown_one_is_asked_for(
    store: Store, tmp_path: Path
) -> None:
    gguf = model_file(tmp_path, "new")
    out = tmp_path / "elsewhere"
    out.mkdir()
    assert find_report(store, gguf) is None
    assert (
        "--report"
        in deployment_checks.examine(None, sha256="", manifest={}, in_use=None, in_use_report=None).forceable[0]
    )
    write_report(report_of(sha256=model_sha256(gguf)), out / "report.json")
    (out / "report.html").touch()
    remember_elsewhere(store.facts, store.workspace, out)
    assert find_report(store, gguf) == out / "report.json"


def test_the_command_lists_and_rolls_back(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("one", "two"):
        publish(workspace, model_file(tmp_path, name))
    script = [sys.executable, str(ROOT / "scripts" / "5_deploy_bot.py"), "--workspace", str(workspace.root)]
    listed = subprocess.run([*script, "--list"], capture_output=True, text=True, check=True).stdout
    assert next(line for line in listed.splitlines() if line.startswith("in use")).split()[2].startswith("two-")
    back = subprocess.run([*script, "--rollback"], capture_output=True, text=True, check=True)
    assert "one-" in back.stdout
    assert deployment.current(workspace).source == "one.gguf"
    again = subprocess.run([*script, "--use", "nothing"], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "no version" in again.stderr
    assert "Traceback" not in again.stderr


# ---- split models -------------------------------------------------------------------------------------


def test_cases_a_split_model_is_deployed_whole_rolled_back_and_pruned_whole(store: Store, tmp_path: Path) -> None:
    """Fault 83: all parts, under names by which llama.cpp finds them."""
    first = split_model(tmp_path / "split")
    release = Release(store)
    outcome = release.deploy(first, is_forced=True)
    version = outcome.version
    assert version is not None
    assert version.parts == 2
    assert version.name.startswith("smol-")
    folder = store.workspace.finetuned_models
    stored = deployment.model_path(store.workspace, version)
    assert sorted(path.name for path in folder.glob("*.gguf")) == [
        f"{version.name}-00001-of-00002.gguf",
        f"{version.name}-00002-of-00002.gguf",
    ]
    assert model_sha256(stored) == version.sha256 == model_sha256(first)
    assert resolve_model(store.workspace, Settings(), Environment()) == stored
    assert deployment_checks.speaks(stored) >= 0
    assert [model.name for model in all_models(store)] == [version.name]
    whole = release.deploy(offline_chat_model(), is_forced=True).version
    assert release.roll_back().version == version
    assert deployment.current(store.workspace) == version
    assert release.roll_back().version == whole
    deployment.write_pointer(store.workspace, deployment.Pointer(whole.file))
    assert deployment.prune(store.workspace, keep=1) == [version.name]
    assert [path.name for path in folder.glob("*.gguf")] == [whole.file]


def test_a_split_version_that_lost_a_part_is_no_version(store: Store, tmp_path: Path) -> None:
    """Fault 83."""
    version = deployment.store_version(store.workspace, split_model(tmp_path / "split"))
    second = deployment.model_path(store.workspace, version).with_name(f"{version.name}-00002-of-00002.gguf")
    second.chmod(0o600)
    second.unlink()
    assert deployment.versions(store.workspace) == []
    again = deployment.store_version(store.workspace, tmp_path / "split" / "smol-00001-of-00002.gguf")
    assert deployment.versions(store.workspace) == [again]
    assert second.exists()
    (store.workspace.finetuned_models / f"{version.name}.json").unlink()
    assert deployment.prune(store.workspace, keep=0) == [version.name]
    assert not list(store.workspace.finetuned_models.glob("*.gguf"))


def test_half_a_split_model_is_refused_and_nothing_is_stored(store: Store, tmp_path: Path) -> None:
    """Fault 83."""
    first = split_model(tmp_path / "split")
    (tmp_path / "split" / "smol-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelFileError, match="missing beside it"):
        Release(store).deploy(first, is_forced=True)
    assert not list(store.workspace.finetuned_models.glob("*"))
