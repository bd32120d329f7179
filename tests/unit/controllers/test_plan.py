"""From requests to plans."""

from __future__ import annotations

from typing import Any

from clary.agent.contract import Access, Input, Output
from clary.controllers.plan import Station, processing_plan, training_plan
from clary.domain import processing, training
from clary.domain.names import Account
from clary.store.base import Resource

ACCOUNT = Account("123456789012", "us-east-1")
ACCESS = Access("http://127.0.0.1:1", "us-east-1", "ASIAX", "secret")
STATION = Station("algo-2", ["algo-1", "algo-2"], ACCESS, "/usr/bin/python3", 2, [1], 120.0, 15.0)

PROCESSING: dict[str, Any] = {
    "ProcessingJobName": "p",
    "AppSpecification": {
        "ImageUri": "image",
        "ContainerEntrypoint": ["run"],
        "ContainerArguments": ["--fast"],
    },
    "ProcessingResources": {
        "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    },
    "ProcessingInputs": [
        {
            "InputName": "data",
            "S3Input": {
                "S3Uri": "s3://b/data",
                "LocalPath": "/opt/ml/processing/data",
                "S3DataType": "ManifestFile",
                "S3DataDistributionType": "ShardedByS3Key",
            },
        },
        {
            "InputName": "own",
            "AppManaged": True,
            "S3Input": {"S3Uri": "s3://b/own", "S3DataType": "S3Prefix"},
        },
    ],
    "ProcessingOutputConfig": {
        "Outputs": [
            {
                "OutputName": "out",
                "S3Output": {
                    "S3Uri": "s3://b/out",
                    "LocalPath": "/opt/ml/processing/out",
                    "S3UploadMode": "Continuous",
                },
            },
            {
                "OutputName": "own",
                "AppManaged": True,
                "S3Output": {"S3Uri": "s3://b/o", "S3UploadMode": "EndOfJob"},
            },
        ]
    },
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "Environment": {"KEY": "value"},
    "Tags": [{"Key": "team", "Value": "nlp"}],
}


def test_a_processing_plan_has_what_the_agent_is_to_copy() -> None:
    job = Resource(**processing.beginning(ACCOUNT, PROCESSING, now=1.0))
    plan = processing_plan(job, STATION)
    path = "/opt/ml/processing/data"
    assert plan.inputs == [Input("data", "s3://b/data", path, "ManifestFile", "ShardedByS3Key")]
    assert plan.outputs == [Output("out", "s3://b/out", "/opt/ml/processing/out", continuous=True)]
    assert (plan.entrypoint, plan.arguments) == (["run"], ["--fast"])
    assert (plan.max_runtime_s, plan.environment) == (60, {"KEY": "value"})
    assert (plan.host, plan.hosts, plan.cpus, plan.gpus) == ("algo-2", ["algo-1", "algo-2"], 2, [1])


def test_a_processing_program_finds_its_request_and_its_place() -> None:
    job = Resource(**processing.beginning(ACCOUNT, PROCESSING, now=1.0))
    documents = processing_plan(job, STATION).documents
    config = documents["config/processingjobconfig.json"]
    assert config == {**{k: v for k, v in PROCESSING.items() if k != "Tags"}, "ProcessingJobArn": job.arn}
    assert documents["config/resourceconfig.json"] == {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.large",
        "hosts": ["algo-1", "algo-2"],
        "network_interface_name": "eth0",
    }


def test_where_nothing_is_said_a_job_has_a_day() -> None:
    request = {key: value for key, value in PROCESSING.items() if key != "StoppingCondition"}
    job = Resource(**processing.beginning(ACCOUNT, request, now=1.0))
    assert processing_plan(job, STATION).max_runtime_s == 86_400


def test_a_training_plan_names_all_hosts_of_its_group() -> None:
    request = {
        "TrainingJobName": "t",
        "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1},
    }
    plan = training_plan(Resource(**training.beginning(ACCOUNT, request, now=1.0)), STATION)
    assert plan.work == "training"
    assert plan.instance_groups == [
        {
            "instance_group_name": "homogeneousCluster",
            "instance_type": "ml.m5.large",
            "hosts": ["algo-1", "algo-2"],
        }
    ]
