"""How jobs begin and are asked to stop, whatever their kind."""

from __future__ import annotations

import pytest

from clary.domain import processing, training
from clary.domain.names import Account

ACCOUNT = Account("123456789012", "us-east-1")
CLUSTER = {"ClusterConfig": {"InstanceType": "ml.m5.large"}}


def test_a_job_begins_with_its_request_but_for_its_tags() -> None:
    request = {"ProcessingJobName": "Mine", "RoleArn": "role", "Tags": [{"Key": "a", "Value": "b"}]}
    row = processing.beginning(ACCOUNT, request, now=5.0, state={"kept": 1})
    assert row["spec"] == {"ProcessingJobName": "Mine", "RoleArn": "role"}
    assert row["arn"] == "arn:aws:sagemaker:us-east-1:123456789012:processing-job/mine"
    assert (row["status"], row["due"], row["state"]["kept"]) == ("InProgress", 5.0, 1)
    assert row["state"]["transitions"][0]["StatusMessage"] == "Starting the processing job"


@pytest.mark.parametrize("status", ["Stopping", "Stopped", "Completed", "Failed"])
def test_what_stops_already_or_has_ended_is_left_alone(status: str) -> None:
    assert processing.stopping(status, {}, now=1.0) == {}
    assert training.stopping(status, {}, now=1.0) == {}


def test_a_job_is_asked_to_stop_at_once() -> None:
    fields = processing.stopping("InProgress", {}, now=7.0)
    assert (fields["status"], fields["due"]) == ("Stopping", 7.0)
    assert fields["state"]["transitions"][-1]["StatusMessage"] == "Stopping the processing job"
    told = training.stopping("InProgress", {}, now=7.0, why="its tuning job ends")
    assert (
        told["state"]["transitions"][-1]["StatusMessage"] == "Stopping the training job: its tuning job ends"
    )


def test_instances_as_they_were_asked_for() -> None:
    assert processing.instances({"ProcessingResources": CLUSTER}) == ("ml.m5.large", 1)
    many = {"ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 3}}
    assert processing.instances({"ProcessingResources": many}) == ("ml.m5.large", 3)
    groups = [{"InstanceType": "ml.a", "InstanceCount": 1}, {"InstanceType": "ml.a", "InstanceCount": 2}]
    assert training.instances({"ResourceConfig": {"InstanceGroups": groups}}) == ("ml.a", 3)
