from __future__ import annotations

import pytest

from clary.errors import ValidationException
from clary.services.search_paths import find_property, list_property
from clary.wire.models import service_model

JOB = service_model("sagemaker").shape_for("TrainingJob")
COMPONENT = service_model("sagemaker").shape_for("TrialComponent")


def look(name, document, shape=COMPONENT):
    return list(find_property(name, shape).values(document))


COMPONENT_DOCUMENT = {
    "TrialComponentName": "c1",
    "CreationTime": 12.5,
    "Parameters": {"lr": {"NumberValue": 0.1}, "SageMaker.InstanceType": {"StringValue": "ml.m5.large"}},
    "InputArtifacts": {
        "train": {"Value": "s3://b/train", "MediaType": "text/csv"},
        "a.b": {"Value": "s3://b/ab"},
    },
    "Metrics": [
        {"MetricName": "loss", "Min": 0.1, "Last": 0.2, "SourceArn": "a"},
        {"MetricName": "val:f1.macro", "Last": 0.9, "Max": 0.95},
    ],
    "Parents": [{"TrialName": "t1", "ExperimentName": "e"}, {"TrialName": "t2", "ExperimentName": "e"}],
    "Tags": [{"Key": "team", "Value": "nlp"}, {"Key": "a.b", "Value": "x"}],
}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("TrialComponentName", ["c1"]),
        ("trialcomponentname", ["c1"]),
        ("DisplayName", []),
        ("Parameters.lr", [0.1]),
        ("Parameters.lr.NumberValue", [0.1]),
        ("parameters.SageMaker.InstanceType", ["ml.m5.large"]),
        ("Parameters.none", []),
        ("InputArtifacts.train", ["s3://b/train"]),
        ("InputArtifacts.train.MediaType", ["text/csv"]),
        ("InputArtifacts.a.b.Value", ["s3://b/ab"]),
        ("Metrics.loss", [0.2]),
        ("metrics.loss.last", [0.2]),
        ("Metrics.loss.Min", [0.1]),
        ("Metrics.val:f1.macro", [0.9]),
        ("Metrics.val:f1.macro.Max", [0.95]),
        ("Metrics.MetricName", ["loss", "val:f1.macro"]),
        ("Parents.TrialName", ["t1", "t2"]),
        ("Tags.team", ["nlp"]),
        ("Tags.a.b", ["x"]),
        ("Tags.other", []),
        ("Tags", ["nlp", "x"]),
        ("InputArtifacts", ["s3://b/train", "s3://b/ab"]),
    ],
)
def test_a_name_leads_to_its_values(name, values):
    assert look(name, COMPONENT_DOCUMENT) == values


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("HyperParameters.lr", ["0.1"]),
        ("HyperParameters.a.b", ['"x"']),
        ("Metrics.f1", [0.8]),
        ("FinalMetricDataList.f1.Value", [0.8]),
        ("ResourceConfig.InstanceType", ["ml.m5.large"]),
        ("InputDataConfig.ChannelName", ["train", "test"]),
        ("InputDataConfig.DataSource.S3DataSource.S3Uri", ["s3://b/x"]),
    ],
)
def test_of_a_training_job(name, values):
    job = {
        "HyperParameters": {"lr": "0.1", "a.b": '"x"'},
        "FinalMetricDataList": [{"MetricName": "f1", "Value": 0.8}],
        "ResourceConfig": {"InstanceType": "ml.m5.large"},
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/x"}}},
            {"ChannelName": "test"},
        ],
    }
    assert look(name, job, JOB) == values


def test_types_come_from_the_shape():
    types = {
        name: find_property(name, COMPONENT).type
        for name in ("TrialComponentName", "CreationTime", "Metrics.x", "Parameters.x", "Parents", "Tags.x")
    }
    assert types == {
        "TrialComponentName": "text",
        "CreationTime": "time",
        "Metrics.x": "number",
        "Parameters.x": "any",
        "Parents": "none",
        "Tags.x": "any",
    }


def test_the_top_and_the_element_say_what_must_be_read():
    found = find_property("metrics.loss.last", COMPONENT)
    assert (found.top, found.element) == ("Metrics", "loss")
    assert find_property("Metrics", COMPONENT).element is None


@pytest.mark.parametrize("name", ["Nonsense", "Parents.Colour", "TrialComponentName.x", "", "."])
def test_an_unknown_name_is_refused(name):
    with pytest.raises(ValidationException, match="Unknown property name"):
        find_property(name, COMPONENT)


def test_nested_filters_need_a_list():
    assert list_property("InputDataConfig", JOB).top == "InputDataConfig"
    with pytest.raises(ValidationException, match="no list"):
        list_property("ResourceConfig", JOB)
