from __future__ import annotations

import pytest

from clary.errors import ValidationException
from clary.services.search_terms import read_expression
from clary.wire.models import service_model

JOB = service_model("sagemaker").shape_for("TrainingJob")
COMPONENT = service_model("sagemaker").shape_for("TrialComponent")
DOCUMENT = {
    "TrainingJobName": "bert-1",
    "CreationTime": 1_700_000_000.0,
    "EnableManagedSpotTraining": False,
    "HyperParameters": {"lr": "0.25", "epochs": '"3"', "optimizer": '"adam"'},
    "FinalMetricDataList": [{"MetricName": "f1", "Value": 0.9}],
    "InputDataConfig": [
        {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/one"}}},
        {"ChannelName": "test", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/two"}}},
    ],
    "Tags": [{"Key": "team", "Value": "nlp"}],
}


def holds(*filters, shape=JOB, document=DOCUMENT, **more):
    return read_expression({"Filters": [term(*each) for each in filters], **more}, shape).holds(document)


def term(name, operator=None, value=None):
    entry = {"Name": name}
    if operator:
        entry["Operator"] = operator
    if value is not None:
        entry["Value"] = value
    return entry


@pytest.mark.parametrize(
    "condition",
    [
        ("TrainingJobName", None, "bert-1"),
        ("TrainingJobName", "Equals", "bert-1"),
        ("TrainingJobName", "NotEquals", "bert-2"),
        ("TrainingJobName", "Contains", "ert"),
        ("TrainingJobName", "In", "x, bert-1,y"),
        ("TrainingJobName", "Exists"),
        ("FailureReason", "NotExists"),
        ("FailureReason", "NotEquals", "x"),
        ("HyperParameters.lr", "LessThan", "0.5"),
        ("HyperParameters.lr", "Equals", "0.250"),
        ("HyperParameters.epochs", "GreaterThanOrEqualTo", "3"),
        ("HyperParameters.epochs", "Equals", "3"),
        ("HyperParameters.optimizer", "Equals", "adam"),
        ("HyperParameters.optimizer", "Equals", '"adam"'),
        ("HyperParameters.optimizer", "In", "sgd,adam"),
        ("Metrics.f1", "GreaterThan", "0.89"),
        ("Tags.team", "Equals", "nlp"),
        ("EnableManagedSpotTraining", "Equals", "false"),
        ("CreationTime", "GreaterThan", "2023-11-14T22:13:19"),
        ("CreationTime", "LessThanOrEqualTo", "2023-11-14T22:13:20Z"),
    ],
)
def test_conditions_that_hold(condition):
    assert holds(condition)


@pytest.mark.parametrize(
    "condition",
    [
        ("TrainingJobName", "Equals", "bert"),
        ("TrainingJobName", "NotEquals", "bert-1"),
        ("HyperParameters.lr", "GreaterThan", "0.5"),
        ("HyperParameters.optimizer", "LessThan", "5"),
        ("HyperParameters.none", "Exists"),
        ("Metrics.f1", "LessThan", "0.9"),
        ("Metrics.other", "LessThan", "0.9"),
        ("CreationTime", "LessThan", "2023-11-14T22:13:20Z"),
    ],
)
def test_conditions_that_do_not(condition):
    assert not holds(condition)


def test_and_or_and_sub_expressions():
    right, wrong = ("TrainingJobName", "Equals", "bert-1"), ("TrainingJobName", "Equals", "x")
    assert not holds(right, wrong)
    assert holds(right, wrong, Operator="Or")
    assert holds(right, SubExpressions=[{"Filters": [term(*wrong), term(*right)], "Operator": "Or"}])
    assert not holds(right, SubExpressions=[{"Filters": [term(*wrong)]}])


@pytest.mark.parametrize(("uri", "found"), [("s3://b/one", True), ("s3://b/two", False)])
@pytest.mark.parametrize("prefix", ["InputDataConfig.", ""])
def test_a_nested_filter_looks_at_one_element_at_a_time(prefix, uri, found):
    nested = {
        "NestedPropertyName": "InputDataConfig",
        "Filters": [
            term(f"{prefix}ChannelName", "Equals", "train"),
            term(f"{prefix}DataSource.S3DataSource.S3Uri", "Equals", uri),
        ],
    }
    assert read_expression({"NestedFilters": [nested]}, JOB).holds(DOCUMENT) is found
    plain = [
        ("InputDataConfig.ChannelName", "Equals", "train"),
        ("InputDataConfig.DataSource.S3DataSource.S3Uri", "Equals", uri),
    ]
    assert holds(*plain)  # each of them holds for some element


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (("TrainingJobName", "GreaterThan", "a"), "not supported for text"),
        (("Metrics.f1", "Contains", "9"), "text properties only"),
        (("Metrics.f1", "In", "9"), "text properties only"),
        (("Metrics.f1", "GreaterThan", "high"), "is not a number"),
        (("HyperParameters.lr", "GreaterThan", "high"), "is not a number"),
        (("CreationTime", "GreaterThan", "yesterday"), "ISO 8601"),
        (("TrainingJobName", "Equals"), "needs a Value"),
        (("TrainingJobName", "Exists", "x"), "takes no Value"),
        (("ResourceConfig", "Equals", "x"), "no value of its own"),
        (("Colour", "Equals", "x"), "Unknown property name"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(condition, words):
    with pytest.raises(ValidationException, match=words) as refusal:
        holds(condition)
    assert condition[0] in str(refusal.value)


def test_an_empty_expression_is_refused():
    with pytest.raises(ValidationException, match="at least one"):
        read_expression({}, JOB)


def test_contains_once_except_where_it_is_free():
    twice = [term("HyperParameters.lr", "Contains", "0"), term("TrainingJobName", "Contains", "b")]
    with pytest.raises(ValidationException, match="'CONTAINS' operator usage limit of 1 exceeded"):
        read_expression({"Filters": twice}, JOB)
    free = [
        term("TrialComponentName", "Contains", "a"),
        term("DisplayName", "Contains", "b"),
        term("Tags.x", "Contains", "c"),
    ]
    assert not read_expression({"Filters": free}, COMPONENT).holds({})


def test_no_more_than_fifty_conditions():
    many = {"Filters": [term("TrainingJobName", "Exists")] * 20}
    read_expression({**many, "SubExpressions": [many]}, JOB)
    with pytest.raises(ValidationException, match="50 at most"):
        read_expression({**many, "SubExpressions": [many, many]}, JOB)
