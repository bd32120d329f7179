"""The composition root: from settings to a server that is ready to answer. The only place that picks parts."""

from __future__ import annotations

import importlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from clary.agent.contract import Access
from clary.controllers.async_inference import AsyncInference
from clary.controllers.async_inference import Means as AsyncMeans
from clary.controllers.async_request import World as AsyncWorld
from clary.controllers.endpoints import Endpoints
from clary.controllers.endpoints import Means as EndpointMeans
from clary.controllers.fleet import Fleets
from clary.controllers.jobs import Jobs
from clary.controllers.loop import Loop
from clary.controllers.means import Means
from clary.controllers.scaling import Means as ScalingMeans
from clary.controllers.scaling import Scaling
from clary.controllers.thinkers import Thinkers
from clary.controllers.tuner import Means as TunerMeans
from clary.controllers.tuner import Tuner
from clary.domain.names import Account
from clary.objects.disk import DiskObjects
from clary.runners.images import Images
from clary.runners.instances import InstanceTypes, Slots
from clary.runners.local import LocalRunner
from clary.runners.machine import Machine
from clary.runners.sandbox import Sandbox
from clary.server import home
from clary.server.app import make_app
from clary.server.changes import Changes
from clary.server.gateway import Gateway, World
from clary.server.routing_parts import build_routing
from clary.settings import Settings
from clary.store.base import Credential, Resource, Store
from clary.store.sql import open_store

SERVICES = (
    *("identity", "logs", "metrics", "tags"),
    "s3",
    *("training", "training_list"),
    "processing",
    *("tuning", "tuning_list"),
    *("experiments", "experiments_list", "run_metrics"),
    *("lineage", "lineage_associations", "lineage_query"),
    *("models", "endpoint_configs", "endpoints", "runtime"),
    "transform",
    *("async_invocations", "autoscaling"),
    "search",
)

THINKERS = 4  # studies whose next children are worked out at the same time


@dataclass(frozen=True, slots=True)
class Server:
    """A server's parts, put together but not yet listening. `isolation` says how jobs are confined.

    `end_waits` before the end of listening, `close` after it.
    """

    app: ASGIApp
    account: Account
    credential: Credential
    isolation: str
    start: Callable[[], None]
    end_waits: Callable[[], None]
    close: Callable[[], None]


def build(settings: Settings, *, endpoint: str, ca_bundle: Path | None = None) -> Server:
    """`endpoint` is the URL that jobs reach this server at. The home must be prepared and locked.

    Raises SandboxUnavailable, TableFault, CannotOpen, NotTogether: each says what to change.
    """
    for name in SERVICES:
        importlib.import_module(f"clary.services.{name}")
    sandbox = Sandbox(settings.home, isolation=settings.isolation, database=settings.database_file)
    instance_types = InstanceTypes.read(settings.home)
    store = open_store(settings.url)
    account, credential = home.open_account(store, settings)
    owner = home.open_identity(settings.home, store, account)
    objects = DiskObjects(store.engine, settings.objects, new_id=random_hex)
    changes = Changes(start=time.time_ns() // 1_000)

    def job_changed(status: bool) -> None:
        if status:
            loops[1].wake()
            loops[2].wake()
        changes.bump(status=status)

    def changed() -> None:
        for loop in loops:
            loop.wake()
        changes.bump(status=True)

    means = Means(
        store=store,
        runner=LocalRunner(sandbox),
        slots=Slots(Machine.look()),
        instance_types=instance_types,
        environments=Images.read(settings.home, settings.python),
        settings=settings,
        owner=owner,
        access=key_maker(store, settings, endpoint=endpoint, ca_bundle=ca_bundle),
        new_id=random_hex,
        changed=job_changed,
    )
    jobs = Jobs(means)
    thinkers = Thinkers("thinker", THINKERS)
    tuner = Tuner(TunerMeans(store, account, settings, owner, changed, thinkers.think))
    routing = build_routing(store, objects, settings, lambda: loops[2].wake())  # noqa: PLW0108  made below
    fleets = Fleets(store, account, settings.jobs, random_hex)
    endpoints = Endpoints(EndpointMeans(store, fleets, routing.flights, settings, owner, changed))
    asynchronous = AsyncInference(
        AsyncMeans(
            store=store,
            world=AsyncWorld(objects, account, routing.router.invoke, time.time),
            settings=settings,
            owner=owner,
            wake=lambda: loops[3].wake(),  # noqa: PLW0108  made below
            changed=lambda: changes.bump(status=True),
        )
    )
    capacity = partial(most_instances, means.slots, instance_types)
    scaling = Scaling(ScalingMeans(store, account, settings, owner, random_hex, changed, capacity))
    loops = (
        Loop("jobs", jobs.step, time.time),
        Loop("tuner", tuner.step, time.time),
        Loop("endpoints", endpoints.step, time.time),
        Loop("async-inference", asynchronous.step, time.time),
        Loop("scaling", scaling.step, time.time),
    )

    def start() -> None:
        objects.sweep()
        jobs.resume(time.time())
        tuner.resume(time.time())
        endpoints.resume(time.time())
        asynchronous.resume(time.time())
        scaling.resume(time.time())
        thinkers.start(loops[1].wake)
        routing.start()
        for loop in loops:
            loop.start()

    def close() -> None:
        for loop in reversed(loops):
            loop.stop()
        thinkers.stop()
        routing.close()
        store.close()

    world = World(
        *(account, settings, store, objects, time.time, random_hex, changed, capacity),
        router=routing.router,
    )
    app = make_app(Gateway(world), changes)
    return Server(
        app, account, credential, sandbox.isolation, start, in_turn(changes.close, routing.end_waits), close
    )


def in_turn(*steps: Callable[[], None]) -> Callable[[], None]:
    def do_all() -> None:
        for step in steps:
            step()

    return do_all


def most_instances(slots: Slots, types: InstanceTypes, instance_type: str) -> int:
    """How many instances of a type this machine holds at once."""
    return slots.most(types.request(instance_type))


def random_hex(digits: int) -> str:
    return secrets.token_hex((digits + 1) // 2)[:digits]


def key_maker(
    store: Store, settings: Settings, *, endpoint: str, ca_bundle: Path | None
) -> Callable[[Resource], Access]:
    """Mints the temporary key that a job and its agent use; it is withdrawn when the job ends."""

    def mint(job: Resource) -> Access:
        key = Credential(
            access_key_id=f"ASIA{secrets.token_hex(8).upper()}",
            secret=secrets.token_urlsafe(30),
            session_token=secrets.token_urlsafe(48),
            scope=job.arn,
        )
        store.put_credential(key)
        return Access(
            endpoint=endpoint,
            region=settings.region,
            access_key_id=key.access_key_id,
            secret_access_key=key.secret,
            session_token=key.session_token,
            ca_bundle=str(ca_bundle) if ca_bundle else None,
        )

    return mint
