"""The trial components of jobs, as controllers see to them: made with a child, closed at a job's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from clary.domain.experiments import (
    SOURCE_LINK,
    TRIAL_LINK,
    component_name,
    component_of,
    ending_of,
    is_of,
    link_of,
    row_name,
)
from clary.domain.kinds import COMPONENT, TRIAL
from clary.domain.names import Account
from clary.store.base import Link, Resource, Store

MARK_DIGITS = 4


def finish_component(store: Store, job: Resource) -> None:
    """Bring a job's component up to date. `job` is the row as it is about to be written in its final status.

    Called before that is written, so that who sees the job's end sees the component's. Twice is the same as once.
    """
    name = job.state.get("component")
    if name is None:
        return

    def finish(component: Resource) -> Resource:
        if not is_of(component, job.arn):
            return component
        return replace(component, state=ending_of(component.state, job), modified=job.modified)

    store.update(COMPONENT.name, name, finish)


def start_component(store: Store, job: Resource) -> None:
    """Tell a job's component when the job's program was started. `job` is the row that says so."""

    def start(component: Resource) -> Resource:
        if not is_of(component, job.arn):
            return component
        state = {**component.state, "StartTime": job.state["started"]}
        return replace(component, state=state, modified=job.modified)

    if "component" in job.state:
        store.update(COMPONENT.name, job.state["component"], start)


def with_component(
    store: Store, account: Account, job: Resource, *, trial: str | None
) -> tuple[Resource, Resource, Sequence[Link]]:
    """A new job that names its component in its state, the component, and its links: to the job, and to the trial.

    `trial` is the name of the trial's row, which may be gone.
    """
    name = component_name(job.kind, job.name)
    if store.get(COMPONENT.name, row_name(name)) is not None:
        # an earlier job of the name left it, for this one is not there yet
        name = f"{name}-{sha256(f'{job.name}/{job.created!r}'.encode()).hexdigest()[:MARK_DIGITS]}"
    row = component_of(account, job.kind, job.name, job.spec, now=job.created, name=name)
    component = Resource(**row)
    links = [Link(**link_of(SOURCE_LINK, component.arn, job.arn, now=job.created))]
    place = store.get(TRIAL.name, trial) if trial else None
    if place is not None:
        links.append(Link(**link_of(TRIAL_LINK, component.arn, place.arn, now=job.created)))
    return replace(job, state={**job.state, "component": component.name}), component, links
