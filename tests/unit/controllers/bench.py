"""Benches for tests of controllers: a real store, a fake runner, a stepped clock, and a hand on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from clary.agent.contract import Access
from clary.controllers.jobs import Jobs
from clary.controllers.means import Means
from clary.domain import processing, training
from clary.domain.names import Account
from clary.runners.environments import OneEnvironment
from clary.runners.instances import InstanceTypes, Request, Slots
from clary.runners.machine import Machine
from clary.settings import Settings
from clary.store.base import Resource
from clary.store.sql import SqlStore, open_store
from clary.testing import FakeRunner, SteppedClock

ACCOUNT = Account("123456789012", "us-east-1")
KIND = "training-job"
PROCESSING = "processing-job"


@dataclass
class Parts:
    """What a job controller is made of."""

    store: SqlStore
    runner: FakeRunner
    clock: SteppedClock
    settings: Settings
    cpus: int = 2
    memory_gib: float = 8.0

    def __post_init__(self) -> None:
        self.ids = iter(range(100_000))
        self.news: list[bool] = []

    def controller(self, owner: str = "home-1") -> Jobs:
        return Jobs(
            Means(
                store=self.store,
                runner=self.runner,
                slots=Slots(Machine(cpus=self.cpus, memory_gib=self.memory_gib)),
                instance_types=InstanceTypes([("ml.big", Request(2, 2.0)), ("*", Request(1, 1.0))]),
                environments=OneEnvironment("/usr/bin/python3"),
                settings=self.settings,
                owner=owner,
                access=lambda job: Access("http://127.0.0.1:1", "us-east-1", "ASIAX", "secret", "token"),
                new_id=lambda digits: f"{next(self.ids):0{digits}x}",
                changed=self.news.append,
            )
        )


AnyBench = TypeVar("AnyBench", bound=Parts)


@contextmanager
def opened(kind: Callable[..., AnyBench], home: Path) -> Iterator[AnyBench]:
    """A bench whose store, and whatever its controllers write, are in `home`."""
    clock = SteppedClock()
    with closing(open_store(f"sqlite:///{home / 'clary.db'}")) as store:
        yield kind(store, FakeRunner(clock), clock, Settings(home=home))


@dataclass
class Bench(Parts):
    """A job controller, its parts, and the test's hand on them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.jobs = self.controller()

    def create(self, name: str, *, instance: str = "ml.small", **spec: Any) -> None:
        """A training job."""
        now = self.clock.advance(1)
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {"InstanceType": instance, "InstanceCount": 1, "VolumeSizeInGB": 1},
            **spec,
        }
        self.store.create(Resource(**training.beginning(ACCOUNT, request, now=now)))

    def create_processing(
        self, name: str, hosts: int = 1, *, instance: str = "ml.small", **spec: Any
    ) -> None:
        now = self.clock.advance(1)
        cluster = {"InstanceType": instance, "InstanceCount": hosts, "VolumeSizeInGB": 1}
        request = {
            "ProcessingJobName": name,
            "AppSpecification": {"ImageUri": "image", "ContainerEntrypoint": ["python3", "run.py"]},
            "ProcessingResources": {"ClusterConfig": cluster},
            **spec,
        }
        self.store.create(Resource(**processing.beginning(ACCOUNT, request, now=now)))

    def step(self, seconds: float = 0.1) -> None:
        self.jobs.step(self.clock.advance(seconds))

    def job(self, name: str, kind: str = KIND) -> Resource:
        found = self.store.get(kind, name)
        assert found is not None
        return found

    def folder(self, name: str, kind: str = KIND) -> Path:
        return self.settings.jobs / str(self.job(name, kind).state["folder"])

    def restart(self) -> None:
        """Another controller of the same owner takes over."""
        self.jobs = self.controller()
        self.jobs.resume(self.clock.now)

    def ask_to_stop(self, name: str, kind: str = KIND) -> None:
        def ask(job: Resource) -> Resource:
            return replace(job, status="Stopping", due=self.clock.now)

        self.store.update(kind, name, ask)
