"""A tuning job's request and state, read in one way by whoever needs them. Pure.

The state of a study:

    seed        whole number: each child's randomness follows from it and the child's number
    children    by name, in the order of their numbers; each has
        number      1, 2, ...
        draw        1, 2, ... of the configurations; an interrupted child and its repetition have the same
        definition  index into `definitions(spec)`
        values      tuned hyperparameters, verbatim
        why         in a few words, why these values
        created     seconds since the epoch
        made        True once its job was seen, as far as there was something else to write since
        looks       what was found whenever it was held against others: as `decision`, of those that went on too
        decision    why it was stopped, if the study did so: step, value, threshold, jobs, reason; and `finished` of one
                    that came to Hyperband's MaxResource, which has run in full
    and once it has ended
        status, objective, started, ended, reason, interrupted
        diverged    True when its objective ended in nan or infinity: it has none then
    inherited   what a warm start took over from its parents' children: values, objective, status
    best        name of the best child so far
    ending      {status, reason, why} once it was decided that the study ends; its children are being stopped
    details     TuningJobCompletionDetails as far as known
    ended       seconds since the epoch
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Protocol

from clary.domain.training import is_interrupted

Document = Mapping[str, Any]

MOST_JOBS = 750
MOST_RANDOM_JOBS = 10_000
OBJECTIVE_PARAMETER = "_tuning_objective_metric"
RANGE_LISTS = ("IntegerParameterRanges", "ContinuousParameterRanges", "CategoricalParameterRanges")
NAME_OF_ONE = "default"


class Job(Protocol):
    """What is read of a training job's row."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def state(self) -> Document: ...
    @property
    def created(self) -> float: ...


# -- the request


def definitions(spec: Document) -> Sequence[Document]:
    """The training definitions: one, or several where the study is of many algorithms."""
    several = spec.get("TrainingJobDefinitions")
    return several if several else [spec["TrainingJobDefinition"]]


def objective(spec: Document, definition: Document) -> Document:
    """`Type` and `MetricName`."""
    own = definition.get("TuningObjective")
    found: Document = own or spec["HyperParameterTuningJobConfig"].get("HyperParameterTuningJobObjective", {})
    return found


def ranges(spec: Document, definition: Document) -> Document:
    own = definition.get("HyperParameterRanges")
    found: Document = own or spec["HyperParameterTuningJobConfig"].get("ParameterRanges", {})
    return found


def maximizes(spec: Document) -> bool:
    return bool(objective(spec, definitions(spec)[0])["Type"] == "Maximize")


def most_parallel(spec: Document) -> int:
    return int(spec["HyperParameterTuningJobConfig"]["ResourceLimits"]["MaxParallelTrainingJobs"])


def most_jobs(spec: Document) -> int:
    """How many children may run; a grid's end may come sooner."""
    config = spec["HyperParameterTuningJobConfig"]
    default = MOST_RANDOM_JOBS if config["Strategy"] == "Random" else MOST_JOBS
    return int(config["ResourceLimits"].get("MaxNumberOfTrainingJobs", default))


def resource_config(definition: Document) -> Document:
    """A definition's resources in the form that a training job takes."""
    if given := definition.get("ResourceConfig"):
        return dict(given)
    tuning = definition.get("HyperParameterTuningResourceConfig", {})
    first = (tuning.get("InstanceConfigs") or [tuning])[0]
    chosen = {key: first[key] for key in ("InstanceType", "InstanceCount", "VolumeSizeInGB") if key in first}
    kms = {key: tuning[key] for key in ("VolumeKmsKeyId",) if key in tuning}
    return {**chosen, **kms}


def tuning_resource_config(definition: Document) -> Document:
    """A definition's resources in the form that only tuning jobs know."""
    if given := definition.get("HyperParameterTuningResourceConfig"):
        return dict(given)
    plain = definition.get("ResourceConfig", {})
    kept = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    return {key: plain[key] for key in kept if key in plain}


def child_request(spec: Document, definition: Document, name: str, values: Mapping[str, str]) -> Document:
    """The CreateTrainingJob request of a child. Values go in verbatim, over the static ones."""
    left_out = {
        *("DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters"),
        *("HyperParameterTuningResourceConfig", "ResourceConfig"),
    }
    return {
        **{key: value for key, value in definition.items() if key not in left_out},
        "TrainingJobName": name,
        "ResourceConfig": resource_config(definition),
        "HyperParameters": {
            **definition.get("StaticHyperParameters", {}),
            **values,
            OBJECTIVE_PARAMETER: objective(spec, definition).get("MetricName", ""),
        },
    }


# -- the state


def child_name(study: str, number: int, *, created: float) -> str:
    """`<study>-<3-digit number>-<8 hex>`. The same again for the same study, so that nothing is made twice."""
    mark = sha256(f"{study}/{created!r}/{number}".encode()).hexdigest()[:8]
    return f"{study}-{number:03d}-{mark}"


def is_open(child: Document) -> bool:
    """True until its end has been noted."""
    return "status" not in child


def was_made(child: Document) -> bool:
    """Whether its job is known to have been there. A child without this may have one too."""
    return bool(child.get("made"))


def last_value(job: Job, metric: str) -> float | None:
    """The last value that a job emitted: NaN when that was no finite number, None when there was none."""
    last = job.state.get("final_metrics", {}).get(metric)
    if last is None:
        return None
    return math.nan if last[0] is None else float(last[0])


def noted(child: Document, job: Job, value: float | None) -> dict[str, Any]:
    """The child's record once its job has ended. `value` is its last, NaN when it ended in no finite number."""
    diverged = value is not None and not math.isfinite(value)
    facts = {
        "status": job.status,
        "objective": None if diverged else value,
        "diverged": (diverged and job.status != "Failed") or None,
        "started": job.state.get("started"),
        "ended": job.state.get("ended"),
        "reason": job.state.get("reason"),
        "interrupted": is_interrupted(job.status, job.state) or None,
    }
    return {**child, **{key: value for key, value in facts.items() if value is not None}}


def value_of(child: Document) -> float | None:
    """The objective of a child that ended well enough to count."""
    if child.get("status") not in {"Completed", "Stopped"}:
        return None
    value: float | None = child.get("objective")
    return value


def best_child(children: Mapping[str, Document], *, maximize: bool) -> str | None:
    """Name of the child with the best objective; the earlier one of two equals."""
    best: tuple[float, str] | None = None
    for name, child in children.items():
        value = value_of(child)
        if value is None:
            continue
        score = value if maximize else -value
        if best is None or score > best[0]:
            best = (score, name)
    return best[1] if best else None


def status_counters(children: Iterable[Document]) -> dict[str, int]:
    """TrainingJobStatusCounters."""
    counts = dict.fromkeys(("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0)
    for child in children:
        status = child.get("status", "InProgress")
        if status == "Failed":
            status = "RetryableError" if child.get("interrupted") else "NonRetryableError"
        counts[status] += 1
    return counts


def objective_counters(children: Iterable[Document]) -> dict[str, int]:
    """ObjectiveStatusCounters."""
    counts = dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)
    for child in children:
        counts[objective_status(child)] += 1
    return counts


def objective_status(child: Document) -> str:
    if is_open(child):
        return "Pending"
    return "Failed" if value_of(child) is None else "Succeeded"


def outcomes(children: Iterable[Document]) -> dict[int, Document]:
    """By draw, the child that ran last: a repetition stands for the interrupted child before it."""
    return {child["draw"]: child for child in children}


def seconds_consumed(children: Iterable[Document]) -> int:
    """ConsumedResources.RuntimeInSeconds: training time of all children that have ended."""
    return sum(
        max(1, round(child["ended"] - child["started"]))
        for child in children
        if "started" in child and "ended" in child
    )
