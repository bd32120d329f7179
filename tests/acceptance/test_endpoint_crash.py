"""An endpoint whose server, agents or whole machine die at any moment: exactly its instances, and nothing left over."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.served import SERVE, archive, status, until, variant_of
from tests.server_process import ServerProcess

# what each model's program answers with; `broken` ends at once
PROGRAMS = {
    "one": SERVE.replace(b'"accept":', b'"model": "one", "accept":'),
    "two": SERVE.replace(b'"accept":', b'"model": "two", "accept":'),
    "broken": b"#!/usr/bin/env python\nraise SystemExit('no such thing: x-42')\n",
}
NAME = "often-killed"
SETTLED = {"InService", "Failed"}


def prepare(server: ServerProcess) -> None:
    """A model and a configuration of each program."""
    s3, sagemaker, bucket = server.client("s3"), server.client("sagemaker"), server.connection.bucket
    s3.create_bucket(Bucket=bucket)
    for name, program in PROGRAMS.items():
        s3.put_object(Bucket=bucket, Key=f"{name}.tar.gz", Body=archive(program))
        container = {"Image": "mine", "ModelDataUrl": f"s3://{bucket}/{name}.tar.gz"}
        role = server.connection.role_arn
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {
            "VariantName": "main",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.t2.medium",
        }
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])


@dataclass
class Running:
    """An endpoint, and what it should be now."""

    server: ServerProcess
    model: str = "one"
    count: int = 1
    moments: random.Random = field(default_factory=lambda: random.Random(11))
    ids: Iterator[int] = field(default_factory=lambda: iter(range(100_000)))

    def call(self, operation: str, **request: Any) -> None:
        getattr(self.server.client("sagemaker"), operation)(EndpointName=NAME, **request)

    def create(self) -> None:
        self.model, self.count = "one", 1
        self.call("create_endpoint", EndpointConfigName="one")

    def update(self) -> None:
        self.model, self.count = ("two" if self.model == "one" else "one"), 1
        self.call("update_endpoint", EndpointConfigName=self.model)

    def break_it(self) -> None:
        self.call(
            "update_endpoint", EndpointConfigName="broken", RetainAllVariantProperties=True
        )  # and be rolled back

    def scale(self) -> None:
        self.count = 3 - self.count
        desired = {"VariantName": "main", "DesiredInstanceCount": self.count}
        self.call("update_endpoint_weights_and_capacities", DesiredWeightsAndCapacities=[desired])

    def delete(self) -> None:
        self.call("delete_endpoint")

    def check(self) -> None:
        """It comes to be as it should, and answers."""
        until(lambda: status(self.server, NAME) in SETTLED, within_s=60)
        described = self.server.client("sagemaker").describe_endpoint(EndpointName=NAME)
        assert described["EndpointStatus"] == "InService", described
        assert described["EndpointConfigName"] == self.model
        assert variant_of(self.server, NAME)["DesiredInstanceCount"] == self.count
        until(lambda: variant_of(self.server, NAME)["CurrentInstanceCount"] == self.count)
        self.ask()
        until(lambda: len(alive(self.server.home)) == self.count, within_s=30)
        self.ask()

    def ask(self) -> None:
        runtime = self.server.client("sagemaker-runtime")
        for number in (next(self.ids) for _ in range(4)):
            body = json.dumps({"id": number})
            answer = runtime.invoke_endpoint(EndpointName=NAME, ContentType="application/json", Body=body)
            said = json.loads(answer["Body"].read())
            assert (said["id"], said["model"]) == (number, self.model)

    def check_gone(self) -> None:
        until(lambda: is_gone(self.server), within_s=60)
        assert alive(self.server.home) == {}


def is_gone(server: ServerProcess) -> bool:
    try:
        status(server, NAME)
    except ClientError as error:
        return "Could not find" in str(error)
    return False


def alive(home: Path) -> dict[str, list[int]]:
    """Processes of instances, by the name of the folder."""
    folders = [folder.name for folder in (home / "jobs" / "endpoint-instance").glob("*")]
    found: dict[str, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = set((entry / "environ").read_bytes().split(b"\0"))
        except OSError:
            continue
        for folder in folders:
            if f"CLARY_JOB={folder}".encode() in environment:
                found.setdefault(folder, []).append(int(entry.name))
    return found


def kill_all(server: ServerProcess) -> None:
    """As when the machine loses its power: the server first, so that it sees nothing of it."""
    server.kill(signal.SIGKILL)
    for pids in alive(server.home).values():
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # died with its parent


@pytest.fixture
def running(server: ServerProcess) -> Running:
    prepare(server)
    return Running(server)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_server_killed_at_any_moment_loses_and_leaves_nothing(running: Running) -> None:
    steps: list[Callable[[], None]] = [running.update, running.scale, running.break_it, running.scale]
    for longest_s in (0.3, 1.2):
        for step in (running.create, *steps, *steps):
            step()
            disturb(running, longest_s)
            running.check()
        running.delete()
        disturb(running, longest_s)
        running.check_gone()


def disturb(running: Running, longest_s: float) -> None:
    for _ in range(running.moments.choice((1, 1, 2))):
        time.sleep(running.moments.uniform(0.0, longest_s))
        running.server.kill(signal.SIGKILL)
        running.server.restart()


def test_after_the_machine_restarted_an_endpoint_comes_back_by_itself(running: Running) -> None:
    running.create()
    running.check()
    running.scale()
    running.check()
    before = set(alive(running.server.home))
    kill_all(running.server)
    until(lambda: not alive(running.server.home), within_s=5)
    running.server.restart()
    running.ask()  # the first requests wait for an instance
    until(lambda: len(alive(running.server.home)) == 2)
    assert not before & set(alive(running.server.home))
    until(lambda: status(running.server, NAME) == "InService")
    running.check()
    running.delete()
    running.check_gone()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_machine_that_restarts_at_any_moment_loses_and_leaves_nothing(running: Running) -> None:
    for step in (running.create, running.scale, running.update, running.scale, running.break_it):
        step()
        time.sleep(running.moments.uniform(0.0, 1.0))
        kill_all(running.server)
        running.server.restart()
        running.check()
    running.delete()
    kill_all(running.server)
    running.server.restart()
    running.check_gone()


def test_agents_that_are_told_to_end_from_outside_are_replaced(running: Running) -> None:
    """As when the machine shuts down in good order, or somebody ends what they do not know."""
    running.create()
    running.check()
    (folder,) = alive(running.server.home)
    told = json.loads(
        (running.server.home / "jobs" / "endpoint-instance" / folder / "agent.json").read_text()
    )
    os.kill(told["pid"], signal.SIGTERM)
    until(lambda: alive(running.server.home).keys() - {folder})
    until(lambda: folder not in alive(running.server.home))
    running.check()
