"""Publishing a model to a running bot: check, store, switch, reload, and back again on its own if the bot cannot."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data.chat.liveness import is_bot_serving
from model.chat.trial import note_usable, require_usable
from model.draft_scorer import find_scorer
from model.evaluation.report import EvaluationReport, read_report
from model.files.parts import model_sha256
from model.origin import origin_in_use, origin_of
from model.provenance import read_model_manifest
from model.publishing import checks as deployment_checks
from model.publishing import deployment, switching
from model.publishing.deployment import RELOAD_SECONDS, DeployedModel, DeploymentError
from model.publishing.suggested import settle_settings
from model.publishing.switching import OpenSwitch
from storage.artefacts import Pointer, elsewhere
from storage.environment import read_environment
from storage.errors import BadInputError, ModelFileError
from storage.playground import CHECK
from storage.records import CommandKind, ModelState, PlaygroundEntry
from storage.settings import ADAPTER_PATH, CHAT_TEMPLATE
from storage.store import Store

# A bot whose model had failed before must be given the time to notice the command.
_STALE_FAILURE_SECONDS = 5.0
_POLL_SECONDS = 0.2

Progress = Callable[[float, str], None]


class ObjectionError(DeploymentError):
    """What speaks against publishing may be overridden by the owner: each objection is one sentence."""

    def __init__(self, what: str, objections: Sequence[str], cure: str = "") -> None:
        super().__init__(what, cure)
        self.objections = tuple(objections)


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What came of it. was_reloaded: the running bot answers with the model; False: no bot was running.

    version: None when a rollback left the deployed models behind; `name` is the model in use all the same.
    """

    version: DeployedModel | None
    name: str
    was_reloaded: bool
    remarks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One sentence for the person in front of it."""
        if self.was_reloaded:
            return f"The bot now answers with {self.name}."
        return f"{self.name} is in use; the bot is not running and will load it at its next start."


@dataclass
class Release:
    """The steps, with the clock and the waiting replaceable."""

    store: Store
    progress: Progress = lambda _fraction, _step: None
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    reload_seconds: float = RELOAD_SECONDS

    def deploy(
        self,
        gguf: Path,
        *,
        report_file: Path | None = None,
        is_forced: bool = False,
        takes_settings: bool = False,
        asked_by: str = "deploy",
    ) -> ReleaseOutcome:
        """Verify, compare, store, switch, reload. DeploymentError leaves the old model in use and says why.

        takes_settings: the settings that a sweep found for this file replace the owner's own choices too.
        """
        from model.files.model_kind import check_chat_model

        workspace = self.store.workspace
        check_chat_model(gguf)
        report_file = report_file or find_report(self.store, gguf)
        report = read_report(report_file) if report_file else None
        self.progress(0.05, "Comparing with the model in use")
        remarks, forced = self._permission(gguf, report, is_forced=is_forced)
        self.progress(0.08, "Trying it in a process of its own")
        settings = self.store.settings.read()
        require_usable(gguf, None, self.store.facts, chat_template=settings[CHAT_TEMPLATE])
        verified_by = self._verify(gguf)
        self.progress(0.3, "Storing the version")
        version = deployment.store_version(
            workspace,
            gguf,
            report=report_file,
            scorer=find_scorer(gguf, report_file),
            match_percent=report.match_percent if report else None,
            auc=report.headline_auc if report else None,
            forced=forced,
            verified_by=verified_by,
            provenance=read_model_manifest(gguf),
            clock=self.clock,
            progress=lambda fraction, step: self.progress(0.3 + 0.4 * fraction, step),
        )
        stored = deployment.model_path(workspace, version)
        note_usable(stored, self.store.facts, chat_template=settings[CHAT_TEMPLATE])
        outcome = self._switch(lambda: deployment.use(workspace, version), remarks, asked_by)
        return self._with_settings(outcome, is_asked=takes_settings)

    def roll_back(self, *, asked_by: str = "deploy") -> ReleaseOutcome:
        """Go back to the version before, or to what spoke before the first deployment, and tell the bot."""
        return self._with_settings(self._switch(lambda: deployment.rollback(self.store.workspace), (), asked_by))

    def use_version(self, name: str, *, asked_by: str = "deploy") -> ReleaseOutcome:
        """Use a stored version by its name."""
        version = next((each for each in deployment.versions(self.store.workspace) if each.name == name), None)
        if version is None:
            raise DeploymentError(f"There is no version {name!r}.", "See --list.")
        return self._with_settings(self._switch(lambda: deployment.use(self.store.workspace, version), (), asked_by))

    def _with_settings(self, outcome: ReleaseOutcome, *, is_asked: bool = False) -> ReleaseOutcome:
        """The outcome, with the settings that belong to the model now in use."""
        version, workspace = outcome.version, self.store.workspace
        path = deployment.model_path(workspace, version) if version else workspace.finetuned_models / "none"
        said = settle_settings(self.store, path, is_asked=is_asked)
        return replace(outcome, remarks=(*outcome.remarks, said)) if said else outcome

    def _permission(
        self, gguf: Path, report: EvaluationReport | None, *, is_forced: bool
    ) -> tuple[list[str], tuple[str, ...]]:
        from model.prompts import LAYOUT

        workspace = self.store.workspace
        in_use = deployment.current(workspace)
        old_report = deployment.report_path(workspace, in_use) if in_use else None
        found = deployment_checks.examine(
            report,
            sha256=model_sha256(gguf),
            manifest=read_model_manifest(gguf),
            in_use=in_use,
            in_use_report=read_report(old_report) if old_report and old_report.exists() else None,
            layout=LAYOUT,
            origin=origin_of(gguf, workspace),
            origin_in_use=origin_in_use(workspace, self.store.settings.read(), read_environment(workspace.env_file)),
        )
        if found.final:
            raise DeploymentError("Not published: " + " ".join(found.final))
        if found.forceable and not is_forced:
            raise ObjectionError(
                "Not published: " + " ".join(found.forceable),
                found.forceable,
                "If you know better, use --force; the manifest will say so.",
            )
        return [*found.remarks, *(f"Forced: {each}" for each in found.forceable)], found.forceable

    def _verify(self, gguf: Path) -> str:
        """Load it here, unless the running bot's model and this one would not fit into memory together."""
        status = self.store.status.read_bot()
        if is_bot_serving(status, now=self.clock()) and not deployment_checks.has_memory_for(gguf):
            return "the bot: too little memory for two models at once"
        self.progress(0.1, "Loading it and letting it speak")
        seconds = deployment_checks.speaks(gguf)
        return f"deploy: loaded in {seconds:.1f} s and spoke"

    def _switch(
        self, switch: Callable[[], DeployedModel | Pointer | None], remarks: Sequence[str], asked_by: str
    ) -> ReleaseOutcome:
        """Carry out `switch` (it moves the pointer), reload the bot, and take everything back if the bot cannot."""
        workspace = self.store.workspace
        self._settle_abandoned(asked_by)
        opened = switching.open_switch(self.store)
        notes = list(remarks)
        try:
            switch()
            version = deployment.current(workspace)
            was_deployed = opened.before is not None and opened.before.file is not None
            if version is None:
                switching.bring_back(self.store, asked_by=asked_by)
            elif any(opened.chosen_before.values()) or not was_deployed:
                notes += switching.put_aside(self.store, opened.chosen_before)
            opened = switching.note_moved(self.store, opened)
            self.progress(0.75, "Waiting for the bot")
            name = self._name_in_use()
            problem = self._reload(name, asked_by)
        except ModelFileError as error:  # no model is there to go back to
            self._take_back(opened, asked_by)
            raise DeploymentError(f"There is nothing to go back to. {error.what}", self._still_in_use()) from error
        except BaseException:
            # Cancelled, interrupted or out of disk in the middle: nobody would take a model back that does not load.
            self._take_back(opened, asked_by)
            raise
        if not problem:
            switching.close_switch(self.store)
            return ReleaseOutcome(version, name, problem is not None, tuple(notes))
        self._take_back(opened, asked_by)
        raise DeploymentError(f"The bot could not use {name}: {problem}", self._still_in_use())

    def _settle_abandoned(self, asked_by: str) -> None:
        """A deployment killed before the bot had answered: its model goes where a bot tried it and failed."""
        deadline = self.clock() + self.reload_seconds
        while (
            (status := self.store.status.read_bot()) is not None
            and is_bot_serving(status, now=self.clock())
            and status.model_state is ModelState.LOADING
            and self.clock() < deadline
        ):
            self.sleep(_POLL_SECONDS)
        opened = switching.unsettled_switch(self.store)
        if opened is None:
            return
        has_failed = (
            is_bot_serving(status, now=self.clock()) and status is not None and status.model_state is ModelState.FAILED
        )
        if has_failed or opened.attempts:
            switching.take_back(self.store, opened, asked_by=asked_by)
        else:
            switching.close_switch(self.store)

    def _take_back(self, opened: OpenSwitch, asked_by: str) -> None:
        switching.take_back(self.store, opened, asked_by=asked_by)
        self.store.commands.ask(CommandKind.RELOAD_MODEL, asked_by=asked_by)

    def _still_in_use(self) -> str:
        """What the bot has after a switch was taken back, as a sentence."""
        try:
            return f"{self._name_in_use()} is in use, as before."
        except ModelFileError as error:
            return error.cure

    def _name_in_use(self) -> str:
        """What the bot will call the model; ModelFileError when there is none."""
        from model.catalog import resolve_model, shown_name

        settings = self.store.settings.read()
        path = resolve_model(self.store.workspace, settings, read_environment(self.store.workspace.env_file))
        adapter = settings[ADAPTER_PATH]
        return shown_name(path, Path(adapter) if adapter else None)

    def _reload(self, name: str, asked_by: str) -> str | None:
        """None: no bot runs. '': it answers with the new model. Otherwise what went wrong."""
        if not is_bot_serving(self.store.status.read_bot(), now=self.clock()):
            return None
        command = self.store.commands.ask(CommandKind.RELOAD_MODEL, asked_by=asked_by)
        deadline = self.clock() + self.reload_seconds
        taken_at: float | None = None
        was_busy = False
        while self.clock() < deadline:
            status = self.store.status.read_bot()
            if taken_at is None and self.store.commands.outcome(command):
                taken_at = self.clock()
            if not is_bot_serving(status, now=self.clock()):
                return "it stopped while it loaded the model."
            assert status is not None
            if taken_at is not None:
                was_busy = was_busy or status.model_state is ModelState.LOADING
                if status.model_state is ModelState.READY and status.model_name == name:
                    return self._answers(name, deadline)
                is_stale = not was_busy and self.clock() - taken_at < _STALE_FAILURE_SECONDS
                if status.model_state is ModelState.FAILED and not is_stale:
                    return status.model_error or "loading failed."
            self.sleep(_POLL_SECONDS)
        return f"it did not answer with the new model within {self.reload_seconds:.0f} s."

    def _answers(self, name: str, deadline: float) -> str:
        """'' once the bot has said something with the new model, unseen by the test chat; otherwise what went wrong."""
        self.progress(0.9, "Waiting for its first words")
        for line in deployment_checks.PROBES:
            answer = self._ask(line, name, deadline)
            if isinstance(answer, str):
                return answer
            if answer.text.strip():
                return ""
        return "it loaded the model and says nothing."

    def _ask(self, line: str, name: str, deadline: float) -> PlaygroundEntry | str:
        """The answer of the model called `name` to a line, or what went wrong. The question is withdrawn at once."""
        playground = self.store.playground
        question = playground.ask(line, role=CHECK)
        try:
            while self.clock() < deadline:
                answer = playground.answer_to(question)
                if answer is not None and answer.error:
                    return answer.error
                if answer is not None and answer.details.get("model") == name:
                    return answer
                if answer is not None or not playground.is_asked(question):
                    # Another model answered (one borrowed for a comparison), or somebody cleared the test chat.
                    playground.withdraw(question)
                    question = playground.ask(line, role=CHECK)
                if not is_bot_serving(self.store.status.read_bot(), now=self.clock()):
                    return "it stopped before it had said anything."
                self.sleep(_POLL_SECONDS)
            return f"it loaded the model and said nothing within {self.reload_seconds:.0f} s."
        finally:
            playground.withdraw(question)


def find_report(store: Store, gguf: Path) -> Path | None:
    """A report of these very bytes, beside the model, among the workspace's evaluations or wherever this workspace
    wrote one: the newest whole one, or the newest quick one where there is no other."""
    beside = [gguf.parent / "report.json", gguf.with_suffix(".report.json"), gguf.parent / "evaluation" / "report.json"]
    kept = list((store.workspace.data / "evaluation").glob("*/report.json"))
    kept += [folder / "report.json" for folder in elsewhere(store.facts, store.jobs, store.workspace)]
    newest = sorted((path for path in kept if path.exists()), key=lambda path: -path.stat().st_mtime)
    candidates = [path for path in [*beside, *newest] if path.exists()]
    if not candidates:
        return None
    sha256 = model_sha256(gguf)
    quick = None
    for path in candidates:
        try:
            report = read_report(path)
        except BadInputError:
            continue  # a report of something else that happens to lie there
        measured = report.model.model
        if measured is None or measured.sha256 != sha256:
            continue
        if not report.is_quick:
            return path
        quick = quick or path
    return quick
