"""From the row of a transform job to what one of its agents is to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.agent.contract import Plan, Transform
from clary.controllers.plan import Station, common
from clary.controllers.plan_serving import GRACE_S, model_of
from clary.domain.endpoints import container_of
from clary.domain.transform import instances
from clary.store.base import Resource

Request = Mapping[str, Any]

MAX_RUNTIME_S = 5 * 86_400.0
MOST_RETRIES = 3
TIMEOUT_S = 600.0


def transform_plan(job: Resource, station: Station) -> Plan:
    """The job's variables come on top of its model's."""
    spec, container = job.spec, container_of(job.state["model"])
    own = {
        "environment": {**container.get("Environment", {}), **spec.get("Environment", {})},
        "max_runtime_s": MAX_RUNTIME_S,
        "grace_s": min(GRACE_S, station.grace_s),
    }
    return Plan(
        **{**common(job, station), **own},
        work="transform",
        instance_type=instances(spec)[0],
        model=model_of(container, serve=station.serve),
        transform=_wanted(spec),
    )


def _wanted(spec: Request) -> Transform:
    source, target = spec["TransformInput"], spec["TransformOutput"]
    client, processing = spec.get("ModelClientConfig", {}), spec.get("DataProcessing", {})
    place = source["DataSource"]["S3DataSource"]
    return Transform(
        input_s3_uri=place["S3Uri"],
        output_s3_uri=target["S3OutputPath"],
        s3_data_type=place["S3DataType"],
        content_type=source.get("ContentType", ""),
        compression=source.get("CompressionType", "None"),
        split=source.get("SplitType", "None"),
        strategy=spec.get("BatchStrategy"),
        accept=target.get("Accept", ""),
        assemble=target.get("AssembleWith", "None"),
        max_payload_mib=spec.get("MaxPayloadInMB"),
        max_concurrent=spec.get("MaxConcurrentTransforms"),
        input_filter=processing.get("InputFilter") or "$",
        output_filter=processing.get("OutputFilter") or "$",
        join=processing.get("JoinSource", "None"),
        most_retries=client.get("InvocationsMaxRetries", MOST_RETRIES),
        timeout_s=client.get("InvocationsTimeoutInSeconds", TIMEOUT_S),
    )
