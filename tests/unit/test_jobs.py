"""The table of jobs, and what their rows say to those who read them."""

from __future__ import annotations

import json

import pytest

from storage.jobs.kinds import JOBS, JobKind, job_label, lock_name
from storage.jobs.results import (
    ChannelFetched,
    EvaluateResult,
    FetchResult,
    JobResult,
    PreflightResult,
    PrepareResult,
    RetrainResult,
)
from storage.paths import PROJECT_ROOT
from storage.records import Job, JobState


def row(values: object) -> Job:
    return Job(1, "fetch", 1, JobState.DONE, result=values)


def test_every_kind_of_job_has_a_line_and_its_script_is_there() -> None:
    assert set(JOBS) == set(JobKind)
    for spec in JOBS.values():
        assert (PROJECT_ROOT / "scripts" / spec.script).is_file()
        assert spec.label
        assert spec.log_label


def test_an_import_and_a_fetch_do_not_run_at_once() -> None:
    assert lock_name(JobKind.IMPORT) == lock_name(JobKind.FETCH)
    assert job_label("of another version") == lock_name("of another version") == "of another version"


@pytest.mark.parametrize(
    "result", [spec.result for spec in JOBS.values() if spec.result], ids=lambda kind: kind.__name__
)
def test_a_result_comes_back_from_its_row_as_it_went_in(result: type[JobResult]) -> None:
    made = result()
    assert result.of(row(json.loads(json.dumps(made.as_json())))) == made


def test_nested_values_come_back_as_their_types() -> None:
    fetched = FetchResult(
        3, 1, attention=("a",), channels=(ChannelFetched(7, "general", unclear=2, skipped={"bot": 1}),)
    )
    assert FetchResult.of(row(json.loads(json.dumps(fetched.as_json())))) == fetched
    done = RetrainResult("data", "model.gguf", EvaluateResult(match_percent=81.5, auc=0.6))
    assert RetrainResult.of(row(json.loads(json.dumps(done.as_json())))) == done


@pytest.mark.parametrize("damaged", [{}, [], None, "text", {"hardware": 7, "seconds": "soon", "problems": [1, "a"]}])
def test_what_does_not_fit_counts_as_not_said(damaged: object) -> None:
    found = PreflightResult.of(row(damaged))
    assert found.seconds == 0.0
    assert found.hardware.gpu_name == ""
    assert found.problems in ((), ("a",))


def test_a_row_of_another_kind_says_nothing() -> None:
    assert PrepareResult.of(row({"findings": []})) == PrepareResult.of(None) == PrepareResult()
