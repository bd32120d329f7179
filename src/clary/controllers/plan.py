"""From a job's request to the plan that one of its agents carries out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.agent.contract import Access, Channel, Checkpoints, Input, MetricDefinition, Output, Plan
from clary.domain import processing, training
from clary.store.base import Resource

Request = Mapping[str, Any]

DEFAULT_RUNTIME_S = 86_400


@dataclass(frozen=True, slots=True)
class Station:
    """One host of a job, and what its agent was given: the job's temporary key, an interpreter, CPUs and GPUs.

    `serve` is the command that serves the image's models; empty for Clary's model server.
    """

    host: str
    hosts: Sequence[str]
    access: Access
    python: str
    cpus: int
    gpus: Sequence[int]
    grace_s: float
    usage_period_s: float
    serve: Sequence[str] = ()


def training_plan(job: Resource, station: Station) -> Plan:
    spec = job.spec
    algorithm: Request = spec["AlgorithmSpecification"]
    output: Request = spec["OutputDataConfig"]
    return Plan(
        **common(job, station),
        work="training",
        hyperparameters=spec.get("HyperParameters", {}),
        channels=[_channel(channel, algorithm) for channel in spec.get("InputDataConfig", ())],
        output_s3_uri=output["S3OutputPath"],
        instance_type=training.instances(spec)[0],
        instance_groups=_groups(spec, station.hosts),
        entrypoint=algorithm.get("ContainerEntrypoint", ()),
        arguments=algorithm.get("ContainerArguments", ()),
        metric_definitions=[
            MetricDefinition(entry["Name"], entry["Regex"])
            for entry in algorithm.get("MetricDefinitions", ())
        ],
        checkpoints=_checkpoints(spec.get("CheckpointConfig")),
        compression=output.get("CompressionType", "GZIP"),
    )


def processing_plan(job: Resource, station: Station) -> Plan:
    """What the program manages itself (AppManaged) is none of the agent's business."""
    spec = job.spec
    program: Request = spec["AppSpecification"]
    outputs = spec.get("ProcessingOutputConfig", {}).get("Outputs", ())
    return Plan(
        **common(job, station),
        work="processing",
        inputs=[_input(entry) for entry in spec.get("ProcessingInputs", ()) if not entry.get("AppManaged")],
        outputs=[_output(entry) for entry in outputs if not entry.get("AppManaged")],
        documents=_documents(job, station),
        instance_type=processing.instances(spec)[0],
        entrypoint=program.get("ContainerEntrypoint", ()),
        arguments=program.get("ContainerArguments", ()),
    )


def common(job: Resource, station: Station) -> dict[str, Any]:
    """The fields of the plan of any job at a station."""
    spec = job.spec
    return {
        "job_name": job.name,
        "job_arn": job.arn,
        "access": station.access,
        "python": station.python,
        "host": station.host,
        "hosts": list(station.hosts),
        "cpus": station.cpus,
        "gpus": list(station.gpus),
        "environment": spec.get("Environment", {}),
        "max_runtime_s": spec.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S),
        "grace_s": station.grace_s,
        "usage_period_s": station.usage_period_s,
    }


def _channel(channel: Request, algorithm: Request) -> Channel:
    source: Request = channel["DataSource"]["S3DataSource"]
    return Channel(
        name=channel["ChannelName"],
        s3_uri=source["S3Uri"],
        s3_data_type=source["S3DataType"],
        input_mode=channel.get("InputMode") or algorithm.get("TrainingInputMode", "File"),
        distribution=source.get("S3DataDistributionType", "FullyReplicated"),
        record_wrapper=channel.get("RecordWrapperType", "None"),
        content_type=channel.get("ContentType"),
        compression=channel.get("CompressionType", "None"),
    )


def _groups(spec: Request, hosts: Sequence[str]) -> list[dict[str, Any]]:
    """As resourceconfig.json names them: one group of that name where nobody asked for groups."""
    groups = spec["ResourceConfig"].get("InstanceGroups")
    name = groups[0]["InstanceGroupName"] if groups else "homogeneousCluster"
    kind = training.instances(spec)[0]
    return [{"instance_group_name": name, "instance_type": kind, "hosts": list(hosts)}]


def _checkpoints(config: Request | None) -> Checkpoints | None:
    if config is None:
        return None
    return Checkpoints(config["S3Uri"], config.get("LocalPath", "/opt/ml/checkpoints"))


def _input(entry: Request) -> Input:
    source: Request = entry["S3Input"]
    return Input(
        name=entry["InputName"],
        s3_uri=source["S3Uri"],
        local_path=source["LocalPath"],
        s3_data_type=source["S3DataType"],
        distribution=source.get("S3DataDistributionType", "FullyReplicated"),
    )


def _output(entry: Request) -> Output:
    target: Request = entry["S3Output"]
    return Output(
        name=entry["OutputName"],
        s3_uri=target["S3Uri"],
        local_path=target["LocalPath"],
        continuous=target["S3UploadMode"] == "Continuous",
    )


def _documents(job: Resource, station: Station) -> dict[str, Any]:
    """What a program in a processing container reads about its job."""
    resources = {
        "current_host": station.host,
        "current_instance_type": processing.instances(job.spec)[0],
        "hosts": sorted(station.hosts),
        "network_interface_name": "eth0",
    }
    return {
        "config/processingjobconfig.json": {"ProcessingJobArn": job.arn, **job.spec},
        "config/resourceconfig.json": resources,
    }
