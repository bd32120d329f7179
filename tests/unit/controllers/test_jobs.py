"""The job controller over a real store and a fake runner, one step at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import read_plan
from clary.store.base import Resource
from tests.unit.controllers.bench import KIND, Bench


def statuses(job: Resource) -> list[str]:
    return [entry["Status"] for entry in job.state["transitions"]]


def test_a_job_goes_through_its_states_to_completed(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    folder = bench.folder("a")
    bench.runner.tell(folder, "Downloading", "Downloading input data")
    bench.step()
    assert bench.job("a").state["secondary"] == "Downloading"
    bench.runner.tell(folder, "Training", "Training in progress")
    bench.runner.metric(folder, "loss", 0.5)
    bench.runner.metric(folder, "loss", 0.25)
    bench.runner.usage(folder, {"CPUUtilization": 150.0})
    bench.step()
    bench.runner.tell(folder, "Uploading", "Uploading generated training model")
    at = bench.clock.now
    bench.runner.end(folder, started=at - 3, ended=at, artifacts="s3://bucket/out/a/output/model.tar.gz")
    bench.step()
    job = bench.job("a")
    assert job.status == job.state["secondary"] == "Completed"
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert job.state["artifacts"] == "s3://bucket/out/a/output/model.tar.gz"
    assert job.state["final_metrics"]["loss"][0] == 0.25
    assert [point.value for point in bench.store.points(f"{KIND}/a", "loss")] == [0.5, 0.25]
    assert bench.store.metrics(f"{KIND}/a/algo-1") == ("CPUUtilization",)
    assert job.due is None
    assert "slots" not in job.state


def test_the_plan_holds_what_was_asked(bench: Bench) -> None:
    bench.create(
        "a",
        HyperParameters={"lr": '"0.1"'},
        Environment={"KEY": "value"},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        InputDataConfig=[
            {
                "ChannelName": "train",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/train"}},
            }
        ],
    )
    bench.step()
    plan = read_plan(bench.folder("a"))
    assert plan.hyperparameters == {"lr": '"0.1"'}
    assert plan.environment == {"KEY": "value"}
    assert plan.max_runtime_s == 60
    assert (plan.channels[0].name, plan.channels[0].content_type) == ("train", "text/csv")


def test_jobs_wait_first_in_first_out_and_never_over_commit(bench: Bench) -> None:
    for name, instance in [("a", "ml.small"), ("b", "ml.big"), ("c", "ml.small"), ("d", "ml.small")]:
        bench.create(name, instance=instance)
    bench.step()
    # one CPU is free, but `b` is first and needs two: `c` must not overtake it
    assert [folder.name[0] for folder in bench.runner.launched] == ["a"]
    assert [bench.job(name).state["secondary"] for name in "bcd"] == ["Pending"] * 3
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a", "b"]
    bench.runner.end(bench.folder("b"))
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a", "b", "c", "d"]


def test_a_waiting_job_that_is_stopped_never_runs(bench: Bench) -> None:
    bench.create("a", instance="ml.big")
    bench.create("b")
    bench.step()
    bench.ask_to_stop("b")
    bench.step()
    assert bench.job("b").status == "Stopped"
    assert len(bench.runner.launched) == 1
    assert "started" not in bench.job("b").state


def test_a_running_job_is_stopped_through_the_runner(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.ask_to_stop("a")
    bench.step()
    assert bench.job("a").status == "Stopped"
    assert statuses(bench.job("a"))[-1] == "Stopped"


def test_a_job_that_completes_as_it_is_stopped_is_stopped_and_keeps_its_model(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.runner.end(bench.folder("a"), started=1.0, ended=2.0, artifacts="s3://bucket/out/model.tar.gz")
    bench.ask_to_stop("a")
    bench.step()
    assert (bench.job("a").status, statuses(bench.job("a"))[-1]) == ("Stopped", "Stopped")
    assert bench.job("a").state["artifacts"] == "s3://bucket/out/model.tar.gz"


def test_news_while_stopping_do_not_undo_the_stop(bench: Bench) -> None:
    bench.runner.obeys_stop = False
    bench.create("a")
    bench.step()
    bench.ask_to_stop("a")
    bench.runner.tell(bench.folder("a"), "Uploading", "")
    bench.step()
    assert bench.job("a").status == "Stopping"
    assert bench.job("a").state["secondary"] != "Uploading"


def test_an_agent_that_is_gone_without_outcome_fails_the_job(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.runner.kill(bench.folder("a"))
    bench.step()
    job = bench.job("a")
    assert job.status == "Failed"
    assert "InternalServerError" in job.state["reason"]


def test_only_the_platforms_own_faults_are_retried(bench: Bench) -> None:
    bench.create("ours", RetryStrategy={"MaximumRetryAttempts": 1})
    bench.create("theirs", RetryStrategy={"MaximumRetryAttempts": 1})
    bench.step()
    bench.runner.kill(bench.folder("ours"))
    bench.runner.end(bench.folder("theirs"), "Failed", reason="AlgorithmError: boom")
    bench.step()
    bench.step()
    assert bench.job("theirs").status == "Failed"
    assert bench.job("ours").status == "InProgress"
    assert [folder.name.split("-")[0] for folder in bench.runner.launched] == ["ours", "theirs", "ours"]
    bench.runner.kill(bench.folder("ours"))
    bench.step()
    assert bench.job("ours").status == "Failed"


def test_a_time_limit_shows_as_stopped(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.runner.end(bench.folder("a"), "Stopped", secondary="MaxRuntimeExceeded")
    bench.step()
    assert bench.job("a").status == "Stopped"
    assert statuses(bench.job("a"))[-2:] == ["Stopping", "MaxRuntimeExceeded"]


def test_a_successor_goes_on_where_the_last_controller_stopped(bench: Bench) -> None:
    bench.create("a", instance="ml.big")
    bench.create("b")
    bench.step()
    bench.runner.metric(bench.folder("a"), "loss", 1.0)
    bench.step()
    bench.jobs = bench.controller()
    bench.jobs.resume(bench.clock.now)
    bench.runner.metric(bench.folder("a"), "loss", 2.0)
    bench.step()
    # nothing is counted twice, nothing is launched twice, and the slots are still taken
    assert [point.value for point in bench.store.points(f"{KIND}/a", "loss")] == [1.0, 2.0]
    assert len(bench.runner.launched) == 1
    bench.runner.end(bench.folder("a"))
    bench.step()
    bench.step()
    assert bench.job("a").status == "Completed"
    assert len(bench.runner.launched) == 2


@pytest.mark.parametrize("moment", ["apply", "launch"])
def test_a_death_between_two_steps_of_a_launch_starts_one_agent(
    bench: Bench, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    def die(*_: Any) -> Any:
        raise Death

    bench.create("a")
    target: Callable[..., Any] = bench.runner.launch
    if moment == "launch":

        def launch_then_die(*given: Any) -> Any:
            target(*given)
            raise Death

        monkeypatch.setattr(bench.runner, "launch", launch_then_die)
    else:
        monkeypatch.setattr(bench.runner, "launch", die)
    with pytest.raises(Death):
        bench.step()
    monkeypatch.undo()
    bench.jobs = bench.controller()
    bench.jobs.resume(bench.clock.now)
    bench.step()
    bench.step()
    assert len(bench.runner.launched) == 1
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert bench.job("a").status == "Completed"


def test_a_fault_with_one_job_does_not_hold_up_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.create("bad", InputDataConfig=[{"ChannelName": "broken"}])
    bench.create("good")
    bench.step()
    assert bench.runner.launched[0].name.startswith("good")
    for _ in range(12):
        bench.step(30)
    assert bench.job("bad").status == "Failed"
    assert "InternalServerError" in bench.job("bad").state["reason"]
    assert bench.job("good").status == "InProgress"


def test_trouble_that_passes_costs_no_job(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no space left on device")

    bench.create("a")
    bench.step()
    for _ in range(3):
        bench.runner.metric(bench.folder("a"), "loss", 1.0)
        with monkeypatch.context() as patch:
            patch.setattr(bench.store, "apply", refuse)
            for _ in range(6):
                bench.step(20)
        bench.step(20)
    assert bench.job("a").status == "InProgress"
    assert bench.runner.is_alive(bench.folder("a"))
    assert len(bench.store.points(f"{KIND}/a", "loss")) == 3


def test_nothing_is_killed_for_a_database_that_cannot_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("no space left on device")

    bench.create("a")
    bench.step()
    bench.runner.metric(bench.folder("a"), "loss", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(bench.store, "apply", refuse)
        patch.setattr(bench.store, "drop_credentials", refuse)
        for _ in range(20):
            bench.step(20)
    assert bench.runner.is_alive(bench.folder("a"))


def test_a_job_given_up_for_trouble_leaves_no_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("cannot be read")

    bench.create("a")
    bench.step()
    monkeypatch.setattr("clary.controllers.jobs.read_all", refuse)
    for _ in range(20):
        bench.step(20)
    assert bench.job("a").status == "Failed"
    assert "cannot be read" in bench.job("a").state["reason"]
    assert not bench.runner.is_alive(bench.folder("a"))


def test_a_process_that_cannot_be_killed_holds_up_nobody_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear = bench.runner.clear

    def withstand(folder: Path) -> None:
        if folder.name.startswith("stuck"):
            raise TimeoutError("processes survive SIGKILL")
        clear(folder)

    bench.create("stuck")
    bench.create("good")
    bench.step()
    monkeypatch.setattr(bench.runner, "clear", withstand)
    bench.runner.end(bench.folder("stuck"))
    for _ in range(20):
        bench.step(30)
    bench.runner.end(bench.folder("good"))
    bench.step(30)
    assert bench.job("good").status == "Completed"
    assert bench.job("stuck").status == "InProgress"
    monkeypatch.undo()
    bench.step(60)
    assert bench.job("stuck").status == "Failed"


def test_a_key_is_withdrawn_before_its_job_is_said_to_have_ended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    def die(_: str) -> None:
        raise Death

    bench.create("a")
    bench.step()
    bench.runner.end(bench.folder("a"))
    monkeypatch.setattr(bench.store, "drop_credentials", die)
    with pytest.raises(Death):
        bench.step()
    assert bench.job("a").status == "InProgress"


@pytest.mark.parametrize("again", [False, True])
def test_a_job_whose_row_is_gone_is_ended(bench: Bench, *, again: bool) -> None:
    bench.create("a", instance="ml.big")
    bench.step()
    bench.store.delete(KIND, "a")
    if again:
        bench.create("a", instance="ml.big")
    bench.step()
    bench.step()
    assert not bench.runner.is_alive(bench.runner.launched[0])
    assert len(bench.runner.launched) == (2 if again else 1)


def test_a_lease_that_ran_out_while_the_machine_slept_is_taken_up_again(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.step(3600)
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert bench.job("a").status == "Completed"
    assert len(bench.runner.launched) == 1


def test_a_clock_set_back_stops_nothing(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    bench.clock.now -= 86_400
    bench.create("b")
    bench.step()
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert bench.job("a").status == "Completed"
    assert len(bench.runner.launched) == 2


def test_rows_are_read_again_only_when_others_changed_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        bench.create(f"j{number}")
    bench.step()
    get = bench.store.get
    read: list[str] = []

    def count(kind: str, name: str) -> Resource | None:
        read.append(name)
        return get(kind, name)

    monkeypatch.setattr(bench.store, "get", count)
    for _ in range(5):
        bench.step()
    assert read == []
    bench.ask_to_stop("j7")
    bench.step()
    assert read == ["j7"]


def test_a_measurement_is_no_change_of_status(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    modified = bench.job("a").modified
    bench.news.clear()
    bench.runner.metric(bench.folder("a"), "loss", 1.0)
    bench.step()
    assert bench.news == [False]
    assert bench.job("a").modified == modified
    bench.runner.tell(bench.folder("a"), "Training")
    bench.step()
    assert bench.news == [False, True]
    assert bench.job("a").modified > modified


def test_a_line_cut_short_by_a_full_disk_costs_no_more_than_itself(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    path = bench.folder("a") / "metrics.jsonl"
    path.write_text('{"at": 1, "na')
    bench.step()
    with path.open("a") as file:
        file.write('{"at": 2, "name": "loss", "value": 2.0}\n{"at": 3, "name": "loss", "value": 3.0}\n')
    bench.step()
    assert [point.value for point in bench.store.points(f"{KIND}/a", "loss")] == [3.0]
    assert bench.job("a").status == "InProgress"


def test_another_server_takes_over_only_when_the_lease_has_ended(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    other = bench.controller("home-2")
    other.step(bench.clock.advance(1))
    bench.runner.end(bench.folder("a"))
    other.step(bench.clock.advance(1))
    assert bench.job("a").status == "InProgress"
    other.step(bench.clock.advance(bench.settings.lease_s))
    assert bench.job("a").status == "Completed"


def test_an_ended_job_keeps_its_log_and_nothing_secret(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    folder = bench.folder("a")
    (folder / "ml").mkdir()
    bench.runner.log(folder, "hello")
    bench.runner.end(folder)
    bench.step()
    assert (folder / "log" / "algo-1.log").read_text().endswith("hello\n")
    assert not (folder / "plan.json").exists()
    assert not (folder / "ml").exists()


def test_the_sweep_removes_folders_of_jobs_that_are_gone(bench: Bench) -> None:
    bench.create("a")
    bench.step()
    orphan = bench.settings.jobs / KIND / "gone-00000000"
    orphan.mkdir()
    bench.jobs.resume(bench.clock.now)
    assert not orphan.exists()
    assert bench.folder("a").exists()
