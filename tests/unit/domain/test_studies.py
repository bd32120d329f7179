"""A study's request and state, read."""

from __future__ import annotations

from typing import Any

import pytest

from clary.domain import studies
from clary.domain.names import Account
from clary.domain.training import beginning, is_interrupted, stopping

INSTANCE = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
OTHER = {**INSTANCE, "InstanceType": "ml.p3.2xlarge"}


@pytest.mark.parametrize(
    ("definition", "expected"),
    [
        (
            {"ResourceConfig": {**INSTANCE, "KeepAlivePeriodInSeconds": 60}},
            {**INSTANCE, "KeepAlivePeriodInSeconds": 60},
        ),
        ({"HyperParameterTuningResourceConfig": INSTANCE}, INSTANCE),
        (
            {
                "HyperParameterTuningResourceConfig": {
                    "AllocationStrategy": "Prioritized",
                    "InstanceConfigs": [OTHER, INSTANCE],
                    "VolumeKmsKeyId": "key",
                }
            },
            {**OTHER, "VolumeKmsKeyId": "key"},
        ),
    ],
)
def test_resources_in_the_form_of_a_training_job(
    definition: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert studies.resource_config(definition) == expected


def test_a_childs_hyperparameters_are_verbatim() -> None:
    definition = {
        "StaticHyperParameters": {"name": '"bert"', "rate": "1"},
        "AlgorithmSpecification": {},
        "ResourceConfig": INSTANCE,
        "DefinitionName": "one",
        "RetryStrategy": {"MaximumRetryAttempts": 2},
    }
    spec = {
        "HyperParameterTuningJobConfig": {
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "f1"}
        }
    }
    request = studies.child_request(spec, definition, "study-001-a", {"rate": '"0.5"'})
    assert request["HyperParameters"] == {"name": '"bert"', "rate": '"0.5"', "_tuning_objective_metric": "f1"}
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert "DefinitionName" not in request
    assert request["TrainingJobName"] == "study-001-a"


def test_the_longest_names_fit_a_training_job() -> None:
    assert len(studies.child_name("x" * 32, 10_000, created=1.5)) <= 63
    assert studies.child_name("s", 1, created=1.0) != studies.child_name("s", 1, created=2.0)


def test_the_best_is_the_earlier_of_two_equals_and_never_a_failed_one() -> None:
    children = {
        "a": {"status": "Completed", "objective": 0.5},
        "b": {"status": "Stopped", "objective": 0.7},
        "c": {"status": "Completed", "objective": 0.7},
        "d": {"status": "Failed", "objective": 0.9},
        "e": {},
    }
    assert studies.best_child(children, maximize=True) == "b"
    assert studies.best_child(children, maximize=False) == "a"
    assert studies.best_child({"e": {}}, maximize=True) is None


def test_a_job_begins_and_is_asked_to_stop_once() -> None:
    account = Account("123456789012", "us-east-1")
    fields = beginning(
        account, {"TrainingJobName": "A", "Tags": []}, now=5.0, state={"tuning": {"number": 1}}
    )
    assert fields["arn"].endswith("training-job/a")
    assert fields["spec"] == {"TrainingJobName": "A"}
    assert fields["state"]["tuning"] == {"number": 1}
    asked = stopping("InProgress", fields["state"], now=6.0, why="enough")
    assert asked["status"] == "Stopping"
    assert asked["state"]["transitions"][-1]["StatusMessage"] == "Stopping the training job: enough"
    assert stopping("Stopping", asked["state"], now=7.0) == stopping("Completed", {}, now=7.0) == {}


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        ("Failed", "InternalServerError: lost", True),
        ("Failed", "AlgorithmError", False),
        ("Stopped", "", False),
    ],
)
def test_only_the_platforms_faults_are_interruptions(status: str, reason: str, expected: bool) -> None:
    assert is_interrupted(status, {"reason": reason}) is expected
