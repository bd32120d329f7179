"""Processing jobs under the job controller: one queue with training, and jobs of several hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clary.agent.contract import read_outcome, read_plan
from clary.store.base import Resource
from tests.unit.controllers.bench import KIND, PROCESSING, Bench


def job(bench: Bench, name: str = "p") -> Resource:
    return bench.job(name, PROCESSING)


def host(bench: Bench, number: int, name: str = "p") -> Path:
    return bench.folder(name, PROCESSING) / f"algo-{number}"


def test_a_processing_job_goes_through_its_states(bench: Bench) -> None:
    bench.create_processing("p", Environment={"KEY": "value"})
    bench.step()
    folder = bench.folder("p", PROCESSING)
    plan = read_plan(folder)
    assert (plan.work, plan.environment, plan.host) == ("processing", {"KEY": "value"}, "algo-1")
    assert plan.documents["config/processingjobconfig.json"]["ProcessingJobArn"] == job(bench).arn
    bench.runner.tell(folder, "Processing", "Processing in progress.")
    bench.runner.usage(folder, {"CPUUtilization": 50.0})
    bench.step()
    started = job(bench).state["started"]
    bench.runner.end(folder, started=started, ended=bench.clock.now, message="accuracy 0.9")
    bench.step()
    ended = job(bench)
    assert ended.status == "Completed"
    assert ended.state["exit_message"] == "accuracy 0.9"
    assert ended.state["transitions"][-1]["StatusMessage"] == "Processing job completed"
    assert bench.store.metrics(f"{PROCESSING}/p/algo-1") == ("CPUUtilization",)
    assert not (folder / "plan.json").exists()


def test_kinds_of_jobs_wait_in_one_queue(bench: Bench) -> None:
    bench.create("a", instance="ml.big")
    bench.create_processing("p", instance="ml.big")
    bench.create("b")
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a"]
    assert [bench.job("b").state["secondary"], job(bench).state["secondary"]] == ["Pending"] * 2
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a", "p"]
    bench.runner.end(bench.folder("p", PROCESSING))
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a", "p", "b"]


def test_jobs_of_different_kinds_may_have_one_name(bench: Bench) -> None:
    bench.create("same")
    bench.create_processing("same")
    bench.step()
    assert len(bench.runner.launched) == 2
    bench.runner.end(bench.folder("same"))
    bench.step()
    assert bench.job("same").status == "Completed"
    assert job(bench, "same").status == "InProgress"


def test_a_job_gets_all_its_hosts_or_none(bench: Bench) -> None:
    bench.create("a")
    bench.create_processing("p", hosts=2)
    bench.create("b")
    bench.step()
    assert [folder.name[0] for folder in bench.runner.launched] == ["a"]
    bench.runner.end(bench.folder("a"))
    bench.step()
    assert [folder.name for folder in bench.runner.launched[1:]] == ["algo-1", "algo-2"]
    plan = read_plan(host(bench, 2))
    assert (plan.host, plan.hosts) == ("algo-2", ["algo-1", "algo-2"])
    assert plan.documents["config/resourceconfig.json"]["current_host"] == "algo-2"
    assert plan.access == read_plan(host(bench, 1)).access
    assert sorted(job(bench).state["streams"].values()) == ["algo-1", "algo-2"]
    assert "folder" not in bench.job("b").state


def test_all_hosts_must_complete(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    for number in (1, 2):
        bench.runner.tell(host(bench, number), "Processing")
        bench.runner.usage(host(bench, number), {"CPUUtilization": float(number)}, host=f"algo-{number}")
    bench.runner.end(host(bench, 2), started=1.0, ended=5.0, message="two")
    bench.step()
    assert job(bench).status == "InProgress"
    assert [entry["Status"] for entry in job(bench).state["transitions"]] == ["Starting", "Processing"]
    bench.runner.end(host(bench, 1), started=2.0, ended=3.0, message="one")
    bench.step()
    ended = job(bench)
    assert ended.status == "Completed"
    assert (ended.state["started"], ended.state["ended"]) == (1.0, 5.0)
    assert ended.state["exit_message"] == "one\ntwo"
    assert [bench.store.points(f"{PROCESSING}/p/algo-{n}", "CPUUtilization")[0].value for n in (1, 2)] == [
        1.0,
        2.0,
    ]


def test_the_first_host_that_fails_ends_the_others(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    bench.runner.end(host(bench, 2), "Failed", reason="AlgorithmError: boom, exit code: 1", exit_code=1)
    bench.step()
    bench.step()
    outcome = read_outcome(host(bench, 1))
    assert outcome is not None
    assert outcome.status == "Stopped"
    assert job(bench).status == "Failed"
    assert job(bench).state["reason"] == "AlgorithmError: boom, exit code: 1 (on algo-2 of 2 hosts)"


def test_others_that_do_not_end_at_once_are_waited_for(bench: Bench) -> None:
    bench.runner.obeys_stop = False
    bench.create_processing("p", hosts=2)
    bench.step()
    bench.runner.end(host(bench, 1), "Failed", reason="AlgorithmError: boom")
    for _ in range(3):
        bench.step()
    assert job(bench).status == "InProgress"
    bench.runner.end(host(bench, 2))
    bench.step()
    assert job(bench).status == "Failed"


def test_a_host_whose_agent_is_gone_fails_the_job_and_ends_the_others(bench: Bench) -> None:
    bench.runner.obeys_stop = False
    bench.create_processing("p", hosts=2)
    bench.step()
    bench.runner.kill(host(bench, 1))
    for _ in range(3):
        bench.step()
    assert job(bench).status == "InProgress"
    bench.restart()
    bench.runner.end(host(bench, 2), "Stopped")
    bench.step()
    ended = job(bench)
    assert ended.status == "Failed"
    assert ended.state["reason"].startswith("InternalServerError")
    assert ended.state["reason"].endswith("(on algo-1 of 2 hosts)")


def test_a_stop_reaches_every_host(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    bench.ask_to_stop("p", PROCESSING)
    bench.step()
    assert job(bench).status == "Stopped"
    assert not any(bench.runner.is_alive(folder) for folder in bench.runner.launched)


def test_a_successor_reads_on_where_each_host_was_left(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    for number in (1, 2):
        bench.runner.usage(host(bench, number), {"CPUUtilization": 1.0}, host=f"algo-{number}")
    bench.step()
    bench.restart()
    bench.runner.usage(host(bench, 2), {"CPUUtilization": 2.0}, host="algo-2")
    bench.step()
    values = {
        number: [
            point.value for point in bench.store.points(f"{PROCESSING}/p/algo-{number}", "CPUUtilization")
        ]
        for number in (1, 2)
    }
    assert values == {1: [1.0], 2: [1.0, 2.0]}
    assert len(bench.runner.launched) == 2
    bench.create("b")
    bench.step()
    assert len(bench.runner.launched) == 2  # the slots of both hosts are still taken


@pytest.mark.parametrize("launched_before", [0, 1, 2])
def test_a_death_in_the_middle_of_a_launch_starts_each_host_once(
    bench: Bench, launched_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Death(BaseException):
        pass

    bench.create_processing("p", hosts=2)
    launch = bench.runner.launch
    count = iter(range(10))

    def launch_or_die(*given: Any) -> Any:
        if next(count) == launched_before:
            raise Death
        return launch(*given)

    with monkeypatch.context() as patch:
        patch.setattr(bench.runner, "launch", launch_or_die)
        if launched_before < 2:
            with pytest.raises(Death):
                bench.step()
        else:
            bench.step()
    bench.restart()
    bench.step()
    bench.step()
    assert sorted(folder.name for folder in bench.runner.launched) == ["algo-1", "algo-2"]
    for number in (1, 2):
        bench.runner.end(host(bench, number))
    bench.step()
    assert job(bench).status == "Completed"


def test_a_job_of_several_hosts_whose_row_is_gone_is_ended(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    bench.store.delete(PROCESSING, "p")
    bench.step()
    assert not any(bench.runner.is_alive(folder) for folder in bench.runner.launched)
    bench.create("big", instance="ml.big")
    bench.step()
    assert bench.runner.launched[-1].name.startswith("big")


def test_an_ended_job_of_several_hosts_keeps_its_logs_and_nothing_secret(bench: Bench) -> None:
    bench.create_processing("p", hosts=2)
    bench.step()
    for number in (1, 2):
        (host(bench, number) / "ml").mkdir()
        bench.runner.log(host(bench, number), "hello", host=f"algo-{number}")
        bench.runner.end(host(bench, number))
    bench.step()
    for number in (1, 2):
        assert (host(bench, number) / "log" / f"algo-{number}.log").exists()
        assert not (host(bench, number) / "plan.json").exists()
        assert not (host(bench, number) / "ml").exists()


def test_the_sweep_knows_both_kinds_and_hosts(bench: Bench) -> None:
    bench.create("a", instance="ml.big")
    bench.step()
    bench.runner.end(bench.folder("a"))
    bench.step()
    bench.create_processing("p", hosts=2)
    bench.step()
    orphan = bench.settings.jobs / PROCESSING / "gone-00000000"
    (orphan / "algo-1").mkdir(parents=True)
    for number in (1, 2):
        bench.runner.end(host(bench, number))
    bench.step()
    (host(bench, 2) / "plan.json").write_text("{}")  # as a server leaves it that dies before it has tidied
    bench.restart()
    assert not orphan.exists()
    assert bench.folder("a").exists()
    assert not (host(bench, 2) / "plan.json").exists()
    assert bench.job("a", KIND).status == "Completed"
