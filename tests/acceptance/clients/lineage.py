"""A notebook that records where a model came from, with the lineage classes of the SageMaker SDK version 2.

Usage: lineage.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import boto3
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.experiments.run import Run
from sagemaker.lineage.action import Action
from sagemaker.lineage.artifact import Artifact, ModelArtifact
from sagemaker.lineage.association import Association
from sagemaker.lineage.context import Context, EndpointContext
from sagemaker.lineage.query import (
    LineageEntityEnum,
    LineageFilter,
    LineageQuery,
    LineageQueryDirectionEnum,
    LineageSourceEnum,
)
from sagemaker.lineage.visualizer import LineageTableVisualizer

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict = {}
session = sagemaker.Session()
client = boto3.client("sagemaker")
given = {"sagemaker_session": session}

with Run("Reviews", "First", sagemaker_session=session) as run:
    run.log_confusion_matrix([1, 0, 1], [1, 0, 0], title="confusion", is_output=True)
    component = run._trial_component.trial_component_arn
    component_name = run._trial_component.trial_component_name
logged = list(Artifact.list(**given))
seen["logged"] = [[each.artifact_name, each.artifact_type, each.source.source_uri] for each in logged]

data = Artifact.create(
    artifact_name="raw-reviews",
    source_uri="s3://elsewhere/reviews",
    source_types=[{"SourceIdType": "Custom", "Value": "v1"}],
    artifact_type="DataSet",
    properties={"language": "en"},
    tags=[{"Key": "team", "Value": "nlp"}],
    **given,
)
model = ModelArtifact.create(
    artifact_name="model", source_uri="s3://elsewhere/model.tar.gz", artifact_type="Model", **given
)
endpoint = Context.create(
    context_name="Reviews-Endpoint",
    source_uri="arn:endpoint",
    context_type="Endpoint",
    description="d",
    **given,
)
deployment = Action.create(
    action_name="Deploy",
    source_uri="s3://elsewhere/deploy",
    action_type="ModelDeployment",
    status="InProgress",
    **given,
)
again = Artifact.create(
    source_uri="s3://elsewhere/reviews",
    source_types=[{"SourceIdType": "Custom", "Value": "v1"}],
    artifact_type="DataSet",
    **given,
)
seen["same"] = again.artifact_arn == data.artifact_arn
seen["tags"] = client.list_tags(ResourceArn=data.artifact_arn)["Tags"]
data.set_tag({"Key": "kind", "Value": "text"})
seen["more tags"] = client.list_tags(ResourceArn=data.artifact_arn)["Tags"]

for source, destination, type_ in [
    (data.artifact_arn, component, "ContributedTo"),
    (component, model.artifact_arn, "Produced"),
    (model.artifact_arn, deployment.action_arn, "ContributedTo"),
    (deployment.action_arn, endpoint.context_arn, "AssociatedWith"),
]:
    Association.create(source_arn=source, destination_arn=destination, association_type=type_, **given)

deployment.status = "Completed"
deployment.properties = {"by": "me"}
deployment.save()
loaded = Action.load("deploy", **given)
seen["action"] = [loaded.action_name, loaded.status, loaded.properties, loaded.source.source_uri]
loaded = Artifact.load(data.artifact_arn, **given)
loaded.properties = {"language": "de", "size": "2"}
loaded.properties_to_remove = ["size"]
loaded.save()
seen["artifact"] = Artifact.load(data.artifact_arn, **given).properties
seen["context"] = Context.load("reviews-endpoint", **given).description

seen["actions"] = [each.action_name for each in Action.list(action_type="ModelDeployment", **given)]
seen["contexts"] = [each.context_name for each in Context.list(source_uri="arn:endpoint", **given)]
seen["data sets"] = [each.artifact_name for each in Artifact.list(artifact_type="DataSet", **given)]
seen["into component"] = sorted(
    [each.source_type, each.association_type]
    for each in Association.list(
        destination_arn=component, sort_by="CreationTime", sort_order="Ascending", **given
    )
)

query = LineageQuery(session)
found = query.query(
    start_arns=[endpoint.context_arn],
    query_filter=LineageFilter(entities=[LineageEntityEnum.ARTIFACT], sources=[LineageSourceEnum.DATASET]),
    direction=LineageQueryDirectionEnum.ASCENDANTS,
    include_edges=False,
)
seen["data of endpoint"] = [each.to_lineage_object().artifact_name for each in found.vertices]
found = query.query(start_arns=[data.artifact_arn], direction=LineageQueryDirectionEnum.DESCENDANTS)
seen["from data"] = [[each.lineage_entity, each.lineage_source] for each in found.vertices]
seen["edges"] = len(found.edges)
endpoint_context = EndpointContext.load("Reviews-Endpoint", **given)
seen["data of endpoint again"] = [each.artifact_name for each in endpoint_context.dataset_artifacts()]
seen["jobs of endpoint"] = endpoint_context.training_job_arns()
table = LineageTableVisualizer(session).show(trial_component_name=component_name)
seen["table"] = sorted(table["Direction"])

data.delete(disassociate=True)
deployment.delete()
for gone in (lambda: Artifact.load(data.artifact_arn, **given), lambda: Action.load("Deploy", **given)):
    try:
        gone()
    except ClientError as error:
        seen.setdefault("gone", []).append(error.response["Error"]["Code"])
seen["left"] = len(list(Association.list(**given)))
report_file.write_text(json.dumps(seen))
