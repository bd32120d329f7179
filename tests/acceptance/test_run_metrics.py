"""Metrics from anywhere: none that was acknowledged is lost, none counts twice, and statistics are numpy's."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.acceptance.programs import submit, wait
from tests.server_process import ServerProcess

WRITERS = 8
BATCH = 10
COMPONENT = "many-writers"
SHARED = "shared"
BEGUN = 1_763_638_996

Batch = Sequence[dict[str, Any]]


def values_of(writer: int, points: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Large numbers close together: the kind that careless sums get wrong."""
    return 1e6 + np.random.default_rng(writer).normal(size=points)


def batches_of(writer: int, points: int) -> list[Batch]:
    """Nine points in ten belong to a metric of the writer's own, the tenth to one that all of them write."""
    data = [
        {
            "MetricName": SHARED if step % 10 == 9 else f"loss-{writer}",
            "Value": float(value),
            "Timestamp": BEGUN + step,
            "Step": step,
        }
        for step, value in enumerate(values_of(writer, points))
    ]
    return [data[first : first + BATCH] for first in range(0, points, BATCH)]


class Writer:
    """A client with retries that sends a batch until it has an answer."""

    def __init__(self, server: ServerProcess, number: int, points: int) -> None:
        self.batches = batches_of(number, points)
        self.acknowledged = 0
        self.client = server._make_client(
            "sagemaker-metrics", config={"retries": {"max_attempts": 5, "mode": "standard"}}
        )

    def run(self) -> None:
        for batch in self.batches:
            while not self.send(batch):
                time.sleep(0.1)
            self.acknowledged += 1

    def send(self, batch: Batch) -> bool:
        try:
            answer = self.client.batch_put_metrics(TrialComponentName=COMPONENT, MetricData=batch)
        except (BotoCoreError, ClientError):
            return False
        assert not answer.get("Errors")
        return True


def stored(server: ServerProcess, arn: str, metrics: Sequence[str]) -> list[dict[int, float]]:
    """Value by step of each metric."""
    query = {"MetricStat": "Last", "Period": "IterationNumber", "XAxisType": "IterationNumber"}
    answer = server.client("sagemaker-metrics").batch_get_metrics(
        MetricQueries=[{"MetricName": name, "ResourceArn": arn, **query} for name in metrics]
    )
    results = answer["MetricQueryResults"]
    assert {result["Status"] for result in results} == {"Complete"}
    return [dict(zip(result["XAxisValues"], result["MetricValues"], strict=True)) for result in results]


def kill_and_check(server: ServerProcess, arn: str, writers: Sequence[Writer]) -> None:
    """What each writer was told is stored must be there when the server is back."""
    told = [writer.acknowledged for writer in writers]
    server.kill(signal.SIGKILL)
    server.restart()
    there = stored(server, arn, [f"loss-{number}" for number in range(WRITERS)])
    for writer, count, found in zip(writers, told, there, strict=True):
        own = [each for batch in writer.batches[:count] for each in batch if each["MetricName"] != SHARED]
        assert [each for each in own if found.get(each["Step"]) != each["Value"]] == []


def write_and_kill(server: ServerProcess, points: int, kills: int) -> None:
    sagemaker = server.client("sagemaker")
    arn = sagemaker.create_trial_component(TrialComponentName=COMPONENT)["TrialComponentArn"]
    writers = [Writer(server, number, points) for number in range(WRITERS)]
    everything = sum(len(writer.batches) for writer in writers)
    with ThreadPoolExecutor(WRITERS) as pool:
        running = [pool.submit(writer.run) for writer in writers]
        for kill in range(1, kills + 1):
            while sum(writer.acknowledged for writer in writers) < everything * kill / (kills + 1):
                assert not any(each.done() and each.exception() for each in running)
                time.sleep(0.005)
            kill_and_check(server, arn, writers)
        for each in running:
            each.result()
    check(server, arn, points)


def check(server: ServerProcess, arn: str, points: int) -> None:
    steps = np.arange(points)
    values = np.stack([values_of(number, points) for number in range(WRITERS)])
    wanted = {f"loss-{number}": values[number, steps % 10 != 9] for number in range(WRITERS)}
    wanted[SHARED] = values[:, steps % 10 == 9].ravel()
    described = server.client("sagemaker").describe_trial_component(TrialComponentName=COMPONENT)["Metrics"]
    assert {metric["MetricName"] for metric in described} == set(wanted)
    for metric in described:
        figures = wanted[metric["MetricName"]]
        assert (metric["Count"], metric["Min"], metric["Max"]) == (
            figures.size,
            figures.min(),
            figures.max(),
        )
        assert metric["Avg"] == pytest.approx(np.mean(figures), rel=1e-12)
        assert metric["StdDev"] == pytest.approx(np.std(figures), rel=1e-9)
        if metric["MetricName"] != SHARED:
            assert metric["Last"] == figures[-1]
    for number, found in enumerate(stored(server, arn, [f"loss-{number}" for number in range(WRITERS)])):
        assert found == {step: values[number, step] for step in range(points) if step % 10 != 9}
    query = {"MetricName": SHARED, "ResourceArn": arn, "Period": "OneHour", "XAxisType": "Timestamp"}
    answer = server.client("sagemaker-metrics").batch_get_metrics(
        MetricQueries=[{**query, "MetricStat": statistic} for statistic in ("Count", "Min", "Max")]
    )
    counts, lows, highs = (result["MetricValues"] for result in answer["MetricQueryResults"])
    assert (sum(counts), min(lows), max(highs)) == (
        wanted[SHARED].size,
        wanted[SHARED].min(),
        wanted[SHARED].max(),
    )


def test_no_point_is_lost_when_the_server_is_killed(server: ServerProcess) -> None:
    write_and_kill(server, points=400, kills=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_none_of_eighty_thousand_points_is_lost(server: ServerProcess) -> None:
    write_and_kill(server, points=10_000, kills=4)


def test_a_component_that_is_not_there_has_no_metrics(shared_server: ServerProcess) -> None:
    client = shared_server.client("sagemaker-metrics")
    with pytest.raises(ClientError) as raised:
        client.batch_put_metrics(
            TrialComponentName="nobody", MetricData=[{"MetricName": "m", "Timestamp": BEGUN, "Value": 1.0}]
        )
    assert raised.value.response["Error"]["Code"] == "ResourceNotFound"


def test_a_batch_is_answered_point_by_point(shared_server: ServerProcess) -> None:
    shared_server.client("sagemaker").create_trial_component(TrialComponentName="By-Hand")
    client = shared_server.client("sagemaker-metrics")
    data = [
        {"MetricName": "Train:Loss", "Timestamp": str(BEGUN), "Value": 0.5, "Step": 1},
        {"MetricName": " ", "Timestamp": BEGUN, "Value": 0.5},
        {"MetricName": "lost", "Timestamp": BEGUN, "Value": float("nan")},
    ]
    answer = client.batch_put_metrics(TrialComponentName="by-hand", MetricData=data)
    assert answer["Errors"] == [{"Code": "VALIDATION_ERROR", "MetricIndex": 1}]
    described = shared_server.client("sagemaker").describe_trial_component(TrialComponentName="By-Hand")
    assert [(each["MetricName"], each["Count"]) for each in described["Metrics"]] == [("Train:Loss", 1)]


WRITING = """
import json, os, time
folder = os.environ["SAGEMAKER_METRICS_DIRECTORY"]
with open(os.path.join(folder, f"{os.getpid()}.json"), "a", buffering=1) as file:
    for step in range(50):
        record = {"MetricName": "validation:f1", "Value": step / 50, "Timestamp": time.time(), "IterationNumber": step}
        file.write(json.dumps(record) + "\\n")
    file.write("no metric\\n")
    file.write(json.dumps({"MetricName": "last", "Value": 1.0}))
open(os.path.join(os.environ["SM_MODEL_DIR"], "m"), "w").write("x")
"""


def test_what_a_program_writes_into_files_is_recorded(shared_server: ServerProcess) -> None:
    name = submit(shared_server, WRITING)
    wait(shared_server, name, until="Completed")
    component = f"{name}-aws-training-job"
    described = shared_server.client("sagemaker").describe_trial_component(TrialComponentName=component)
    found = {metric["MetricName"]: metric for metric in described["Metrics"]}
    assert found["last"]["Count"] == 1
    f1 = found["validation:f1"]
    assert (f1["Count"], f1["Last"]) == (50, 0.98)
    (by_step,) = stored(shared_server, described["TrialComponentArn"], ["validation:f1"])
    assert by_step == {step: step / 50 for step in range(50)}
