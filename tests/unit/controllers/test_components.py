"""What becomes of a job's component as controllers run the job: over a real store and a fake runner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clary.controllers import components, jobs
from clary.domain.experiments import row_of
from clary.domain.kinds import COMPONENT, TRIAL
from clary.store.base import Resource, Store
from tests.unit.controllers.bench import opened
from tests.unit.controllers.test_tuner import JOB, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(Bench, tmp_path) as bench:
        yield bench


def component(bench: Bench, job: Resource) -> Resource:
    found = bench.store.get(COMPONENT.name, job.state["component"])
    assert found is not None
    return found


def make_trial(bench: Bench, name: str) -> str:
    request = {"TrialName": name, "ExperimentName": "e"}
    row = Resource(**row_of(bench.account, TRIAL.name, request, now=1.0))
    bench.store.create(row)
    return row.arn


def status(component: Resource) -> Any:
    return component.state["Status"]["PrimaryStatus"]


def test_a_child_has_a_component_in_the_trial_of_its_study(bench: Bench) -> None:
    trial = make_trial(bench, "study-trial")
    bench.create(state={"trial": "study-trial"})
    bench.step()
    child = bench.row(1)
    made = component(bench, child)
    assert made.spec["TrialComponentName"] == f"{child.name}-aws-training-job"
    assert made.state["Parameters"]["rate"] == {"NumberValue": float(child.spec["HyperParameters"]["rate"])}
    assert made.state["Parameters"]["epochs"] == {"NumberValue": 9.0}
    kinds = {link.kind: link.destination for link in bench.store.links(source=made.arn)}
    assert kinds == {"source": child.arn, "trial": trial}


def test_a_trial_that_was_deleted_holds_up_no_child(bench: Bench) -> None:
    bench.create(state={"trial": "gone"})
    bench.step()
    made = component(bench, bench.row(1))
    assert [link.kind for link in bench.store.links(source=made.arn)] == ["source"]


def test_the_component_of_a_running_job_says_since_when(bench: Bench) -> None:
    bench.create()
    bench.step()
    bench.runner.tell(bench.folder(1), "Training", "Training in progress")
    bench.step()
    child = bench.row(1)
    assert component(bench, child).state["StartTime"] == child.state["started"]
    assert status(component(bench, child)) == "InProgress"


def test_a_component_that_somebody_made_in_place_of_the_jobs_is_left_alone(bench: Bench) -> None:
    bench.create()
    bench.step()
    child = bench.row(1)
    assert bench.store.delete(COMPONENT.name, child.state["component"])
    request = {"TrialComponentName": f"{child.name}-aws-training-job", "DisplayName": "mine"}
    row = Resource(**row_of(bench.account, COMPONENT.name, request, now=5.0))
    assert row.name == child.state["component"]
    made = bench.store.create(row)
    components.start_component(bench.store, replace(child, state={**child.state, "started": 6.0}))
    components.finish_component(bench.store, replace(child, status="Completed"))
    assert component(bench, child).state == made.state


def test_the_component_is_closed_before_its_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.create()
    bench.step(2)
    child = bench.row(1)
    assert status(component(bench, child)) == "InProgress"
    seen = []
    finish = components.ending_of

    def look(state: Any, job: Any) -> Any:
        row = bench.store.get(JOB, child.name)
        seen.append((job.status, row and row.status))
        return finish(state, job)

    monkeypatch.setattr(components, "ending_of", look)
    bench.end(1, 0.5, artifacts="s3://bucket/model.tar.gz")
    bench.step()
    assert seen == [("Completed", "InProgress")]
    closed = component(bench, child).state
    assert closed["Status"]["PrimaryStatus"] == "Completed"
    assert closed["OutputArtifacts"] == {"SageMaker.ModelArtifact": {"Value": "s3://bucket/model.tar.gz"}}
    assert closed["EndTime"] == closed["StartTime"] + 2
    assert bench.row(1).status == "Completed"


def test_a_failed_child_tells_why_in_its_component(bench: Bench) -> None:
    bench.create()
    bench.step()
    bench.end(1, status="Failed", reason="AlgorithmError: no label column")
    bench.step()
    closed = component(bench, bench.row(1)).state["Status"]
    assert closed["PrimaryStatus"] == "Failed"
    assert "no label column" in closed["Message"]


def test_a_stop_that_comes_as_the_job_completes_is_told_by_both(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create()
    bench.step(2)
    child = bench.row(1)
    finish = components.finish_component

    def stop_meanwhile(store: Store, job: Resource) -> None:
        store.update(JOB, child.name, lambda row: replace(row, status="Stopping") if row.due else row)
        finish(store, job)

    monkeypatch.setattr(jobs, "finish_component", stop_meanwhile)
    bench.end(1, 0.5)
    bench.jobs.step(bench.clock.advance(0.1))
    assert bench.row(1).status == "Stopped"
    assert status(component(bench, child)) == "Stopped"


def test_a_studys_component_is_closed_with_it(bench: Bench) -> None:
    request = {"TrialComponentName": "study-component"}
    row = Resource(**row_of(bench.account, COMPONENT.name, request, now=1.0))
    bench.create(jobs=2, state={"component": row.name})
    state = {
        "Status": {"PrimaryStatus": "InProgress", "Message": ""},
        "Source": {"SourceArn": bench.study().arn, "SourceType": "SageMakerHyperParameterTuningJob"},
    }
    bench.store.create(replace(row, state=state))
    bench.finish()
    closed = component(bench, bench.study())
    assert status(closed) == "Completed"
    assert closed.state["EndTime"] == bench.study().state["ended"]


def test_a_job_of_before_there_were_components_ends_all_the_same(bench: Bench) -> None:
    bench.create()
    bench.step()
    row = bench.row(1)
    without = {key: value for key, value in row.state.items() if key != "component"}
    bench.store.update(JOB, row.name, lambda job: replace(job, state=without))
    bench.end(1, 0.5)
    bench.step(2)
    assert bench.row(1).status == "Completed"
