"""From the row of a transform job to its plan."""

from __future__ import annotations

from typing import Any

from clary.agent.contract import Access, Plan, Transform
from clary.controllers.plan import Station
from clary.controllers.plan_transform import transform_plan
from clary.domain.names import Account
from clary.domain.transform import beginning
from clary.store.base import Resource

ACCOUNT = Account("123456789012", "us-east-1")
ACCESS = Access("http://127.0.0.1:1", "us-east-1", "ASIAX", "secret")
STATION = Station("algo-2", ["algo-1", "algo-2"], ACCESS, "/usr/bin/python3", 2, [1], 120.0, 15.0)
MODEL: dict[str, Any] = {
    "ModelName": "m",
    "PrimaryContainer": {
        "Image": "image",
        "ModelDataUrl": "s3://b/model.tar.gz",
        "Environment": {"A": "model", "B": "model"},
    },
}
LEAST: dict[str, Any] = {
    "TransformJobName": "t",
    "ModelName": "m",
    "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
    "TransformOutput": {"S3OutputPath": "s3://b/out"},
    "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
}


def plan(**changes: Any) -> Plan:
    job = Resource(**beginning(ACCOUNT, {**LEAST, **changes}, MODEL, now=1.0))
    return transform_plan(job, STATION)


def test_the_least_that_can_be_said() -> None:
    made = plan()
    assert made.transform == Transform("s3://b/in", "s3://b/out")
    assert made.model
    assert (made.model.image, made.model.data_url) == ("image", "s3://b/model.tar.gz")
    assert (made.work, made.host, made.instance_type, made.cpus, made.gpus) == (
        *("transform", "algo-2", "ml.m5.large"),
        *(2, [1]),
    )
    assert made.max_runtime_s == 5 * 86_400
    assert made.grace_s == 30.0


def test_all_that_can_be_said() -> None:
    made = plan(
        BatchStrategy="MultiRecord",
        MaxConcurrentTransforms=4,
        MaxPayloadInMB=0,
        ModelClientConfig={"InvocationsTimeoutInSeconds": 9, "InvocationsMaxRetries": 0},
        Environment={"B": "job"},
        TransformInput={
            "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://b/list"}},
            "ContentType": "text/csv",
            "CompressionType": "Gzip",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": "s3://b/out", "Accept": "text/plain", "AssembleWith": "Line"},
        DataProcessing={"InputFilter": "$[1]", "OutputFilter": "$[0]", "JoinSource": "Input"},
    )
    assert made.environment == {"A": "model", "B": "job"}
    assert made.transform == Transform(
        input_s3_uri="s3://b/list",
        output_s3_uri="s3://b/out",
        s3_data_type="ManifestFile",
        content_type="text/csv",
        compression="Gzip",
        split="Line",
        strategy="MultiRecord",
        accept="text/plain",
        assemble="Line",
        max_payload_mib=0,
        max_concurrent=4,
        input_filter="$[1]",
        output_filter="$[0]",
        join="Input",
        most_retries=0,
        timeout_s=9,
    )
