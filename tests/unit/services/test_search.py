"""Search over a real store, called as a function. (`test_search_terms` has the conditions themselves.)"""

from __future__ import annotations

from typing import Any

import pytest

from clary.errors import ValidationException
from clary.services import experiments, search, search_sources, tags, training  # noqa: F401 - they register their operations
from clary.services.operations import Context
from clary.services.search_terms import read_expression
from clary.store.base import Point
from tests.unit.services.asking import ask

COMPONENT = "experiment-trial-component"


@pytest.fixture
def runs(context: Context) -> Context:
    """Experiment Mine > trials one, two > runs r0 to r5; the even ones in `one`, the odd ones in `two`."""
    ask(context, "CreateExperiment", ExperimentName="Mine")
    for trial in ("one", "two"):
        ask(context, "CreateTrial", TrialName=trial, ExperimentName="Mine")
    for number in range(6):
        name = f"r{number}"
        ask(
            context,
            "CreateTrialComponent",
            TrialComponentName=name,
            Parameters={"lr": {"NumberValue": number / 10}},
            InputArtifacts={"train": {"Value": f"s3://data/{number % 3}"}},
            Tags=[{"Key": "team", "Value": "odd" if number % 2 else "even"}],
        )
        trial = ("one", "two")[number % 2]
        ask(context, "AssociateTrialComponent", TrialComponentName=name, TrialName=trial)
        if number:
            values = [Point(f"{COMPONENT}/{name}", "loss", at, number * at) for at in (1.0, 2.0)]
            context.store.append(values)
    ask(context, "CreateTrialComponent", TrialComponentName="elsewhere")
    return context


def names(context: Context, *filters: tuple[str, ...], **more: Any) -> list[str]:
    answer = find(context, *filters, **more)
    return [each["TrialComponent"]["TrialComponentName"] for each in answer["Results"]]


def find(context: Context, *filters: tuple[str, ...], **more: Any) -> Any:
    terms = [dict(zip(("Name", "Operator", "Value"), each, strict=False)) for each in filters]
    expression = {"SearchExpression": {"Filters": terms}} if terms else {}
    return ask(context, "Search", Resource="ExperimentTrialComponent", **expression, **more)


def test_without_a_condition_all_are_found_latest_change_first(runs: Context) -> None:
    ask(runs, "UpdateTrialComponent", TrialComponentName="r2", DisplayName="changed")
    assert names(runs) == ["r2", "elsewhere", "r5", "r4", "r3", "r1", "r0"]


def test_an_experiments_runs_sorted_by_a_metric_those_without_it_last(runs: Context) -> None:
    mine = ("Parents.ExperimentName", "Equals", "Mine")
    order = {"SortBy": "metrics.loss.last"}
    assert names(runs, mine, **order) == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert names(runs, mine, **order, SortOrder="Ascending") == ["r1", "r2", "r3", "r4", "r5", "r0"]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (("Parents.TrialName", "Equals", "two"), ["r1", "r3", "r5"]),
        (("Parents.TrialName", "Contains", "w"), ["r1", "r3", "r5"]),
        (("Parents.ExperimentName", "Equals", "other"), []),
        (("Metrics.loss.Avg", "GreaterThan", "4"), ["r3", "r4", "r5"]),
        (("Metrics.loss", "NotExists"), ["elsewhere", "r0"]),
        (("Parameters.lr", "LessThanOrEqualTo", "0.1"), ["r0", "r1"]),
        (("Tags.team", "Equals", "even"), ["r0", "r2", "r4"]),
        (("InputArtifacts", "Contains", "s3://data/1"), ["r1", "r4"]),
        (("TrialComponentName", "In", "r1,r2"), ["r1", "r2"]),
    ],
)
def test_conditions_on_what_lies_elsewhere_than_in_the_row(runs, condition, found) -> None:
    assert names(runs, condition, SortBy="TrialComponentName", SortOrder="Ascending") == found


def test_names_are_compared_without_case_and_shown_as_they_were_given(context: Context) -> None:
    ask(context, "CreateTrialComponent", TrialComponentName="Run-One")
    for condition in (("Equals", "run-ONE"), ("Contains", "N-o"), ("In", "x,RUN-one")):
        assert names(context, ("TrialComponentName", *condition)) == ["Run-One"]


def test_names_are_compared_without_case_beside_what_only_the_row_tells(context: Context) -> None:
    for name in ("Run-One", "Run-Two"):
        ask(context, "CreateTrialComponent", TrialComponentName=name, DisplayName=name)
    either = {
        "Filters": [
            {"Name": "TrialComponentName", "Value": "RUN-one"},
            {"Name": "DisplayName", "Value": "nobody"},
        ],
        "Operator": "Or",
    }
    answer = ask(context, "Search", Resource="ExperimentTrialComponent", SearchExpression=either)
    assert [each["TrialComponent"]["TrialComponentName"] for each in answer["Results"]] == ["Run-One"]


def test_names_of_experiments_and_trials_are_compared_without_case_wherever_they_stand(runs: Context) -> None:
    ask(runs, "CreateTrial", TrialName="Three", ExperimentName="Mine")
    ask(runs, "AssociateTrialComponent", TrialComponentName="elsewhere", TrialName="three")
    assert names(runs, ("Parents.TrialName", "In", "x,THREE")) == ["elsewhere"]
    assert names(
        runs, ("Parents.TrialName", "NotEquals", "threE"), ("Parents.ExperimentName", "Equals", "MINE")
    )
    assert "elsewhere" not in names(runs, ("Parents.TrialName", "NotEquals", "threE"))
    inner = [{"Name": "TrialName", "Value": "THREE"}, {"Name": "ExperimentName", "Value": "mINE"}]
    nested = {"NestedFilters": [{"NestedPropertyName": "Parents", "Filters": inner}]}
    answer = ask(runs, "Search", Resource="ExperimentTrialComponent", SearchExpression=nested)
    (found,) = [each["TrialComponent"] for each in answer["Results"]]
    assert found["Parents"] == [{"TrialName": "Three", "ExperimentName": "Mine"}], "as they were given"
    expression = {"Filters": [{"Name": "ExperimentName", "Value": "mine"}]}
    answer = ask(runs, "Search", Resource="ExperimentTrial", SearchExpression=expression)
    assert answer["TotalHits"]["Value"] == 3


def test_a_name_is_looked_for_among_names_that_begin_so(context: Context) -> None:
    for name in ("run", "run-1", "Run-10", "other"):
        ask(context, "CreateTrialComponent", TrialComponentName=name)
    source = search_sources.SOURCES["ExperimentTrialComponent"]
    filters = [{"Name": "TrialComponentName", "Value": "RUN-1"}, {"Name": "Parents.TrialName", "Value": "T"}]
    where, left = source.narrowed(context, read_expression({"Filters": filters[:1]}, source.shape))
    assert [head.name for head in context.store.heads(COMPONENT, where)] == ["run-1", "run-10"]
    assert names(context, ("TrialComponentName", "Equals", "RUN-1")) == ["run-1"]
    where, left = source.narrowed(context, read_expression({"Filters": filters}, source.shape))
    assert where.name_prefix == "run-1" and where.links_to and len(left.members) == 1
    where, left = source.narrowed(
        context, read_expression({"Filters": filters[1:], "Operator": "Or"}, source.shape)
    )
    assert where.links_to and not left.members, "one of one condition"


def test_texts_that_are_numbers_are_sorted_as_numbers(context: Context) -> None:
    for place, value in enumerate(("0.1", "1e-05", '"10"', "9", "many")):
        rate = [{"Key": "rate", "Value": value}]
        ask(context, "CreateTrialComponent", TrialComponentName=f"r{place}", Tags=rate)
    ascending = {"SortBy": "Tags.rate", "SortOrder": "Ascending"}
    assert names(context, **ascending) == ["r1", "r0", "r3", "r2", "r4"]
    assert names(context, SortBy="Tags.rate") == ["r4", "r2", "r3", "r0", "r1"]
    second = find(
        context, **ascending, MaxResults=3, NextToken=find(context, **ascending, MaxResults=3)["NextToken"]
    )
    assert [each["TrialComponent"]["TrialComponentName"] for each in second["Results"]] == ["r2", "r4"]


def test_what_is_not_a_number_is_sorted_as_if_it_was_not_there(runs: Context) -> None:
    runs.store.append([Point(f"{COMPONENT}/r3", "loss", 3.0, float("inf"))])
    order = {"SortBy": "Metrics.loss.StdDev", "MaxResults": 1}
    mine, found, token = ("Parents.ExperimentName", "Equals", "Mine"), [], {}
    while token is not None:
        page = find(runs, mine, **order, **token)
        found += [each["TrialComponent"]["TrialComponentName"] for each in page["Results"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert found == ["r5", "r4", "r2", "r1", "r3", "r0"]


def test_one_of_several_conditions(runs: Context) -> None:
    either = {
        "Filters": [{"Name": "TrialComponentName", "Value": "R0"}, {"Name": "Parameters.lr", "Value": "0.5"}],
        "Operator": "Or",
    }
    answer = ask(
        runs, "Search", Resource="ExperimentTrialComponent", SearchExpression=either, SortBy="CreationTime"
    )
    assert [each["TrialComponent"]["TrialComponentName"] for each in answer["Results"]] == ["r5", "r0"]


def test_a_result_is_whole(runs: Context) -> None:
    (result,) = find(runs, ("TrialComponentName", "Equals", "r1"))["Results"]
    component = result["TrialComponent"]
    assert component["Parents"] == [{"TrialName": "two", "ExperimentName": "Mine"}]
    assert component["Tags"] == [{"Key": "team", "Value": "odd"}]
    assert component["Metrics"][0]["MetricName"] == "loss"
    assert {
        key: component["Metrics"][0][key] for key in ("Min", "Max", "Avg", "StdDev", "Last", "Count")
    } == {
        "Min": 1.0,
        "Max": 2.0,
        "Avg": 1.5,
        "StdDev": 0.5,
        "Last": 2.0,
        "Count": 2,
    }


def test_pages_go_on_behind_the_last_result_whatever_came_or_went(runs: Context) -> None:
    order = {"SortBy": "CreationTime", "MaxResults": 2}
    first = find(runs, ("Parents.ExperimentName", "Equals", "Mine"), **order)
    assert first["TotalHits"] == {"Value": 6, "Relation": "EqualTo"}
    ask(runs, "CreateTrialComponent", TrialComponentName="newest")
    ask(runs, "AssociateTrialComponent", TrialComponentName="newest", TrialName="one")
    ask(runs, "DisassociateTrialComponent", TrialComponentName="r4", TrialName="one")
    rest = []
    token = first["NextToken"]
    while token:
        page = find(runs, ("Parents.ExperimentName", "Equals", "Mine"), **order, NextToken=token)
        rest += [each["TrialComponent"]["TrialComponentName"] for each in page["Results"]]
        token = page.get("NextToken")
    assert rest == ["r3", "r2", "r1", "r0"]


@pytest.mark.parametrize("token", ["x", "bm8=", "WyJhIiwgMSwgMiwgM10=", "é", "W1tb" * 2000])
def test_a_token_of_another_search_is_refused(runs: Context, token: str) -> None:
    with pytest.raises(ValidationException, match="NextToken"):
        find(runs, NextToken=token)


def test_a_token_belongs_to_its_order(runs: Context) -> None:
    token = find(runs, SortBy="CreationTime", MaxResults=2)["NextToken"]
    with pytest.raises(ValidationException, match="NextToken"):
        find(runs, SortBy="TrialComponentName", MaxResults=2, NextToken=token)


def test_experiments_and_trials(runs: Context) -> None:
    (found,) = ask(runs, "Search", Resource="Experiment")["Results"]
    assert found["Experiment"]["ExperimentName"] == "Mine"
    answer = ask(
        runs,
        "Search",
        Resource="ExperimentTrial",
        SearchExpression={"Filters": [{"Name": "ExperimentName", "Value": "Mine"}]},
        SortBy="TrialName",
        SortOrder="Ascending",
    )
    trials = [each["Trial"] for each in answer["Results"]]
    assert [trial["TrialName"] for trial in trials] == ["one", "two"]
    assert len(trials[0]["TrialComponentSummaries"]) == 3


@pytest.mark.parametrize(
    "request_",
    [
        {"Resource": "ModelCard"},
        {"Resource": "Experiment", "CrossAccountFilterOption": "CrossAccount"},
        {"Resource": "Experiment", "VisibilityConditions": [{"Key": "a", "Value": "b"}]},
    ],
)
def test_what_is_not_offered_is_refused_by_name(context: Context, request_: dict[str, Any]) -> None:
    with pytest.raises(ValidationException, match="not supported"):
        ask(context, "Search", **request_)


def test_an_unknown_order_is_refused(context: Context) -> None:
    with pytest.raises(ValidationException, match="Unknown property name: 'Colour'"):
        ask(context, "Search", Resource="Experiment", SortBy="Colour")
