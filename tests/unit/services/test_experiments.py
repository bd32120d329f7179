"""Experiment operations over a real store, called as functions."""

from __future__ import annotations

from typing import Any

import pytest

from clary.domain.experiments import TRIAL_LINK
from clary.errors import ClientFault, ResourceNotFound, ValidationException
from clary.services import experiments, experiments_list, tags
from clary.services.operations import Context
from clary.store.base import Link, Point
from tests.unit.services.asking import ask


def tree(context: Context, *, components: int = 2) -> None:
    """experiment Mine > trials t0, t1 > components c0, c1, ... in both of them."""
    ask(context, "CreateExperiment", ExperimentName="Mine")
    for trial in ("t0", "t1"):
        ask(context, "CreateTrial", TrialName=trial, ExperimentName="mine")
    for number in range(components):
        ask(context, "CreateTrialComponent", TrialComponentName=f"C{number}")
        for trial in ("t0", "t1"):
            ask(context, "AssociateTrialComponent", TrialName=trial, TrialComponentName=f"c{number}")


def names(answer: Any, noun: str) -> list[str]:
    return [each[f"{noun}Name"] for each in answer[f"{noun}Summaries"]]


CREATED = [
    ("Experiment", {"ExperimentName": "New", "Description": "why"}),
    ("Trial", {"TrialName": "New", "ExperimentName": "MINE"}),
    (
        "TrialComponent",
        {
            "TrialComponentName": "New",
            "DisplayName": "shown",
            "Status": {"PrimaryStatus": "InProgress"},
            "StartTime": 12.0,
            "Parameters": {"a": {"NumberValue": 1.0}},
            "InputArtifacts": {"in": {"Value": "s3://x"}},
            "MetadataProperties": {"CommitId": "abc"},
        },
    ),
]


@pytest.mark.parametrize(("noun", "request_"), CREATED)
def test_what_was_created_is_described_by_any_spelling_of_its_name(
    context: Context, noun: str, request_: dict[str, Any]
) -> None:
    tree(context)
    made = ask(context, f"Create{noun}", **request_, Tags=[{"Key": "k", "Value": "v"}])
    arn = made[f"{noun}Arn"]
    described = ask(context, f"Describe{noun}", **{f"{noun}Name": "nEW"})
    assert {**described, **request_} == described
    assert described[f"{noun}Arn"] == arn
    assert described["DisplayName"] == request_.get("DisplayName", "New")
    assert described["CreationTime"] == described["LastModifiedTime"]
    assert tags.list_tags(context, {"ResourceArn": arn})["Tags"] == [{"Key": "k", "Value": "v"}]
    with pytest.raises(ValidationException, match="already exists") as refusal:
        ask(context, f"Create{noun}", **{**request_, f"{noun}Name": "NEW"})
    assert arn in refusal.value.message
    context.now()
    ask(context, f"Update{noun}", **{f"{noun}Name": "NEW", "DisplayName": "other"})
    described = ask(context, f"Describe{noun}", **{f"{noun}Name": "new"})
    assert described["DisplayName"] == "other"
    assert described["CreationTime"] < described["LastModifiedTime"]
    assert ask(context, f"Delete{noun}", **{f"{noun}Name": "new"}) == {f"{noun}Arn": arn}
    for verb in ("Describe", "Update", "Delete"):
        with pytest.raises(ResourceNotFound, match="'new'"):
            ask(context, f"{verb}{noun}", **{f"{noun}Name": "new"})


@pytest.mark.parametrize(("noun", "request_"), CREATED)
def test_tag_keys_of_the_service_are_refused(context: Context, noun: str, request_: dict[str, Any]) -> None:
    tree(context)
    with pytest.raises(ValidationException, match="reserved for the service"):
        ask(context, f"Create{noun}", **request_, Tags=[{"Key": "AWS:k", "Value": "v"}])


def test_a_link_left_of_what_was_deleted_meanwhile_holds_nothing(context: Context) -> None:
    tree(context, components=0)
    component = ask(context, "CreateTrialComponent", TrialComponentName="c")["TrialComponentArn"]
    trial = ask(context, "DescribeTrial", TrialName="t0")["TrialArn"]
    context.store.link(Link(component, trial.replace("t0", "gone"), TRIAL_LINK, 1.0))
    context.store.link(Link(component.replace("/c", "/gone"), trial, TRIAL_LINK, 1.0))
    ask(context, "DeleteTrialComponent", TrialComponentName="c")
    ask(context, "DeleteTrial", TrialName="t0")
    assert not context.store.links(kind=TRIAL_LINK)


def test_a_component_is_described_by_its_arn(context: Context) -> None:
    arn = ask(context, "CreateTrialComponent", TrialComponentName="Mine")["TrialComponentArn"]
    assert ask(context, "DescribeTrialComponent", TrialComponentName=arn)["TrialComponentName"] == "Mine"
    for other in ("experiment", "artifact"):
        with pytest.raises(ResourceNotFound):
            name = arn.replace("experiment-trial-component", other)
            ask(context, "DescribeTrialComponent", TrialComponentName=name)


def test_an_empty_description_is_removed(context: Context) -> None:
    ask(context, "CreateExperiment", ExperimentName="e", Description="x")
    ask(context, "UpdateExperiment", ExperimentName="e", Description="")
    described = ask(context, "DescribeExperiment", ExperimentName="e")
    assert "Description" not in described
    assert described["DisplayName"] == "e"


def test_a_trial_needs_its_experiment(context: Context) -> None:
    with pytest.raises(ResourceNotFound, match="experiment of the name 'none'"):
        ask(context, "CreateTrial", TrialName="t", ExperimentName="none")


def test_updating_a_component_merges_and_removes(context: Context) -> None:
    ask(
        context,
        "CreateTrialComponent",
        TrialComponentName="c",
        Parameters={"a": {"NumberValue": 1.0}, "b": {"StringValue": "x"}},
        OutputArtifacts={"old": {"Value": "s3://old"}},
        StartTime=5.0,
    )
    ask(
        context,
        "UpdateTrialComponent",
        TrialComponentName="c",
        Parameters={"a": {"NumberValue": 2.0}, "c": {"StringValue": ""}},
        ParametersToRemove=["b", "none"],
        InputArtifacts={"in": {"Value": "s3://in", "MediaType": "text/csv"}},
        OutputArtifactsToRemove=["old"],
        Status={"PrimaryStatus": "Completed"},
        EndTime=9.0,
    )
    described = ask(context, "DescribeTrialComponent", TrialComponentName="c")
    assert described["Parameters"] == {"a": {"NumberValue": 2.0}, "c": {"StringValue": ""}}
    assert described["InputArtifacts"] == {"in": {"Value": "s3://in", "MediaType": "text/csv"}}
    assert described["OutputArtifacts"] == {}
    assert (described["StartTime"], described["EndTime"]) == (5.0, 9.0)
    assert described["Status"] == {"PrimaryStatus": "Completed"}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"StringValue": "1", "NumberValue": 1.0},
        {"NumberValue": float("nan")},
        {"NumberValue": float("inf")},
    ],
)
def test_a_parameter_has_one_value_and_that_is_finite(context: Context, value: dict[str, Any]) -> None:
    with pytest.raises(ValidationException, match=r"Parameters\.lr"):
        ask(context, "CreateTrialComponent", TrialComponentName="c", Parameters={"lr": value})
    ask(context, "CreateTrialComponent", TrialComponentName="c")
    with pytest.raises(ValidationException, match=r"Parameters\.lr"):
        ask(context, "UpdateTrialComponent", TrialComponentName="c", Parameters={"lr": value})


def test_deleting_goes_from_the_components_up(context: Context) -> None:
    tree(context)
    for operation, field, name, why in (
        ("DeleteExperiment", "ExperimentName", "mine", r"2 trial\(s\) \(t0, t1\).*DeleteTrial"),
        ("DeleteTrial", "TrialName", "t0", r"2 trial component\(s\) \(c0, c1\).*DisassociateTrialComponent"),
        ("DeleteTrialComponent", "TrialComponentName", "C0", r"2 trial\(s\) \(t0, t1\).*Disassociate"),
    ):
        with pytest.raises(ValidationException, match=why):
            ask(context, operation, **{field: name})
    for trial in ("t0", "t1"):
        for component in ("c0", "c1"):
            ask(context, "DisassociateTrialComponent", TrialName=trial, TrialComponentName=component)
            ask(context, "DisassociateTrialComponent", TrialName=trial, TrialComponentName=component)
        ask(context, "DeleteTrial", TrialName=trial)
    ask(context, "DeleteTrialComponent", TrialComponentName="c0")
    ask(context, "DeleteExperiment", ExperimentName="mine")
    assert names(ask(context, "ListExperiments"), "Experiment") == []
    assert names(ask(context, "ListTrialComponents"), "TrialComponent") == ["C1"]
    tree_again = ask(context, "CreateExperiment", ExperimentName="mine")
    assert tree_again["ExperimentArn"].endswith("experiment/mine")


def test_lists_are_newest_first_and_filtered_by_whom_they_belong_to(context: Context) -> None:
    tree(context)
    ask(context, "CreateExperiment", ExperimentName="other")
    ask(context, "CreateTrial", TrialName="t2", ExperimentName="other")
    ask(context, "CreateTrialComponent", TrialComponentName="lone")
    assert names(ask(context, "ListExperiments"), "Experiment") == ["other", "Mine"]
    assert names(ask(context, "ListTrials"), "Trial") == ["t2", "t1", "t0"]
    of_mine = ask(context, "ListTrials", ExperimentName="MINE", SortBy="Name", SortOrder="Ascending")
    assert names(of_mine, "Trial") == ["t0", "t1"]
    ask(context, "DisassociateTrialComponent", TrialName="t0", TrialComponentName="c1")
    assert names(ask(context, "ListTrials", TrialComponentName="c1"), "Trial") == ["t1"]
    assert names(ask(context, "ListTrials", TrialComponentName="c1", ExperimentName="other"), "Trial") == []
    components = "TrialComponent"
    assert names(ask(context, "ListTrialComponents"), components) == ["lone", "C1", "C0"]
    assert names(ask(context, "ListTrialComponents", TrialName="t0"), components) == ["C0"]
    assert names(ask(context, "ListTrialComponents", ExperimentName="mine"), components) == ["C1", "C0"]
    assert names(ask(context, "ListTrialComponents", ExperimentName="other"), components) == []


def test_lists_go_on_by_token_and_are_cut_by_time(context: Context) -> None:
    tree(context, components=5)
    seen: list[str] = []
    request: dict[str, Any] = {"ExperimentName": "mine", "MaxResults": 2, "SortBy": "Name"}
    while True:
        page = ask(context, "ListTrialComponents", **request)
        seen += names(page, "TrialComponent")
        if "NextToken" not in page:
            break
        request["NextToken"] = page["NextToken"]
    assert seen == ["C4", "C3", "C2", "C1", "C0"]
    with pytest.raises(ValidationException, match="NextToken is not one that ListTrials gave out"):
        ask(context, "ListTrials", NextToken=request["NextToken"])
    times = [each["CreationTime"] for each in ask(context, "ListTrialComponents")["TrialComponentSummaries"]]
    within = ask(context, "ListTrialComponents", CreatedAfter=times[-1], CreatedBefore=times[1])
    assert names(within, "TrialComponent") == ["C2", "C1"]


@pytest.mark.parametrize(
    ("operation", "request_", "fault"),
    [
        ("ListTrials", {"ExperimentName": "none"}, ResourceNotFound),
        ("ListTrials", {"TrialComponentName": "none"}, ResourceNotFound),
        ("ListTrialComponents", {"ExperimentName": "none"}, ResourceNotFound),
        ("ListTrialComponents", {"TrialName": "none"}, ResourceNotFound),
        ("ListTrialComponents", {"ExperimentName": "mine", "TrialName": "t0"}, ValidationException),
        ("ListTrialComponents", {"TrialName": "t0", "SourceArn": "arn"}, ValidationException),
        ("AssociateTrialComponent", {"TrialName": "none", "TrialComponentName": "c0"}, ResourceNotFound),
        ("AssociateTrialComponent", {"TrialName": "t0", "TrialComponentName": "none"}, ResourceNotFound),
    ],
)
def test_a_name_that_is_not_there_is_refused(
    context: Context, operation: str, request_: dict[str, Any], fault: type[ClientFault]
) -> None:
    tree(context)
    with pytest.raises(fault):
        ask(context, operation, **request_)


def test_an_unknown_source_has_no_components(context: Context) -> None:
    assert ask(context, "ListTrialComponents", SourceArn="arn:aws:none")["TrialComponentSummaries"] == []


def test_a_components_metrics_are_statistics(context: Context) -> None:
    arn = ask(context, "CreateTrialComponent", TrialComponentName="C")["TrialComponentArn"]
    series = "experiment-trial-component/c"
    values = [3.0, 1.0, 2.0]
    context.store.append([Point(series, "loss", 10.0 + at, value) for at, value in enumerate(values)])
    [metric] = ask(context, "DescribeTrialComponent", TrialComponentName="c")["Metrics"]
    deviation = metric.pop("StdDev")
    assert deviation == pytest.approx((2 / 3) ** 0.5)
    assert metric == {
        "MetricName": "loss",
        "SourceArn": arn,
        "TimeStamp": 12.0,
        "Max": 3.0,
        "Min": 1.0,
        "Last": 2.0,
        "Count": 3,
        "Avg": 2.0,
    }


def test_metrics_go_with_their_component(context: Context) -> None:
    ask(context, "CreateTrialComponent", TrialComponentName="c")
    context.store.append([Point("experiment-trial-component/c", "loss", 1.0, 1.0)])
    ask(context, "DeleteTrialComponent", TrialComponentName="c")
    ask(context, "CreateTrialComponent", TrialComponentName="c")
    assert ask(context, "DescribeTrialComponent", TrialComponentName="c")["Metrics"] == []


assert experiments and experiments_list  # they offer the operations that `ask` looks up
