"""From a training job's request to the plan its agent carries out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.agent.contract import Access, Channel, Checkpoints, MetricDefinition, Plan
from clary.store.base import Resource

Request = Mapping[str, Any]

DEFAULT_RUNTIME_S = 86_400


def training_plan(
    job: Resource,
    *,
    access: Access,
    python: str,
    cpus: int,
    gpus: Sequence[int],
    grace_s: float,
    usage_period_s: float,
) -> Plan:
    """`cpus` and `gpus` are what the job was given, `access` its own temporary key."""
    spec = job.spec
    algorithm: Request = spec["AlgorithmSpecification"]
    output: Request = spec["OutputDataConfig"]
    host = "algo-1"
    return Plan(
        job_name=job.name,
        job_arn=job.arn,
        access=access,
        python=python,
        hyperparameters=spec.get("HyperParameters", {}),
        channels=[_channel(channel, algorithm) for channel in spec.get("InputDataConfig", ())],
        output_s3_uri=output["S3OutputPath"],
        host=host,
        hosts=(host,),
        instance_type=instance_type(spec),
        instance_groups=_groups(spec, host),
        cpus=cpus,
        gpus=list(gpus),
        entrypoint=algorithm.get("ContainerEntrypoint", ()),
        arguments=algorithm.get("ContainerArguments", ()),
        environment=spec.get("Environment", {}),
        metric_definitions=[
            MetricDefinition(entry["Name"], entry["Regex"])
            for entry in algorithm.get("MetricDefinitions", ())
        ],
        checkpoints=_checkpoints(spec.get("CheckpointConfig")),
        compression=output.get("CompressionType", "GZIP"),
        max_runtime_s=spec.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_RUNTIME_S),
        grace_s=grace_s,
        usage_period_s=usage_period_s,
    )


def instance_type(spec: Request) -> str:
    """The type of the job's one instance, whether it was asked for plainly or as a group."""
    resources: Request = spec["ResourceConfig"]
    groups = resources.get("InstanceGroups")
    return str(groups[0]["InstanceType"] if groups else resources["InstanceType"])


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


def _groups(spec: Request, host: str) -> list[dict[str, Any]]:
    """As resourceconfig.json names them: one group of that name where nobody asked for groups."""
    groups = spec["ResourceConfig"].get("InstanceGroups")
    name = groups[0]["InstanceGroupName"] if groups else "homogeneousCluster"
    return [{"instance_group_name": name, "instance_type": instance_type(spec), "hosts": [host]}]


def _checkpoints(config: Request | None) -> Checkpoints | None:
    if config is None:
        return None
    return Checkpoints(config["S3Uri"], config.get("LocalPath", "/opt/ml/checkpoints"))
