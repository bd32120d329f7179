"""Transform jobs under the job controller: their model is their own, and each host works for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clary.agent.contract import STOP, read_plan
from clary.domain.transform import beginning
from clary.store.base import Resource
from tests.unit.controllers.bench import ACCOUNT, Bench

TRANSFORM = "transform-job"
MODEL: dict[str, Any] = {"ModelName": "m", "PrimaryContainer": {"Image": "image"}}


def create(bench: Bench, hosts: int = 1) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}
    request = {
        "TransformJobName": "t",
        "ModelName": "m",
        "TransformInput": {"DataSource": source},
        "TransformOutput": {"S3OutputPath": "s3://b/out"},
        "TransformResources": {"InstanceType": "ml.small", "InstanceCount": hosts},
    }
    now = bench.clock.advance(1)
    bench.store.create(Resource(**beginning(ACCOUNT, request, MODEL, now=now)))


def job(bench: Bench) -> Resource:
    return bench.job("t", TRANSFORM)


def host(bench: Bench, number: int) -> Path:
    return bench.folder("t", TRANSFORM) / f"algo-{number}"


def test_a_transform_job_goes_through_its_states(bench: Bench) -> None:
    create(bench)
    bench.step()
    folder = bench.folder("t", TRANSFORM)
    plan = read_plan(folder)
    assert plan.transform and plan.model
    assert (plan.work, plan.transform.output_s3_uri, plan.model.image) == ("transform", "s3://b/out", "image")
    bench.runner.tell(folder, "Transforming", "The model answers.")
    bench.step()
    assert "started" in job(bench).state
    bench.runner.end(folder)
    bench.step()
    assert job(bench).status == "Completed"
    assert job(bench).state["transitions"][-1]["StatusMessage"] == "Transform job completed"


def test_a_host_that_fails_lets_the_others_finish(bench: Bench) -> None:
    create(bench, hosts=2)
    bench.step()
    bench.runner.end(host(bench, 1), "Failed", reason="ClientError: 1 of 3 objects")
    for _ in range(3):
        bench.step()
    assert job(bench).status == "InProgress"
    assert not (host(bench, 2) / STOP).exists()
    bench.runner.end(host(bench, 2))
    bench.step()
    assert job(bench).status == "Failed"
    assert job(bench).state["reason"] == "ClientError: 1 of 3 objects (on algo-1 of 2 hosts)"


def test_a_stop_reaches_every_host(bench: Bench) -> None:
    create(bench, hosts=2)
    bench.step()
    bench.ask_to_stop("t", TRANSFORM)
    bench.step()
    bench.step()
    assert job(bench).status == "Stopped"
