"""Experiments, trials and trial components as rows, and the component that every job leaves behind. Pure.

Names are compared without case: a row's name is the lower-cased one, `spec` has it as it was spelled. The state of

    an experiment   DisplayName, Description
    a trial         DisplayName
    a component     DisplayName, Status, StartTime, EndTime, Parameters, InputArtifacts, OutputArtifacts, Source,
                    RunName: as they are now and in the form of DescribeTrialComponent; what is not known is absent.
                    `series`: where its job's metrics are, `<kind>/<job>`, for a component that a job has made

The links between them: a component is in trials (TRIAL_LINK), a trial in an experiment (EXPERIMENT_LINK), and a
component has a job as its source (SOURCE_LINK), also after the job was deleted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Protocol

from clary.domain.kinds import COMPONENT, EXPERIMENT, TRIAL
from clary.domain.names import Account

Document = Mapping[str, Any]

TRIAL_LINK = "trial"
EXPERIMENT_LINK = "experiment"
SOURCE_LINK = "source"

NAME_FIELDS: Mapping[str, str] = {
    EXPERIMENT.name: "ExperimentName",
    TRIAL.name: "TrialName",
    COMPONENT.name: "TrialComponentName",
}

SOURCE_TYPES: Mapping[str, str] = {
    "training-job": "SageMakerTrainingJob",
    "processing-job": "SageMakerProcessingJob",
    "transform-job": "SageMakerTransformJob",
    "hyper-parameter-tuning-job": "SageMakerHyperParameterTuningJob",
}

SUFFIXES: Mapping[str, str] = {
    "training-job": "-aws-training-job",
    "processing-job": "-aws-processing-job",
    "transform-job": "-aws-transform-job",
    "hyper-parameter-tuning-job": "-aws-tuning-job",
}

MADE_TRIAL = "-aws-trial"
# there also when empty: clients read them without a guard
MAPS = ("Parameters", "InputArtifacts", "OutputArtifacts")
IMAGE = "SageMaker.ImageUri"
MODEL = "SageMaker.ModelArtifact"
TRANSFORM_INPUT = "SageMaker.TransformInput"
TRANSFORM_OUTPUT = "SageMaker.TransformOutput"
LONGEST_MESSAGE = 1024

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MEDIA_TYPE = re.compile(r"[-\w]+/[-\w+]+", re.ASCII)
_LONGEST_MEDIA_TYPE = 64


class Component(Protocol):
    """What is read of a component's row."""

    @property
    def name(self) -> str: ...
    @property
    def arn(self) -> str: ...
    @property
    def state(self) -> Document: ...


class Job(Protocol):
    """What is read of a job's row."""

    @property
    def kind(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def spec(self) -> Document: ...
    @property
    def state(self) -> Document: ...
    @property
    def modified(self) -> float: ...


# -- rows


def row_name(name_or_arn: str) -> str:
    """The name that a row has in the store."""
    return name_or_arn.rpartition("/")[2].lower()


def link_of(kind: str, source: str, destination: str, *, now: float) -> dict[str, Any]:
    """The fields of a link between two ARNs."""
    return {"source": source, "destination": destination, "kind": kind, "created": now}


def row_of(
    account: Account, kind: str, request: Document, *, now: float, state: Document | None = None
) -> dict[str, Any]:
    """The fields of a new row. `request` is that of the kind's Create operation, `state` without the display name."""
    name = request[NAME_FIELDS[kind]]
    maps: dict[str, Any] = {member: {} for member in MAPS} if kind == COMPONENT.name else {}
    return {
        "kind": kind,
        "name": row_name(name),
        "arn": account.sagemaker(kind, name),
        "status": "Active",
        "spec": {key: value for key, value in request.items() if key != "Tags"},
        "state": {"DisplayName": request.get("DisplayName", name), **maps, **(state or {})},
        "created": now,
        "modified": now,
    }


# -- components of jobs


def component_name(kind: str, job: str) -> str:
    """The name of a job's component, where no older component has it: a job of the same name that was deleted, say."""
    return f"{job}{SUFFIXES[kind]}"


def component_of(
    account: Account, kind: str, job: str, request: Document, *, now: float, name: str
) -> dict[str, Any]:
    """The fields of the component of a new job of a kind. `request` is the job's, `name` the component's."""
    config = request.get("ExperimentConfig", {})
    shown = (
        {"DisplayName": config["TrialComponentDisplayName"]} if "TrialComponentDisplayName" in config else {}
    )
    state = {
        "Status": {"PrimaryStatus": "InProgress", "Message": "Status: InProgress."},
        "Source": {"SourceArn": account.sagemaker(kind, job), "SourceType": SOURCE_TYPES[kind]},
        "Parameters": _parameters(kind, request),
        "InputArtifacts": _inputs(kind, request),
        "series": f"{kind}/{job}",
    }
    if "RunName" in config:
        state["RunName"] = config["RunName"]
    return row_of(account, COMPONENT.name, {"TrialComponentName": name, **shown}, now=now, state=state)


def series_of(component: Component) -> dict[str, str]:
    """The series in which a component's metrics are, each with the ARN that its metrics are of."""
    owner = component.state.get("Source", {}).get("SourceArn", component.arn)
    series = [f"{COMPONENT.name}/{component.name}", component.state.get("series")]
    return {each: owner for each in series if each is not None}


def is_of(component: Component, job_arn: str) -> bool:
    """Whether it is the job's own: somebody may have deleted that, and made another of its name."""
    return bool(component.state.get("Source", {}).get("SourceArn") == job_arn)


def stopping_of(state: Document) -> Document:
    """A component's state once its job was asked to stop; the same if it is not in progress."""
    if state.get("Status", {}).get("PrimaryStatus") != "InProgress":
        return state
    return {**state, "Status": {"PrimaryStatus": "Stopping", "Message": "Status: Stopping."}}


def ending_of(state: Document, job: Job) -> dict[str, Any]:
    """A component's state once its job has ended. The same again if it is asked twice."""
    times = {"StartTime": job.state.get("started"), "EndTime": job.state.get("ended", job.modified)}
    return {
        **state,
        "Status": {"PrimaryStatus": job.status, "Message": _message(job)},
        **{key: value for key, value in times.items() if value is not None},
        "OutputArtifacts": {**state.get("OutputArtifacts", {}), **_outputs(job)},
    }


def parameter(text: str) -> dict[str, Any]:
    """A hyperparameter as a component has it: a number where it is written as one, else verbatim, quotes and all."""
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return {"NumberValue": float(text)}
    return {"StringValue": text}


def _parameters(kind: str, request: Document) -> dict[str, Any]:
    definition = _definition(kind, request)
    given = {**definition.get("StaticHyperParameters", {}), **definition.get("HyperParameters", {})}
    known = {name: parameter(value) for name, value in given.items()}
    if kind == "transform-job":
        known["SageMaker.ModelName"] = {"StringValue": request["ModelName"]}
    for name, value in _resources(kind, definition).items():
        known[f"SageMaker.{name}"] = (
            {"StringValue": value} if isinstance(value, str) else {"NumberValue": float(value)}
        )
    return known


def _definition(kind: str, request: Document) -> Document:
    """The part of a job's request that says what runs: of several definitions of a study the first."""
    if kind != "hyper-parameter-tuning-job":
        return request
    several = request.get("TrainingJobDefinitions")
    found: Document = several[0] if several else request.get("TrainingJobDefinition", {})
    return found


def _resources(kind: str, definition: Document) -> dict[str, Any]:
    if kind == "processing-job":
        resources = definition.get("ProcessingResources", {}).get("ClusterConfig", {})
    elif kind == "transform-job":
        resources = definition.get("TransformResources", {})
    else:
        resources = definition.get("ResourceConfig") or definition.get(
            "HyperParameterTuningResourceConfig", {}
        )
    wanted = ("InstanceType", "InstanceCount", "VolumeSizeInGB")
    return {name: resources[name] for name in wanted if name in resources}


def _inputs(kind: str, request: Document) -> dict[str, Any]:
    definition = _definition(kind, request)
    if kind == "transform-job":
        source = request["TransformInput"]
        uri = source["DataSource"]["S3DataSource"]["S3Uri"]
        return {TRANSFORM_INPUT: artifact(uri, source.get("ContentType"))}
    if kind == "processing-job":
        specification = definition.get("AppSpecification", {})
        found = {
            each["InputName"]: artifact(each["S3Input"]["S3Uri"])
            for each in definition.get("ProcessingInputs", ())
            if "S3Input" in each
        }
    else:
        specification = definition.get("AlgorithmSpecification", {})
        found = {
            each["ChannelName"]: artifact(
                each["DataSource"]["S3DataSource"]["S3Uri"], each.get("ContentType")
            )
            for each in definition.get("InputDataConfig", ())
            if "S3DataSource" in each["DataSource"]
        }
    image = specification.get("ImageUri") or specification.get("TrainingImage")
    return {**({IMAGE: artifact(image)} if image else {}), **found}


def _outputs(job: Job) -> dict[str, Any]:
    if job.kind == "processing-job":
        outputs = job.spec.get("ProcessingOutputConfig", {}).get("Outputs", ())
        return {
            each["OutputName"]: artifact(each["S3Output"]["S3Uri"])
            for each in outputs
            if each.get("S3Output", {}).get("S3Uri")
        }
    if job.kind == "transform-job":
        target = job.spec["TransformOutput"]
        return {TRANSFORM_OUTPUT: artifact(target["S3OutputPath"], target.get("Accept"))}
    return {MODEL: artifact(job.state["artifacts"])} if job.state.get("artifacts") else {}


def artifact(uri: str, media_type: str | None = None) -> dict[str, str]:
    """A media type that does not fit the published form (with parameters, say) is left out."""
    if media_type and len(media_type) <= _LONGEST_MEDIA_TYPE and _MEDIA_TYPE.fullmatch(media_type):
        return {"MediaType": media_type, "Value": uri}
    return {"Value": uri}


def _message(job: Job) -> str:
    secondary = f", secondary status: {job.state['secondary']}" if "secondary" in job.state else ""
    reason = job.state.get("reason") or job.state.get("ending", {}).get("reason") or ""
    text = f"Status: {job.status}{secondary}, failure reason: {reason}."
    return text if len(text) <= LONGEST_MESSAGE else f"{text[: LONGEST_MESSAGE - 3]}..."
