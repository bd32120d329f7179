from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from clary.domain.experiments import component_of, row_of
from clary.domain.names import Account
from clary.errors import ResourceNotFound, ValidationException
from clary.services.lineage import (
    create_action,
    create_artifact,
    create_context,
    delete_action,
    delete_artifact,
    delete_context,
    describe_action,
    describe_artifact,
    describe_context,
    list_actions,
    list_artifacts,
    list_contexts,
    update_action,
    update_artifact,
    update_context,
)
from clary.services.lineage_associations import add_association, delete_association, list_associations
from clary.services.lineage_query import query_lineage
from clary.services.operations import Context
from clary.store.base import Resource

ACCOUNT = Account("123456789012", "us-east-1")
COMPONENT = "experiment-trial-component"
URI = "s3://bucket/data"


@pytest.fixture
def now() -> Callable[[], float]:
    clock = count(100)
    return lambda: float(next(clock))


def artifact(context: Context, uri: str = URI, type_: str = "DataSet", **more: Any) -> str:
    request = {"Source": {"SourceUri": uri}, "ArtifactType": type_, **more}
    arn: str = create_artifact(context, request)["ArtifactArn"]
    return arn


def context_(context: Context, name: str = "Endpoint", **more: Any) -> str:
    request = {"ContextName": name, "Source": {"SourceUri": URI}, "ContextType": "Endpoint", **more}
    arn: str = create_context(context, request)["ContextArn"]
    return arn


def action(context: Context, name: str = "deploy", **more: Any) -> str:
    request = {"ActionName": name, "Source": {"SourceUri": URI}, "ActionType": "ModelDeployment", **more}
    arn: str = create_action(context, request)["ActionArn"]
    return arn


def component(context: Context, name: str = "run") -> str:
    row = row_of(ACCOUNT, COMPONENT, {"TrialComponentName": name}, now=1.0)
    return context.store.create(Resource(**row)).arn


def link(context: Context, source: str, destination: str, type_: str | None = "ContributedTo") -> None:
    typed = {} if type_ is None else {"AssociationType": type_}
    add_association(context, {"SourceArn": source, "DestinationArn": destination, **typed})


class TestArtifacts:
    def test_come_back_as_given(self, context: Context) -> None:
        source = {"SourceUri": URI, "SourceTypes": [{"SourceIdType": "S3ETag", "Value": "abc"}]}
        given = {
            "ArtifactName": "data",
            "Source": source,
            "ArtifactType": "DataSet",
            "Properties": {"k": "v"},
            "MetadataProperties": {"CommitId": "c"},
        }
        arn = create_artifact(context, {**given, "Tags": [{"Key": "a", "Value": "b"}]})["ArtifactArn"]
        found = describe_artifact(context, {"ArtifactArn": arn})
        assert {key: found[key] for key in given} == given
        assert (found["CreationTime"], found["LastModifiedTime"], found["ArtifactArn"]) == (100.0, 100.0, arn)
        assert context.store.tags(arn) == {"a": "b"}

    def test_one_source_is_one_artifact(self, context: Context) -> None:
        first = artifact(context, ArtifactName="first")
        assert artifact(context, ArtifactName="second") == first
        assert describe_artifact(context, {"ArtifactArn": first})["ArtifactName"] == "first"
        version = {"SourceUri": URI, "SourceTypes": [{"SourceIdType": "S3ETag", "Value": "2"}]}
        assert artifact(context, Source=version) != first
        assert artifact(context, "s3://bucket/other") != first

    def test_are_deleted_by_arn_or_source(self, context: Context) -> None:
        first, second = artifact(context), artifact(context, "s3://bucket/other")
        assert delete_artifact(context, {"ArtifactArn": first}) == {"ArtifactArn": first}
        assert delete_artifact(context, {"Source": {"SourceUri": "s3://bucket/other"}}) == {
            "ArtifactArn": second
        }
        assert list_artifacts(context, {})["ArtifactSummaries"] == []
        assert artifact(context) == first

    @pytest.mark.parametrize("request_", [{}, {"ArtifactArn": "arn:x", "Source": {"SourceUri": URI}}])
    def test_one_way_to_name_what_to_delete(self, context: Context, request_: dict[str, Any]) -> None:
        with pytest.raises(ValidationException, match="either ArtifactArn or Source"):
            delete_artifact(context, request_)

    def test_are_updated(self, context: Context) -> None:
        arn = artifact(context, Properties={"a": "1", "b": "2"})
        request = {"ArtifactArn": arn, "ArtifactName": "new", "Properties": {"b": "3", "c": "4"}}
        assert update_artifact(context, {**request, "PropertiesToRemove": ["a", "z"]}) == {"ArtifactArn": arn}
        found = describe_artifact(context, {"ArtifactArn": arn})
        assert (found["ArtifactName"], found["Properties"]) == ("new", {"b": "3", "c": "4"})
        assert found["LastModifiedTime"] > found["CreationTime"]
        many = {str(number): "" for number in range(29)}
        with pytest.raises(ValidationException, match="30 at most"):
            update_artifact(context, {"ArtifactArn": arn, "Properties": many})


class TestNamed:
    def test_a_context_comes_back_as_given(self, context: Context) -> None:
        arn = context_(context, "My-Endpoint", Description="d", Properties={"k": "v"})
        for name in ("My-Endpoint", "my-endpoint", arn):
            found = describe_context(context, {"ContextName": name})
            assert (found["ContextName"], found["ContextArn"]) == ("My-Endpoint", arn)
        assert (found["Description"], found["Properties"]) == ("d", {"k": "v"})

    def test_an_action_is_updated(self, context: Context) -> None:
        action(context, Status="InProgress")
        update_action(
            context,
            {"ActionName": "deploy", "Status": "Completed", "Description": "x", "Properties": {"k": "v"}},
        )
        found = describe_action(context, {"ActionName": "deploy"})
        assert (found["Status"], found["Description"], found["Properties"]) == ("Completed", "x", {"k": "v"})

    def test_a_context_is_updated(self, context: Context) -> None:
        context_(context, Description="old")
        update_context(context, {"ContextName": "Endpoint", "Description": "new"})
        assert describe_context(context, {"ContextName": "Endpoint"})["Description"] == "new"

    def test_a_name_is_taken_once_in_any_case(self, context: Context) -> None:
        context_(context)
        action(context)
        with pytest.raises(ValidationException, match="already exists"):
            context_(context, "ENDPOINT")
        with pytest.raises(ValidationException, match="already exists"):
            action(context, "Deploy")

    def test_what_is_not_there_is_named(self, context: Context) -> None:
        for call, key in [
            (describe_context, "ContextName"),
            (update_context, "ContextName"),
            (delete_context, "ContextName"),
            (describe_action, "ActionName"),
            (update_action, "ActionName"),
            (delete_action, "ActionName"),
            (describe_artifact, "ArtifactArn"),
            (update_artifact, "ArtifactArn"),
            (delete_artifact, "ArtifactArn"),
        ]:
            with pytest.raises(ResourceNotFound, match="nobody"):
                call(context, {key: "nobody"})

    def test_deleting_frees_the_name_and_its_associations(self, context: Context) -> None:
        arn = context_(context)
        link(context, artifact(context), arn)
        assert delete_context(context, {"ContextName": "endpoint"}) == {"ContextArn": arn}
        assert list_associations(context, {})["AssociationSummaries"] == []
        assert context_(context) == arn
        assert delete_action(context, {"ActionName": action(context)[-6:]})["ActionArn"].endswith("/deploy")


class TestLists:
    @pytest.fixture
    def several(self, context: Context) -> Context:
        for number in range(5):
            artifact(
                context,
                f"s3://bucket/{number}",
                "DataSet" if number % 2 else "Model",
                ArtifactName=f"n{number}",
            )
            context_(
                context, f"c{number}", ContextType=f"T{number % 2}", Source={"SourceUri": f"u{number // 2}"}
            )
        action(context)
        return context

    def names(self, answer: Any) -> list[str]:
        return [each.get("ArtifactName") or each.get("ContextName") for each in next(iter(answer.values()))]

    def test_newest_first_and_by_pages(self, several: Context) -> None:
        assert self.names(list_artifacts(several, {})) == ["n4", "n3", "n2", "n1", "n0"]
        page = list_artifacts(several, {"MaxResults": 2, "SortOrder": "Ascending"})
        assert self.names(page) == ["n0", "n1"]
        rest = list_artifacts(several, {"SortOrder": "Ascending", "NextToken": page["NextToken"]})
        assert self.names(rest) == ["n2", "n3", "n4"]
        assert "NextToken" not in rest
        with pytest.raises(ValidationException, match="ListContexts"):
            list_contexts(several, {"NextToken": page["NextToken"]})

    def test_by_source_and_type(self, several: Context) -> None:
        assert self.names(list_artifacts(several, {"ArtifactType": "DataSet"})) == ["n3", "n1"]
        assert self.names(list_artifacts(several, {"SourceUri": "s3://bucket/2"})) == ["n2"]
        assert (
            self.names(list_artifacts(several, {"SourceUri": "s3://bucket/2", "ArtifactType": "DataSet"}))
            == []
        )
        assert self.names(list_contexts(several, {"SourceUri": "u0", "SortBy": "Name"})) == ["c1", "c0"]
        assert self.names(list_contexts(several, {"SourceUri": "u0", "ContextType": "T1"})) == ["c1"]
        assert self.names(list_contexts(several, {"CreatedAfter": 107.0, "SortOrder": "Ascending"})) == ["c4"]

    def test_actions_show_their_status(self, several: Context) -> None:
        update_action(several, {"ActionName": "deploy", "Status": "Failed"})
        [found] = list_actions(several, {"ActionType": "ModelDeployment"})["ActionSummaries"]
        assert (found["ActionName"], found["Status"]) == ("deploy", "Failed")


class TestAssociations:
    def test_between_what_exists(self, context: Context) -> None:
        data, run = artifact(context), component(context)
        for _ in range(2):
            request = {"SourceArn": data, "DestinationArn": run.upper().replace("ARN:AWS", "arn:aws")}
            assert add_association(context, request) == {"SourceArn": data, "DestinationArn": run}
        assert len(list_associations(context, {})["AssociationSummaries"]) == 1
        with pytest.raises(ResourceNotFound, match="DestinationArn"):
            link(context, data, f"{run}x")
        with pytest.raises(ResourceNotFound, match="SourceArn"):
            link(context, ACCOUNT.sagemaker("training-job", "j"), run)
        with pytest.raises(ValidationException, match="the same"):
            link(context, data, data)

    def test_are_shown_with_names_and_types(self, context: Context) -> None:
        data = artifact(context, ArtifactName="data")
        job = context.store.create(
            Resource(**component_of(ACCOUNT, "training-job", "j", {}, now=1.0, name="j-aws-training-job"))
        )
        link(context, data, job.arn)
        [found] = list_associations(context, {})["AssociationSummaries"]
        assert found == {
            "SourceArn": data,
            "DestinationArn": job.arn,
            "SourceType": "DataSet",
            "DestinationType": "SageMakerTrainingJob",
            "AssociationType": "ContributedTo",
            "SourceName": "data",
            "DestinationName": "j-aws-training-job",
            "CreationTime": 101.0,
            "CreatedBy": {},
        }

    def test_without_a_type(self, context: Context) -> None:
        data, run = artifact(context), component(context)
        link(context, data, run, None)
        [found] = list_associations(context, {"SourceArn": data})["AssociationSummaries"]
        assert "AssociationType" not in found
        assert "SourceName" not in found
        assert found["DestinationType"] == "SageMakerExperimentTrialComponent"

    def test_are_deleted_whatever_their_type(self, context: Context) -> None:
        data, run = artifact(context), component(context)
        ends = {"SourceArn": data, "DestinationArn": run}
        link(context, data, run)
        link(context, data, run, "DerivedFrom")
        link(context, run, data, "Produced")
        assert delete_association(context, ends) == ends
        assert len(list_associations(context, {})["AssociationSummaries"]) == 1
        with pytest.raises(ResourceNotFound, match="no association"):
            delete_association(context, ends)

    def test_other_relations_of_a_component_are_none(self, context: Context) -> None:
        from clary.store.base import Link

        run = component(context)
        trial = ACCOUNT.sagemaker("experiment-trial", "t")
        context.store.link(Link(run, trial, "trial", 1.0))
        assert list_associations(context, {"SourceArn": run})["AssociationSummaries"] == []
        with pytest.raises(ResourceNotFound):
            delete_association(context, {"SourceArn": run, "DestinationArn": trial})
        assert len(context.store.links(kind="trial")) == 1

    def test_are_filtered_sorted_and_paged(self, context: Context) -> None:
        run, end = component(context), context_(context)
        data = [artifact(context, f"s3://bucket/{number}", f"T{number}") for number in range(4)]
        for each in data:
            link(context, each, run)
        link(context, run, end, "Produced")

        def types(**request: Any) -> list[str]:
            return [
                each["SourceType"] for each in list_associations(context, request)["AssociationSummaries"]
            ]

        assert types() == ["SageMakerExperimentTrialComponent", "T3", "T2", "T1", "T0"]
        assert types(DestinationArn=run, SortOrder="Ascending") == ["T0", "T1", "T2", "T3"]
        assert types(SourceArn=data[1], DestinationArn=run) == ["T1"]
        assert types(SourceType="T2") == types(SourceType="T2", DestinationArn=run) == ["T2"]
        assert types(DestinationType="Endpoint") == types(AssociationType="Produced") == types()[:1]
        assert types(SortBy="SourceType", SortOrder="Ascending")[1:] == ["T0", "T1", "T2", "T3"]
        made = [each["CreationTime"] for each in list_associations(context, {})["AssociationSummaries"]]
        assert types(CreatedAfter=made[2], CreatedBefore=made[0]) == ["T3"]
        for sort in ("CreationTime", "SourceArn", "DestinationArn", "SourceType", "DestinationType"):
            for order in ("Ascending", "Descending"):
                request = {"SortBy": sort, "SortOrder": order}
                seen, token = [], {}
                while True:
                    page = list_associations(context, {**request, **token, "MaxResults": 2})
                    seen += page["AssociationSummaries"]
                    if "NextToken" not in page:
                        break
                    token = {"NextToken": page["NextToken"]}
                assert seen == list_associations(context, request)["AssociationSummaries"]

    @pytest.mark.parametrize("token", ["", "x", "é", "W10=", "bnVsbA=="])
    def test_a_bad_token_is_refused(self, context: Context, token: str) -> None:
        with pytest.raises(ValidationException, match="NextToken"):
            list_associations(context, {"NextToken": token})


class TestQuery:
    @pytest.fixture
    def graph(self, context: Context) -> dict[str, str]:
        """raw -> prepare -> data -> train -> model -> endpoint, raw -> other, and image -> train."""
        arns = {
            "raw": artifact(context, "s3://raw", "DataSet"),
            "prepare": component(context, "prepare"),
            "data": artifact(context, "s3://data", "DataSet", Properties={"split": "a"}),
            "train": component(context, "train"),
            "image": artifact(context, "image", "Image"),
            "model": artifact(context, "s3://model", "Model"),
            "endpoint": context_(context, "endpoint"),
            "other": component(context, "other"),
        }
        for source, destination, type_ in [
            ("raw", "prepare", "ContributedTo"),
            ("prepare", "data", "Produced"),
            ("data", "train", "ContributedTo"),
            ("image", "train", "ContributedTo"),
            ("train", "model", "Produced"),
            ("model", "endpoint", "ContributedTo"),
            ("raw", "other", None),
        ]:
            link(context, arns[source], arns[destination], type_)
        return arns

    def ask(self, context: Context, graph: dict[str, str], start: str, **given: Any) -> Any:
        return query_lineage(context, {"StartArns": [graph[start]], **given})

    def reached(self, context: Context, graph: dict[str, str], start: str, **given: Any) -> set[str]:
        names = {arn: name for name, arn in graph.items()}
        return {names[each["Arn"]] for each in self.ask(context, graph, start, **given)["Vertices"]}

    def edges(self, context: Context, graph: dict[str, str], start: str, **given: Any) -> set[str]:
        names = {arn: name for name, arn in graph.items()}
        found = self.ask(context, graph, start, IncludeEdges=True, **given)["Edges"]
        return {f"{names[each['SourceArn']]}-{names[each['DestinationArn']]}" for each in found}

    def test_upwards_downwards_and_both_ways(self, context: Context, graph: dict[str, str]) -> None:
        up, down = {"raw", "prepare", "data", "image"}, {"model", "endpoint"}
        assert self.reached(context, graph, "train", Direction="Ascendants") == up
        assert self.reached(context, graph, "train", Direction="Descendants") == down
        assert self.reached(context, graph, "train") == up | down
        assert self.reached(context, graph, "other", Direction="Descendants") == set()

    def test_as_deep_as_asked(self, context: Context, graph: dict[str, str]) -> None:
        assert self.reached(context, graph, "train", MaxDepth=0) == set()
        assert self.reached(context, graph, "train", MaxDepth=1) == {"data", "image", "model"}
        with pytest.raises(ValidationException, match="MaxDepth"):
            self.ask(context, graph, "train", MaxDepth=-1)

    @pytest.mark.parametrize(
        ("filters", "wanted"),
        [
            ({"LineageTypes": ["Artifact"]}, {"raw", "data", "image", "model"}),
            ({"Types": ["DataSet", "Model"]}, {"raw", "data", "model"}),
            ({"LineageTypes": ["TrialComponent"], "Types": ["DataSet"]}, set()),
            ({"LineageTypes": ["Context"]}, {"endpoint"}),
            ({"Properties": {"split": "a"}}, {"data"}),
            ({"Properties": {"split": "b"}}, set()),
            ({"CreatedAfter": 101.0, "CreatedBefore": 103.0}, {"image"}),
            ({"ModifiedBefore": 2.0}, {"prepare"}),
            ({"ModifiedAfter": 103.5}, {"endpoint"}),
            ({}, {"raw", "prepare", "data", "image", "model", "endpoint"}),
        ],
    )
    def test_with_filters(
        self, context: Context, graph: dict[str, str], filters: dict[str, Any], wanted: set[str]
    ) -> None:
        assert self.reached(context, graph, "train", Filters=filters) == wanted

    def test_with_edges_the_way_is_shown(self, context: Context, graph: dict[str, str]) -> None:
        given = {"Direction": "Ascendants", "Filters": {"Types": ["DataSet"]}, "IncludeEdges": True}
        assert self.reached(context, graph, "train", **given) == {"raw", "prepare", "data", "train"}
        given.pop("IncludeEdges")
        assert self.edges(context, graph, "train", **given) == {"raw-prepare", "prepare-data", "data-train"}
        assert self.ask(context, graph, "train")["Edges"] == []
        only = {"Types": ["Image"]}
        assert self.edges(context, graph, "endpoint", Filters=only) == {
            "image-train",
            "train-model",
            "model-endpoint",
        }

    def test_vertices_and_edges_are_typed(self, context: Context, graph: dict[str, str]) -> None:
        answer = self.ask(context, graph, "other", IncludeEdges=True)
        assert answer["Vertices"] == [
            {
                "Arn": graph["other"],
                "Type": "ExperimentTrialComponent",
                "LineageType": "TrialComponent",
            },
            {"Arn": graph["raw"], "Type": "DataSet", "LineageType": "Artifact"},
        ]
        assert answer["Edges"] == [{"SourceArn": graph["raw"], "DestinationArn": graph["other"]}]

    def test_a_jobs_component_is_of_the_jobs_type(self, context: Context) -> None:
        data = artifact(context)
        row = component_of(ACCOUNT, "training-job", "j", {}, now=1.0, name="j-aws-training-job")
        job = context.store.create(Resource(**row))
        link(context, data, job.arn)
        request = {"StartArns": [data], "Filters": {"Types": ["TrainingJob"]}}
        [found] = query_lineage(context, request)["Vertices"]
        assert found == {"Arn": job.arn, "Type": "TrainingJob", "LineageType": "TrialComponent"}

    def test_nearest_first_by_pages(self, context: Context, graph: dict[str, str]) -> None:
        whole = self.ask(context, graph, "endpoint", IncludeEdges=True)
        vertices: list[Any] = []
        edges: list[Any] = []
        token: dict[str, str] = {}
        for _ in range(10):
            page = self.ask(context, graph, "endpoint", IncludeEdges=True, MaxResults=2, **token)
            vertices, edges = vertices + page["Vertices"], edges + page["Edges"]
            if "NextToken" not in page:
                break
            token = {"NextToken": page["NextToken"]}
        assert vertices == whole["Vertices"]
        assert sorted(map(str, edges)) == sorted(map(str, whole["Edges"]))
        assert len(edges) == 6
        assert [each["Type"] for each in vertices[:3]] == [
            "Endpoint",
            "Model",
            "ExperimentTrialComponent",
        ]
        with pytest.raises(ValidationException, match="NextToken"):
            self.ask(context, graph, "endpoint", NextToken="x")

    def test_a_circle_has_an_end(self, context: Context, graph: dict[str, str]) -> None:
        link(context, graph["model"], graph["raw"], "DerivedFrom")
        assert self.reached(context, graph, "raw", Direction="Descendants") == set(graph) - {"raw", "image"}
        assert len(self.edges(context, graph, "raw")) == 8

    def test_a_start_that_is_not_there(self, context: Context) -> None:
        with pytest.raises(ResourceNotFound, match="StartArns"):
            query_lineage(context, {"StartArns": [ACCOUNT.sagemaker("artifact", "x")]})
        with pytest.raises(ValidationException, match="StartArns"):
            query_lineage(context, {})
