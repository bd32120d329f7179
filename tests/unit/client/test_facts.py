"""What needs no bucket; the rest is asked of a real server in tests/acceptance/test_compare.py."""

from __future__ import annotations

import pytest

from clary.client.facts import facts_of, facts_of_evaluation, model_inputs
from clary.client.runs import shown


def test_parameters_are_told_as_people_write_them():
    component = {
        "Parameters": {
            "rate": {"NumberValue": 0.0001},
            "epochs": {"NumberValue": 3.0},
            "model_name": {"StringValue": '"bert-base"'},
            "quote": {"StringValue": '"'},
            "empty": {"StringValue": ""},
            "sagemaker_job_name": {"StringValue": '"of-every-job-its-own"'},
        },
        "InputArtifacts": {"SageMaker.ImageUri": {"Value": "registry/image:1"}},
    }
    assert facts_of(component, None) == {
        "rate": "0.0001",
        "epochs": "3",
        "model_name": "bert-base",
        "quote": '"',
        "empty": "",
        "SageMaker.ImageUri": "registry/image:1",
    }


def test_the_evaluated_model_is_no_fact_of_its_evaluation():
    component = {
        "InputArtifacts": {
            "SageMaker.ImageUri": {"Value": "registry/image:1"},
            "input-1": {"Value": "s3://bucket/job/output/model.tar.gz"},
            "table": {"Value": "s3://bucket/test.csv"},
        }
    }
    assert model_inputs(component) == ["s3://bucket/job/output/model.tar.gz"]
    only_model = {"InputArtifacts": {"input-1": {"Value": "s3://bucket/job/output/model.tar.gz"}}}
    assert facts_of_evaluation(only_model, None, model="s3://bucket/job/output/model.tar.gz") == {}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fit-a-aws-training-job", "fit-a"),
        ("check-aws-processing-job", "check"),
        ("fit-a-aws-training-job-0f3c", "fit-a-aws-training-job-0f3c"),
        ("reviews-by-hand", "reviews-by-hand"),
    ],
)
def test_a_component_is_known_by_its_jobs_name(name: str, told: str) -> None:
    assert shown({"TrialComponentName": name}) == told
