"""The tuning controller beside the job controller, over a real store and a fake runner, one step at a time."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import read_plan
from clary.controllers import studies as studies_controller
from clary.controllers import tuner
from clary.controllers.thinkers import Thinkers, at_once
from clary.controllers.tuner import Tuner
from clary.domain import studies
from clary.domain.names import Account
from clary.store.base import Page, Resource, Where
from tests.unit.controllers.bench import Parts, opened

KIND = "hyper-parameter-tuning-job"
JOB = "training-job"
RATE = {"ContinuousParameterRanges": [{"Name": "rate", "MinValue": "0", "MaxValue": "1"}]}
BROKEN = {"reason": "AlgorithmError: no label column, exit code: 1"}


@dataclass
class Bench(Parts):
    """Both controllers, their parts, and the test's hand on them. A child ends when the test says so."""

    cpus: int = 8
    memory_gib: float = 64.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.account = Account("123456789012", "us-east-1")
        self.start()

    def start(self, owner: str = "home-1", think: Any = at_once) -> None:
        """New controllers, as after the start of a server."""
        self.jobs = self.controller(owner)
        self.tuner = Tuner(tuner.Means(self.store, self.account, self.settings, owner, lambda: None, think))
        self.jobs.resume(self.clock.now)
        self.tuner.resume(self.clock.now)

    def create(
        self,
        name: str = "study",
        *,
        jobs: int | None = 4,
        parallel: int = 2,
        state: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> None:
        now = self.clock.advance(1)
        limits = {"MaxParallelTrainingJobs": parallel, **({"MaxNumberOfTrainingJobs": jobs} if jobs else {})}
        limits.update(config.pop("limits", {}))
        definition = {
            "StaticHyperParameters": {"epochs": "9"},
            "AlgorithmSpecification": {
                "TrainingImage": "image",
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "f1", "Regex": "f1=([0-9.]+)"}],
            },
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {"InstanceType": "ml.small", "InstanceCount": 1, "VolumeSizeInGB": 1},
        }
        self.store.create(
            Resource(
                kind=KIND,
                name=name,
                arn=self.account.sagemaker(KIND, name),
                status="InProgress",
                spec={
                    "HyperParameterTuningJobName": name,
                    "HyperParameterTuningJobConfig": {
                        "Strategy": "Random",
                        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"},
                        "ResourceLimits": limits,
                        "ParameterRanges": RATE,
                        **config,
                    },
                    "TrainingJobDefinition": definition,
                },
                state={"seed": 7, "children": {}, "best": None, **(state or {})},
                created=now,
                modified=now,
                due=now,
            ),
            tags={"team": "nlp"},
        )

    def step(self, turns: int = 1) -> None:
        for _ in range(turns):
            self.tuner.step(self.clock.advance(0.1))
            self.jobs.step(self.clock.advance(0.1))

    def study(self, name: str = "study") -> Resource:
        found = self.store.get(KIND, name)
        assert found is not None
        return found

    def children(self, name: str = "study") -> list[dict[str, Any]]:
        return list(self.study(name).state["children"].values())

    def rows(self, name: str = "study") -> list[Resource]:
        found, _ = self.store.list(JOB, Where(name_prefix=f"{name}-"), Page(sort="name", limit=1000))
        return list(found)

    def row(self, number: int) -> Resource:
        return next(row for row in self.rows() if row.state["tuning"]["number"] == number)

    def folder(self, number: int) -> Path:
        return self.settings.jobs / str(self.row(number).state["folder"])

    def say(self, number: int, *values: float) -> None:
        for value in values:
            self.runner.metric(self.folder(number), "f1", value)

    def end(self, number: int, *values: float, status: Any = "Completed", **facts: Any) -> None:
        """The child's program prints values and ends."""
        self.say(number, *values)
        now = self.clock.now
        self.runner.end(self.folder(number), status, started=now, ended=now + 2, **facts)

    def finish(self, objective: Callable[[float], float] = lambda rate: rate) -> None:
        """Let every child that runs give its objective and end, until the study has ended."""
        for _ in range(200):
            self.step()
            if self.study().status in {"Completed", "Failed", "Stopped"}:
                return
            for row in self.rows():
                if row.status == "InProgress" and "folder" in row.state:
                    folder = self.settings.jobs / row.state["folder"]
                    if self.runner.is_alive(folder):
                        rate = float(row.spec["HyperParameters"]["rate"])
                        self.runner.metric(folder, "f1", objective(rate))
                        self.runner.end(folder)
        raise AssertionError(f"the study has not ended: {self.study().state}")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(Bench, tmp_path) as bench:
        yield bench


def test_a_study_runs_to_its_limit(bench: Bench) -> None:
    bench.create(jobs=5, parallel=2)
    bench.finish()
    study = bench.study()
    assert study.status == "Completed"
    assert [child["number"] for child in bench.children()] == [1, 2, 3, 4, 5]
    assert study.due is None
    best = max(bench.children(), key=lambda child: child["objective"])
    assert study.state["children"][study.state["best"]] == best
    assert "MaxNumberOfTrainingJobs" in study.state["ending"]["why"]
    assert len(bench.rows()) == 5


def test_a_child_is_an_ordinary_job_of_the_documented_form(bench: Bench) -> None:
    bench.create()
    bench.step()
    row = bench.row(1)
    assert re.fullmatch(r"study-001-[0-9a-f]{8}", row.name)
    assert row.state["tuning"]["arn"] == bench.study().arn
    assert row.spec["HyperParameters"] == {
        "epochs": "9",
        "rate": bench.children()[0]["values"]["rate"],
        "_tuning_objective_metric": "f1",
    }
    assert bench.store.tags(row.arn) == {"team": "nlp"}
    assert read_plan(bench.folder(1)).hyperparameters == row.spec["HyperParameters"]


def test_tags_that_come_later_reach_later_children(bench: Bench) -> None:
    bench.create(parallel=1)
    bench.step()
    bench.store.set_tags(bench.study().arn, {"late": "yes"})
    bench.end(1, 0.5)
    bench.step(2)
    assert bench.store.tags(bench.row(1).arn) == {"team": "nlp"}
    assert bench.store.tags(bench.row(2).arn) == {"team": "nlp", "late": "yes"}


def test_a_new_child_starts_when_one_ends(bench: Bench) -> None:
    bench.create(jobs=4, parallel=2)
    bench.step()
    assert len(bench.rows()) == 2
    bench.step(3)
    assert len(bench.rows()) == 2
    bench.end(2, 0.5)
    bench.step(2)
    assert len(bench.rows()) == 3


def test_a_turn_without_news_writes_nothing(bench: Bench) -> None:
    bench.create()
    bench.step(2)
    version = bench.study().version
    bench.step(5)
    assert bench.study().version == version


def test_ended_children_are_not_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.create(jobs=30, parallel=2)
    for number in range(1, 20, 2):
        bench.step(2)
        bench.end(number, 0.5)
        bench.end(number + 1, 0.6)
    bench.step(3)
    asked: list[str] = []
    get = bench.store.get

    def noted(kind: str, name: str) -> Resource | None:
        asked.append(name)
        return get(kind, name)

    monkeypatch.setattr(bench.store, "get", noted)
    bench.tuner.step(bench.clock.advance(0.1))
    assert len(asked) == 2  # the two that run; nobody else has written the study


def test_the_users_stop_stops_every_child(bench: Bench) -> None:
    bench.create(jobs=10, parallel=3)
    bench.step()
    bench.store.update(KIND, "study", lambda row: replace(row, status="Stopping", due=bench.clock.now))
    bench.step(4)
    assert bench.study().status == "Stopped"
    assert [row.status for row in bench.rows()] == ["Stopped"] * 3


def test_a_stop_before_the_first_turn_runs_nothing(bench: Bench) -> None:
    bench.create()
    bench.store.update(KIND, "study", lambda row: replace(row, status="Stopping"))
    bench.step(2)
    assert bench.study().status == "Stopped"
    assert bench.rows() == []


def test_time_ends_a_study(bench: Bench) -> None:
    bench.create(jobs=10, parallel=2, limits={"MaxRuntimeInSeconds": 120})
    bench.step()
    bench.end(1, 0.5)
    bench.step()
    bench.clock.advance(120)
    bench.step(4)
    assert bench.study().status == "Completed"
    assert bench.study().state["ending"]["why"].startswith("MaxRuntimeInSeconds")
    assert {row.status for row in bench.rows()} == {"Completed", "Stopped"}


def test_an_interrupted_child_runs_again_with_the_same_values(bench: Bench) -> None:
    bench.create(jobs=3, parallel=1)
    bench.step()
    bench.runner.kill(bench.folder(1))
    bench.finish()
    children = bench.children()
    assert [child["number"] for child in children] == [1, 2, 3, 4]
    assert children[0]["interrupted"]
    assert children[1]["values"] == children[0]["values"]
    assert [child["draw"] for child in children] == [1, 1, 2, 3]
    assert bench.study().status == "Completed"
    counters = studies.status_counters(children)
    assert (counters["Completed"], counters["RetryableError"]) == (3, 1)


def test_an_interruption_does_not_change_what_is_suggested(bench: Bench) -> None:
    bench.create("calm", jobs=4, parallel=1)
    bench.create("study", jobs=4, parallel=1)
    bench.step()
    bench.runner.kill(bench.folder(1))
    bench.finish()
    values = {child["draw"]: child["values"] for child in bench.children()}
    for number in range(1, 5):
        bench.step(2)
        row = next(row for row in bench.rows("calm") if row.state["tuning"]["number"] == number)
        assert row.spec["HyperParameters"]["rate"] == values[number]["rate"]
        bench.runner.metric(bench.settings.jobs / row.state["folder"], "f1", 1.0)
        bench.runner.end(bench.settings.jobs / row.state["folder"])


def test_a_configuration_that_is_always_interrupted_is_given_up(bench: Bench) -> None:
    bench.create(jobs=1, parallel=1)
    for number in range(1, 5):
        bench.step(2)
        bench.runner.kill(bench.folder(number))
    bench.step(4)
    assert bench.study().status == "Failed"
    assert "after 1 attempts" in bench.study().state["ending"]["reason"]
    assert len(bench.rows()) == 4


def test_children_that_all_fail_end_the_study_with_their_error(bench: Bench) -> None:
    bench.create(jobs=30, parallel=1)
    for number in range(1, 6):
        bench.step(2)
        bench.end(number, status="Failed", **BROKEN)
    bench.step(3)
    assert bench.study().status == "Failed"
    reason = bench.study().state["ending"]["reason"]
    assert reason.startswith(
        "No training job succeeded after 5 attempts. Please take a look at the training job"
    )
    assert "no label column" in reason
    assert len(bench.rows()) == 5


def test_failures_end_a_study_that_has_no_value_whatever_else_ended(bench: Bench) -> None:
    bench.create(jobs=30, parallel=1)
    bench.step()
    bench.end(1)
    for number in range(2, 7):
        bench.step(2)
        bench.end(number, status="Failed", **BROKEN)
    bench.step(3)
    assert bench.study().status == "Failed"
    assert "after 5 attempts" in bench.study().state["ending"]["reason"]


def test_failures_wait_for_a_child_that_gives_values(bench: Bench) -> None:
    bench.create(jobs=30, parallel=2)
    bench.step()
    bench.say(1, 0.5)
    for number in range(2, 8):
        bench.step(2)
        bench.end(number, status="Failed", **BROKEN)
    bench.step(3)
    assert bench.study().status == "InProgress"
    bench.end(1, 0.6)
    bench.step(3)
    assert bench.study().status == "InProgress"


def test_failures_do_not_end_a_study_that_has_a_value(bench: Bench) -> None:
    bench.create(jobs=8, parallel=1)
    bench.step()
    bench.end(1, 0.5)
    for number in range(2, 9):
        bench.step(2)
        bench.end(number, status="Failed", **BROKEN)
    bench.step(3)
    assert bench.study().status == "Completed"


def test_a_child_without_a_value_is_told_and_the_second_ends_the_study(bench: Bench) -> None:
    bench.create(jobs=30, parallel=1)
    bench.step()
    bench.runner.log(bench.folder(1), "loading\nepoch 1 F1: 0.91\n")
    bench.end(1)
    bench.step(2)
    assert bench.study().status == "InProgress"
    first = bench.children()[0]
    assert "f1=([0-9.]+)" in first["reason"]
    assert first["reason"].index("epoch 1 F1: 0.91") < first["reason"].index("loading")
    bench.end(2)
    bench.step(3)
    assert bench.study().status == "Failed"
    assert bench.study().state["ending"]["reason"] == first["reason"]


def split(bench: Bench, **second: Any) -> None:
    """Give the study a second training definition, with changes of the first's algorithm."""

    def of_two_definitions(row: Resource) -> Resource:
        one = row.spec["TrainingJobDefinition"]
        two = {**one, "AlgorithmSpecification": {**one["AlgorithmSpecification"], **second}}
        return replace(row, spec={**row.spec, "TrainingJobDefinitions": [one, two]})

    bench.store.update(KIND, "study", of_two_definitions)


@pytest.mark.parametrize("broken", [{}, {"status": "Failed", **BROKEN}])
def test_a_broken_definition_does_not_end_the_study_before_another_was_tried(
    bench: Bench, broken: dict[str, Any]
) -> None:
    bench.create(jobs=14, parallel=7)
    split(bench, TrainingImage="another")
    bench.step(3)
    for _ in range(2):
        for child in bench.children():
            if child["definition"] == 0 and "status" not in child:
                bench.end(child["number"], **broken)
        bench.step(3)
    assert sum("status" in child for child in bench.children()) >= studies_controller.ATTEMPTS
    assert {child["definition"] for child in bench.children() if "status" in child} == {0}
    assert bench.study().status == "InProgress"
    bench.end(2, 0.5)
    bench.step(3)
    assert bench.study().status == "InProgress"


@pytest.mark.parametrize("shared", [True, False])
def test_what_one_definition_shows_of_a_regex_is_known_of_its_like(bench: Bench, shared: bool) -> None:
    bench.create(jobs=9, parallel=3)
    split(bench, **({} if shared else {"MetricDefinitions": [{"Name": "f1", "Regex": "F1: (.+)"}]}))
    bench.step(2)
    assert [child["definition"] for child in bench.children()] == [0, 1, 0]
    bench.end(1)
    bench.end(3)
    bench.step(4)
    assert bench.study().status == ("Failed" if shared else "InProgress")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((0.99, float("nan")), "ended in nan at step 2; the last number, at step 1, was 0.99"),
        ((float("inf"),), "ended in inf at step 1; no value was a number"),
    ],
)
def test_a_child_that_diverges_does_not_win(bench: Bench, values: tuple[float, ...], told: str) -> None:
    bench.create(jobs=2, parallel=1)
    bench.step()
    bench.end(1, *values)
    bench.step(2)
    bench.end(2, 0.1)
    bench.step(3)
    first, second = bench.children()
    assert first["status"] == "Completed"
    assert first["diverged"] is True
    assert "objective" not in first
    assert told in first["reason"]
    study = bench.study()
    assert study.state["children"][study.state["best"]] == second
    assert studies.objective_counters(bench.children()) == {"Succeeded": 1, "Pending": 0, "Failed": 1}


def test_a_child_that_comes_back_to_numbers_counts_with_its_last(bench: Bench) -> None:
    bench.create(jobs=1, parallel=1)
    bench.step()
    bench.end(1, 0.5, float("nan"), 0.7)
    bench.step(3)
    assert bench.children()[0]["objective"] == 0.7
    assert "reason" not in bench.children()[0]


def test_children_that_diverge_are_failures_and_not_silent(bench: Bench) -> None:
    bench.create(jobs=30, parallel=1)
    for number in range(1, studies_controller.ATTEMPTS + 1):
        bench.step(2)
        assert bench.study().status == "InProgress"
        bench.end(number, float("nan"))
    bench.step(3)
    assert bench.study().status == "Failed"
    assert "ended in nan at step 1" in bench.study().state["ending"]["reason"]


@pytest.mark.parametrize("rule", ["median", "hyperband"])
def test_a_value_that_is_no_number_can_be_judged_and_kept(bench: Bench, rule: str) -> None:
    if rule == "median":
        bench.create(jobs=7, parallel=1, TrainingJobEarlyStoppingType="Auto")
    else:
        bench.create(jobs=7, parallel=1, Strategy="Hyperband")
    for number in range(1, 6):
        bench.step(2)
        bench.end(number, 0.5, 0.6, 0.7)
    bench.step(2)
    bench.say(6, float("nan"), float("nan"), float("nan"))
    bench.step(4)
    child = bench.children()[5]
    assert (child["status"], child["decision"]["value"]) == ("Stopped", None)
    assert "nan" in child["decision"]["reason"]
    assert child["diverged"] is True


def delete(bench: Bench, number: int) -> None:
    assert bench.store.delete(JOB, bench.row(number).name)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_child_deleted_before_its_end_was_noted_has_ended(bench: Bench, restarted: bool) -> None:
    bench.create(jobs=3, parallel=2)
    bench.step(2)
    if restarted:  # what the next controller knows is in the study's row
        bench.end(2, 0.5)
        bench.step(2)
        bench.start()
    bench.end(1, 0.7)
    bench.jobs.step(bench.clock.advance(0.1))
    delete(bench, 1)
    bench.finish()
    first = bench.children()[0]
    assert (first["status"], first.get("objective")) == ("Stopped", None)
    assert "deleted" in first["reason"]
    assert bench.study().status == "Completed"
    assert [row.state["tuning"]["number"] for row in bench.rows()] == [2, 3]


def test_a_child_deleted_after_its_end_was_seen_counts_as_it_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.create(jobs=2, parallel=1)
    bench.step(2)
    bench.end(1, 0.7)
    bench.jobs.step(bench.clock.advance(0.1))
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "apply", lambda *given, **named: 1 / 0)
        bench.tuner.step(bench.clock.advance(0.1))
    delete(bench, 1)
    bench.finish()
    first = bench.children()[0]
    assert (first["status"], first["objective"]) == ("Completed", 0.7)
    assert len(bench.children()) == 2


def test_one_silent_child_among_others_is_no_harm(bench: Bench) -> None:
    bench.create(jobs=4, parallel=1)
    bench.step()
    bench.end(1, 0.5)
    for number in (2, 3):
        bench.step(2)
        bench.end(number)
    bench.finish()
    assert bench.study().status == "Completed"


def test_a_target_ends_the_study_even_while_a_child_runs(bench: Bench) -> None:
    bench.create(jobs=10, parallel=2, TuningJobCompletionCriteria={"TargetObjectiveMetricValue": 0.9})
    bench.step()
    bench.say(1, 0.95)
    bench.step(4)
    assert bench.study().status == "Completed"
    assert "target" in bench.study().state["ending"]["why"]
    assert [row.status for row in bench.rows()] == ["Stopped", "Stopped"]
    assert bench.study().state["best"] == bench.row(1).name


def test_a_study_that_does_not_improve_ends(bench: Bench) -> None:
    criteria = {"BestObjectiveNotImproving": {"MaxNumberOfTrainingJobsNotImproving": 3}}
    bench.create(jobs=30, parallel=1, TuningJobCompletionCriteria=criteria)
    bench.finish(lambda rate: 0.5)
    assert bench.study().status == "Completed"
    assert bench.study().state["details"]["NumberOfTrainingJobsObjectiveNotImproving"] == 3
    assert len(bench.rows()) == 4


def test_the_median_rule_stops_a_bad_child_and_says_why(bench: Bench) -> None:
    bench.create(jobs=7, parallel=1, TrainingJobEarlyStoppingType="Auto")
    for number in range(1, 6):
        bench.step(2)
        bench.end(number, 0.5, 0.6, 0.7, 0.8)
    bench.step(2)
    bench.say(6, 0.1)
    bench.step(2)
    bench.say(6, 0.1)
    bench.step(4)
    child = bench.children()[5]
    assert child["status"] == "Stopped"
    assert child["decision"] == {
        "step": 2,
        "value": 0.1,
        "threshold": pytest.approx(0.55),
        "jobs": 5,
        "reason": child["decision"]["reason"],
    }
    said = [entry["StatusMessage"] for entry in bench.row(6).state["transitions"]]
    assert f"Stopping the training job: early, since {child['decision']['reason']}" in said
    bench.end(7, 0.9, 0.9, 0.9)
    bench.step(2)
    assert bench.children()[6]["status"] == "Completed"
    assert bench.study().status == "Completed"


def rising(final: float) -> list[float]:
    """Nine values that come to `final`, with a little noise."""
    return [final - 0.4 * 0.6**step + 0.002 * (-1) ** step for step in range(1, 10)]


def end_three(bench: Bench) -> None:
    """Three children run to the end, one after another; the fourth begins."""
    for number, final in enumerate((0.80, 0.82, 0.78), start=1):
        bench.step(2)
        bench.end(number, *rising(final))
    bench.step(2)


def test_a_bayesian_study_stops_what_is_not_worth_the_rest(bench: Bench) -> None:
    """Long before the median rule has its five children."""
    bench.create(jobs=6, parallel=1, Strategy="Bayesian", TrainingJobEarlyStoppingType="Auto")
    end_three(bench)
    bench.say(4, rising(0.3)[0])
    bench.step(2)
    assert "looks" not in bench.children()[3]  # too early
    bench.say(4, *rising(0.3)[1:5])
    bench.step(4)
    child = bench.children()[3]
    assert child["status"] == "Stopped"
    assert child["looks"] == [child["decision"]]
    assert (child["decision"]["step"], child["decision"]["jobs"]) == (5, 3)
    assert child["decision"]["threshold"] == pytest.approx(0.82, abs=0.03)
    assert "not worth the rest" in child["decision"]["reason"]
    bench.say(5, *rising(0.99)[:5])
    bench.step(2)
    child = bench.children()[4]
    assert "decision" not in child and "is worth the rest" in child["looks"][0]["reason"]
    before = bench.study()
    bench.step()
    assert bench.study() == before


@dataclass
class Later:
    """Thoughts that are worked out when the test says so."""

    asked: list[tuple[Future[Any], Callable[[], Any]]] = field(default_factory=list)

    def __call__(self, work: Callable[[], Any], /) -> Future[Any]:
        self.asked.append((Future(), work))
        return self.asked[-1][0]

    def work_out(self) -> None:
        for future, work in self.asked:
            if future.set_running_or_notify_cancel():
                future.set_result(work())
        self.asked.clear()


@pytest.fixture
def later(bench: Bench) -> Later:
    """A Bayesian study with three children that ran to the end and one, poor, at the first look, which is asked for."""
    bench.create(jobs=6, parallel=1, Strategy="Bayesian", TrainingJobEarlyStoppingType="Auto")
    end_three(bench)
    later = Later()
    bench.start(think=later)
    bench.say(4, *rising(0.3)[:4])
    bench.step(2)
    assert len(later.asked) == 1
    return later


def test_a_look_takes_its_time_and_is_adopted_by_a_later_turn(bench: Bench, later: Later) -> None:
    bench.say(4, rising(0.3)[4])
    before = bench.study()
    bench.step(3)
    assert bench.study() == before and len(later.asked) == 1
    later.work_out()
    bench.step(3)
    child = bench.children()[3]
    assert child["status"] == "Stopped" and child["looks"] == [child["decision"]]
    assert child["decision"]["step"] == 4  # what it had shown when the question was put


def test_a_look_at_a_child_that_ended_meanwhile_changes_nothing(bench: Bench, later: Later) -> None:
    bench.end(4, *rising(0.3)[4:])
    bench.step(2)
    before = bench.children()[3]
    later.work_out()
    bench.step(2)
    assert bench.children()[3] == before and before["status"] == "Completed" and "looks" not in before


def test_a_look_is_given_up_when_the_study_ends(bench: Bench, later: Later) -> None:
    bench.store.update(KIND, "study", lambda row: replace(row, status="Stopping"))
    bench.step(4)
    assert bench.study().status == "Stopped"
    assert later.asked[0][0].cancelled()


def test_a_look_that_was_not_adopted_is_made_again_by_the_next_server(bench: Bench, later: Later) -> None:
    later.work_out()
    bench.start(think=later)
    bench.step(2)
    assert "looks" not in bench.children()[3]
    later.work_out()
    bench.step(3)
    assert bench.children()[3]["decision"]["step"] == 4


def test_the_model_does_not_stop_children_of_a_random_study(bench: Bench) -> None:
    bench.create(jobs=6, parallel=1, TrainingJobEarlyStoppingType="Auto")
    end_three(bench)
    bench.say(4, *rising(0.3)[:5])
    bench.step(2)
    assert not {"decision", "looks"} & set(bench.children()[3])


def test_hyperband_stops_at_the_most_and_at_rungs(bench: Bench) -> None:
    bench.create(jobs=9, parallel=3, Strategy="Hyperband")
    for _ in range(60):
        bench.step()
        for row in bench.rows():
            if row.status == "InProgress" and "folder" in row.state:
                rate = float(row.spec["HyperParameters"]["rate"])
                bench.runner.metric(bench.settings.jobs / row.state["folder"], "f1", rate)
    assert bench.study().status == "Completed"
    stops = [child["decision"]["step"] for child in bench.children()]
    assert len(stops) == 9
    assert 9 in stops and min(stops) < 9  # MaxResource is taken from `epochs`
    assert all(child["looks"] for child in bench.children())


@pytest.mark.parametrize("ends", [True, False])
def test_what_comes_after_the_most_does_not_count(bench: Bench, ends: bool) -> None:
    bench.create(jobs=1, parallel=1, Strategy="Hyperband")
    bench.step(2)
    bench.say(1, *(0.1 * step for step in range(1, 10)), 5.0, float("nan"))
    if ends:
        bench.end(1)
    bench.step(5)
    child = bench.children()[0]
    assert child["objective"] == pytest.approx(0.9)
    if not ends:
        assert child["status"] == "Stopped"
        assert (child["decision"]["step"], child["decision"]["value"]) == (9, pytest.approx(0.9))
        assert child["decision"]["finished"] is True
        said = [entry["StatusMessage"] for entry in bench.row(1).state["transitions"]]
        assert "Stopping the training job: since MaxResource (9) is reached" in said


def test_a_child_cut_at_a_rung_has_not_finished(bench: Bench) -> None:
    bench.create(jobs=7, parallel=1, Strategy="Hyperband")
    for number in range(1, 6):
        bench.step(2)
        bench.end(number, 0.5, 0.6, 0.7)
    bench.step(2)
    bench.say(6, 0.1, 0.1, 0.1)
    bench.step(4)
    assert "finished" not in bench.children()[5]["decision"]


def test_a_grid_runs_each_combination_once(bench: Bench) -> None:
    ranges = {
        "CategoricalParameterRanges": [
            {"Name": "rate", "Values": ["0.1", "0.2"]},
            {"Name": "kind", "Values": ['"a"', "b", "c"]},
        ]
    }
    bench.create(jobs=None, parallel=4, Strategy="Grid", ParameterRanges=ranges)
    bench.finish()
    assert bench.study().status == "Completed"
    found = [(c["values"]["rate"], c["values"]["kind"]) for c in bench.children()]
    assert sorted(found) == sorted((r, k) for r in ("0.1", "0.2") for k in ('"a"', "b", "c"))


def test_minimising_turns_the_best_around(bench: Bench) -> None:
    goal = {"Type": "Minimize", "MetricName": "f1"}
    bench.create(jobs=4, HyperParameterTuningJobObjective=goal)
    bench.finish()
    best = min(bench.children(), key=lambda child: child["objective"])
    assert bench.study().state["children"][bench.study().state["best"]] == best


def test_a_strategy_that_raises_ends_the_study_with_its_word(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.create(Strategy="NobodyHasThis")
    bench.create("good", jobs=1)
    bench.step(8)
    assert bench.study().status == "Failed"
    assert "NobodyHasThis" in bench.study().state["ending"]["reason"]
    assert len(bench.rows("good")) == 1


PLUG_IN = """
from clary.tuning.strategy import Proposal

class Corners:
    def propose(self, space, history, pending, n, rng, *, maximize):
        taken = len(history) + len(pending)
        return [Proposal({"rate": str(float((taken + i) % 2))}, "a corner") for i in range(n)]
"""


@pytest.fixture
def plug_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], str]:
    """Installs a strategy class with its source; gives its name."""

    def install(name: str, source: str) -> str:
        module = name.lower()
        facts = tmp_path / "site" / f"{module}-1.dist-info"
        facts.mkdir(parents=True)
        (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
        (facts / "entry_points.txt").write_text(f"[clary.strategies]\n{name} = {module}:{name}\n")
        (facts.parent / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(str(facts.parent))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return name

    return install


def test_a_strategy_may_come_from_a_plug_in(bench: Bench, plug_in: Callable[[str, str], str]) -> None:
    bench.create(jobs=3, Strategy=plug_in("Corners", PLUG_IN))
    bench.finish()
    assert [(c["values"]["rate"], c["why"]) for c in bench.children()] == [
        ("0.0", "a corner"),
        ("1.0", "a corner"),
        ("0.0", "a corner"),
    ]


@pytest.mark.parametrize(
    "values", ["{'rate': 0.5}", "{'rate': '7'}", "{'other': '1'}", "{'rate': '1', 'x': '2'}"]
)
def test_what_a_plug_in_may_not_propose_ends_its_study(
    bench: Bench, plug_in: Callable[[str, str], str], caplog: pytest.LogCaptureFixture, values: str
) -> None:
    wrong = PLUG_IN.replace('{"rate": str(float((taken + i) % 2))}', values).replace("Corners", "Wrong")
    bench.create(jobs=3, Strategy=plug_in("Wrong", wrong))
    bench.step(8)
    assert bench.study().status == "Failed" and bench.children() == []
    assert f"The strategy 'Wrong' proposed {values}" in bench.study().state["ending"]["reason"]


SLOW = """
import threading
from clary.tuning.strategy import Proposal

begun, go = threading.Semaphore(0), threading.Semaphore(0)

class Slow:
    def propose(self, space, history, pending, n, rng, *, maximize):
        begun.release()
        assert go.acquire(timeout=60)
        return [Proposal({"rate": str(len(history) / 10)}, "at last")]
"""


@dataclass
class Slow:
    """A strategy that thinks until it is let go."""

    begun: threading.Semaphore
    go: threading.Semaphore
    woken: threading.Semaphore

    def wait_for_thought(self) -> None:
        assert self.begun.acquire(timeout=20)

    def let_go(self, proposals: int = 1) -> None:
        self.go.release(proposals)
        assert self.woken.acquire(timeout=20)


@pytest.fixture
def slow(bench: Bench, plug_in: Callable[[str, str], str]) -> Iterator[Slow]:
    """The bench with a thread that thinks, and the strategy Slow."""
    plug_in("Slow", SLOW)
    module = importlib.import_module("slow")
    woken = threading.Semaphore(0)
    thinkers = Thinkers("test", 2)
    thinkers.start(woken.release)
    bench.start(think=thinkers.think)
    yield Slow(module.begun, module.go, woken)
    thinkers.stop()
    module.go.release(9)
    sys.modules.pop("slow")


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_study_that_thinks_holds_up_no_other(bench: Bench, slow: Slow, strategy: str) -> None:
    bench.create("thinks", Strategy="Slow")
    bench.step()
    slow.wait_for_thought()
    bench.create("other", jobs=9, parallel=2, Strategy=strategy)
    for count in (2, 3):
        bench.step()
        assert strategy == "Random" or slow.woken.acquire(timeout=20)
        bench.step(2)
        assert len(bench.rows("other")) == count
        folder = bench.settings.jobs / bench.rows("other")[0].state["folder"]
        bench.runner.metric(folder, "f1", 0.5)
        bench.runner.end(folder)
        bench.step()
    bench.store.update(KIND, "other", lambda row: replace(row, status="Stopping"))
    bench.step(4)
    assert bench.study("other").status == "Stopped"
    assert bench.children("thinks") == []


def test_a_study_that_thinks_is_stopped_itself(bench: Bench, slow: Slow) -> None:
    bench.create(Strategy="Slow", parallel=2)
    bench.step()
    slow.let_go(2)
    bench.step(2)
    bench.end(1, 0.5)
    bench.step(2)
    bench.store.update(KIND, "study", lambda row: replace(row, status="Stopping"))
    bench.step(4)
    assert bench.study().status == "Stopped"
    slow.let_go()
    bench.step()
    assert len(bench.rows()) == 2


def test_what_ends_while_a_study_thinks_is_noted_at_once(bench: Bench, slow: Slow) -> None:
    bench.create(Strategy="Slow", parallel=2)
    bench.step()
    slow.let_go(2)
    bench.step(2)
    bench.end(2, 0.2)
    bench.step(2)
    bench.end(1, 0.5)
    bench.step(2)
    assert [child.get("objective") for child in bench.children()] == [0.5, 0.2]
    slow.let_go()
    bench.step(2)
    third = bench.children()[2]
    assert (third["number"], third["draw"], third["why"]) == (3, 3, "at last")
    assert third["values"] == {
        "rate": "0.1"
    }  # of one observation: the question was put before the other came
    assert len(bench.rows()) == 3


def test_an_error_of_a_thought_ends_only_its_study(
    bench: Bench, slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    bench.create(Strategy="NobodyHasThis")
    bench.create("good", jobs=1)
    for _ in range(tuner.MOST_FAULTS):
        bench.step()
        assert slow.woken.acquire(timeout=20)
        bench.step()
    bench.step(4)
    assert bench.study().status == "Failed"
    assert "NobodyHasThis" in bench.study().state["ending"]["reason"]
    assert len(bench.rows("good")) == 1


def test_another_server_takes_over_only_when_the_lease_has_ended(bench: Bench) -> None:
    bench.create()
    bench.step()
    bench.start("home-2")
    bench.tuner.step(bench.clock.advance(1))
    bench.end(1, 0.5)
    bench.tuner.step(bench.clock.advance(1))
    assert bench.study().state["best"] is None
    bench.clock.advance(bench.settings.lease_s)
    bench.step(3)
    assert bench.study().state["best"] is not None


class Death(BaseException):
    """The server is killed."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_write_loses_and_repeats_nothing(
    tmp_path: Path, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill both controllers before or after each single write of a whole study, one run for each write."""
    expected: list[Any] | None = None
    for fatal in range(0, 60):
        home = tmp_path / f"{fatal}"
        home.mkdir()
        with opened(Bench, home) as bench:
            bench.create(jobs=4, parallel=2)
            died = kill_at(bench, fatal, after, monkeypatch)
            for _ in range(3):
                try:
                    bench.finish()
                    break
                except Death:
                    bench.start()
            assert bench.study().status == "Completed"
            values = [(c["number"], c["draw"], c["values"]) for c in bench.children()]
            expected = expected or values
            assert values == expected
            assert [row.name for row in bench.rows()] == sorted(bench.study().state["children"])
            assert len(bench.runner.launched) == 4
            monkeypatch.undo()
        if not died():
            assert fatal > 15
            return
    raise AssertionError("a study of four children has more writes than were tried")


def kill_at(bench: Bench, fatal: int, after: bool, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bool]:
    """Make the store raise Death around its write number `fatal`; gives whether that came to pass."""
    count = iter(range(10_000))
    dead: list[bool] = []

    def dying(write: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            now = not dead and next(count) == fatal
            if now:
                dead.append(True)
            if now and not after:
                raise Death
            answer = write(*given, **named)
            if now:
                raise Death
            return answer

        return wrapped

    for name in ("create", "apply", "update"):
        monkeypatch.setattr(bench.store, name, dying(getattr(bench.store, name)))
    return lambda: bool(dead)
