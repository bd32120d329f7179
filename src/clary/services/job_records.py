"""A job with its record: its trial component, and the trial and experiment that it is to be in.

One transaction writes them all, so that no job is without a component.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from clary.domain.experiments import (
    EXPERIMENT_LINK,
    MADE_TRIAL,
    NAME_FIELDS,
    SOURCE_LINK,
    SOURCE_TYPES,
    TRIAL_LINK,
    component_name,
    component_of,
    is_of,
    link_of,
    row_name,
    row_of,
    stopping_of,
)
from clary.domain.kinds import COMPONENT, EXPERIMENT, TRIAL, TUNING_JOB
from clary.errors import ResourceNotFound, ValidationException
from clary.services.operations import Context
from clary.store.base import Heir, Link, Resource

MARK_DIGITS = (4, 4, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Place:
    """The trial that a job's component belongs in, if any; what is to be made for that."""

    trial: Resource | None = None
    rows: tuple[Resource, ...] = ()
    links: tuple[Link, ...] = ()


def create_job(context: Context, job: Resource, *, tags: Mapping[str, str]) -> Resource:
    """Store a new job with its component, which the job's state names. `job.spec` may have an ExperimentConfig.

    The trial of a study, in which its children's components will be, is named by the study's state.
    Raises AlreadyExists when the job's name is taken, ResourceNotFound or ValidationException for an ExperimentConfig
    that names what is not there.
    """
    if job.kind == TUNING_JOB.name:
        name, place = _study(context, job)
        state = {**job.state, "trial": place.trial.name if place.trial else None}
        belongs = None
    else:
        name, place = (
            _free(context, [COMPONENT.name], component_name(job.kind, job.name)),
            _placed(context, job),
        )
        state, belongs = dict(job.state), place.trial
    row = component_of(context.account, job.kind, job.name, job.spec, now=job.created, name=name)
    component = Resource(**row)
    links = [_link(SOURCE_LINK, component, job.arn), *place.links]
    if belongs:
        links.append(_link(TRIAL_LINK, component, belongs.arn))
    named = replace(job, state={**state, "component": component.name})
    return context.store.create(named, tags=tags, beside=(component, *place.rows), links=links)


def note_stop(context: Context, job: Resource) -> None:
    """Tell a job's component that the job was asked to stop. One whose job has ended meanwhile stays as it is."""

    def note(component: Resource) -> Resource:
        if not is_of(component, job.arn):
            return component
        return replace(component, state=stopping_of(component.state), modified=job.modified)

    if "component" in job.state:
        context.store.update(COMPONENT.name, job.state["component"], note)


def delete_job(context: Context, job: Resource) -> bool:
    """Remove a job's row; its component stays and takes over its metrics. False if the row has changed or gone."""

    def inherit(component: Resource) -> Resource:
        state = {key: value for key, value in component.state.items() if key != "series"}
        return replace(component, state=state)

    component = context.store.get(COMPONENT.name, job.state.get("component", ""))
    own = component is not None and is_of(component, job.arn)
    heir = Heir(COMPONENT.name, component.name, inherit) if component and own else None
    return context.store.delete(job.kind, job.name, version=job.version, heir=heir)


def _placed(context: Context, job: Resource) -> Place:
    """What a job's ExperimentConfig says; a trial is made where it names an experiment only."""
    config = job.spec.get("ExperimentConfig", {})
    experiment = _named(context, EXPERIMENT.name, config)
    trial = _named(context, TRIAL.name, config)
    if experiment and trial:
        owners = [link.destination for link in context.store.links(source=trial.arn, kind=EXPERIMENT_LINK)]
        if experiment.arn not in owners:
            raise ValidationException(
                f"ExperimentConfig.TrialName: the trial {config['TrialName']!r} belongs to the experiment "
                f"{trial.spec['ExperimentName']!r}, not to {config['ExperimentName']!r}"
            )
    if experiment and not trial:
        name = _free(context, [TRIAL.name], f"{job.name}{MADE_TRIAL}")
        return _made(context, job, experiment, name)
    return Place(trial)


def _named(context: Context, kind: str, config: Mapping[str, str]) -> Resource | None:
    field = NAME_FIELDS[kind]
    if field not in config:
        return None
    row = context.store.get(kind, row_name(config[field]))
    if row is None:
        word = field.removesuffix("Name")
        raise ResourceNotFound(
            f"ExperimentConfig.{field}: there is no {word.lower()} of the name {config[field]!r}. Make it with "
            f"Create{word} first."
        )
    return row


def _study(context: Context, study: Resource) -> tuple[str, Place]:
    """The name that a tuning job's component, experiment and trial have in common, and the last two."""
    name = _free(
        context, [COMPONENT.name, EXPERIMENT.name, TRIAL.name], component_name(study.kind, study.name)
    )
    experiment = _row(context, study, EXPERIMENT.name, {"ExperimentName": name})
    place = _made(context, study, experiment, name)
    return name, replace(place, rows=(experiment, *place.rows))


def _made(context: Context, job: Resource, experiment: Resource, name: str) -> Place:
    """A new trial in an experiment, for the sake of a job."""
    request = {"TrialName": name, "ExperimentName": experiment.spec["ExperimentName"]}
    trial = _row(context, job, TRIAL.name, request)
    return Place(trial, (trial,), (_link(EXPERIMENT_LINK, trial, experiment.arn),))


def _row(context: Context, job: Resource, kind: str, request: Mapping[str, str]) -> Resource:
    source = {"SourceArn": job.arn, "SourceType": SOURCE_TYPES[job.kind]}
    return Resource(**row_of(context.account, kind, request, now=job.created, state={"Source": source}))


def _link(kind: str, source: Resource, destination: str) -> Link:
    return Link(**link_of(kind, source.arn, destination, now=source.created))


def _free(context: Context, kinds: list[str], name: str) -> str:
    """The name, or one that begins so, that no row of these kinds has: an earlier job of the name may have left one."""
    tried = name
    for digits in MARK_DIGITS:
        if all(context.store.get(kind, row_name(tried)) is None for kind in kinds):
            break
        tried = f"{name}-{context.new_id(digits)}"
    return tried
