"""Which log groups and streams there are: one group for each kind of job, one for each endpoint.

A job's hosts have streams in the group of its kind, named `<job>/<host>-<epoch ms>`; the instances of an endpoint have
theirs in its own group, named `<variant>/<instance id>`. That group is there as soon as the endpoint is, and as long as
one of its instances is remembered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clary.agent.contract import LOGS, host_folder
from clary.domain.kinds import ENDPOINT, ENDPOINT_INSTANCE, PROCESSING_JOB, TRAINING_JOB
from clary.services.operations import Context
from clary.store.base import Page, Resource, Where

TRAINING_JOBS = "/aws/sagemaker/TrainingJobs"
ENDPOINTS = "/aws/sagemaker/Endpoints/"

# each with the kind of resource whose streams it holds
JOB_GROUPS: Mapping[str, str] = {
    TRAINING_JOBS: TRAINING_JOB.name,
    "/aws/sagemaker/ProcessingJobs": PROCESSING_JOB.name,
    "/aws/sagemaker/TransformJobs": "transform-job",
}


@dataclass(frozen=True, slots=True)
class Stream:
    """The log of one host or instance. `created_ms`: epoch milliseconds."""

    name: str
    path: Path
    created_ms: int


def groups(context: Context, prefix: str) -> Iterator[str]:
    """Names of the groups that begin so, in no order."""
    yield from (name for name in JOB_GROUPS if name.startswith(prefix))
    if not prefix.startswith(ENDPOINTS) and not ENDPOINTS.startswith(prefix):
        return
    where = Where(name_prefix=prefix[len(ENDPOINTS) :] or None)
    names = {head.name for head in context.store.heads(ENDPOINT.name, where)}
    names |= {head.name.partition(".")[0] for head in context.store.heads(ENDPOINT_INSTANCE.name, where)}
    yield from (group for name in names if (group := f"{ENDPOINTS}{name}").startswith(prefix))


def is_group(context: Context, name: str) -> bool:
    if name in JOB_GROUPS:
        return True
    endpoint = name.removeprefix(ENDPOINTS)
    if endpoint == name or not endpoint:
        return False
    if context.store.get(ENDPOINT.name, endpoint) is not None:
        return True
    return bool(context.store.heads(ENDPOINT_INSTANCE.name, Where(name_prefix=f"{endpoint}.")))


def streams(context: Context, group: str, prefix: str) -> Iterator[Stream]:
    """Those of a group that there is, whose names begin with `prefix`."""
    kind = JOB_GROUPS.get(group)
    found = _of_jobs(context, kind, prefix) if kind else _of_endpoint(context, group.removeprefix(ENDPOINTS))
    return (stream for stream in found if stream.name.startswith(prefix))


def _of_jobs(context: Context, kind: str, prefix: str) -> Iterator[Stream]:
    for job in _jobs(context, kind, prefix):
        for name, host in job.state.get("streams", {}).items():
            if path := _path(context, job, host):
                tail = name.rpartition("-")[2]
                yield Stream(name, path, int(tail) if tail.isdigit() else 0)


def _of_endpoint(context: Context, endpoint: str) -> Iterator[Stream]:
    for row in _rows(context, ENDPOINT_INSTANCE.name, f"{endpoint}."):
        for host in sorted(set(row.state.get("streams", {}).values())):
            if path := _path(context, row, host):
                name = f"{row.spec['VariantName']}/{row.name.rpartition('.')[2]}"
                yield Stream(name, path, round(row.created * 1000))


def _path(context: Context, job: Resource, host: str) -> Path | None:
    """A host's log file; None while its job has no place."""
    if "folder" not in job.state:
        return None
    folder = context.settings.jobs / job.state["folder"]
    return host_folder(folder, host, job.state.get("hosts", ())) / LOGS / f"{host}.log"


def _jobs(context: Context, kind: str, prefix: str) -> Iterator[Resource]:
    name, slash, _ = prefix.partition("/")
    if not slash:
        yield from _rows(context, kind, name)
    elif job := context.store.get(kind, name):
        yield job


def _rows(context: Context, kind: str, prefix: str) -> Iterator[Resource]:
    token: str | None = None
    while True:
        where = Where(name_prefix=prefix or None)
        rows, token = context.store.list(kind, where, Page(sort="name", limit=500, after=token))
        yield from rows
        if token is None:
            return
