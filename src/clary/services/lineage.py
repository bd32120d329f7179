"""Lineage: artifacts, contexts and actions. (`lineage_associations` relates them, `lineage_query` follows.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.errors import ValidationException
from clary.services.lineage_rows import (
    ACTIONS,
    ARTIFACTS,
    CONTEXTS,
    create,
    delete,
    find,
    listed,
    named,
    shown,
    source_name,
    update,
)
from clary.services.operations import Context, operation

Request = Mapping[str, Any]


@operation("sagemaker", "CreateArtifact")
def create_artifact(context: Context, request: Request) -> Request:
    """One source (its URI and types) is one artifact: asking for it again answers with the same ARN."""
    return create(context, ARTIFACTS, request)


@operation("sagemaker", "DescribeArtifact")
def describe_artifact(context: Context, request: Request) -> Request:
    """What was given, and when it was made and changed."""
    return shown(ARTIFACTS, find(context, ARTIFACTS, request))


@operation("sagemaker", "UpdateArtifact")
def update_artifact(context: Context, request: Request) -> Request:
    """Change the name; add, replace and remove properties."""
    return update(context, ARTIFACTS, request)


@operation("sagemaker", "DeleteArtifact")
def delete_artifact(context: Context, request: Request) -> Request:
    """By ARN or by source, with its associations. What it stands for stays."""
    if ("ArtifactArn" in request) == ("Source" in request):
        raise ValidationException("Give either ArtifactArn or Source")
    key = request.get("ArtifactArn") or source_name(request["Source"])
    return delete(context, ARTIFACTS, named(context, ARTIFACTS, key))


@operation("sagemaker", "ListArtifacts")
def list_artifacts(context: Context, request: Request) -> Request:
    """All, or those of a source, of a type, made in a stretch of time."""
    return listed(context, ARTIFACTS, request)


@operation("sagemaker", "CreateContext")
def create_context(context: Context, request: Request) -> Request:
    """Names are compared without case."""
    return create(context, CONTEXTS, request)


@operation("sagemaker", "DescribeContext")
def describe_context(context: Context, request: Request) -> Request:
    """By name or ARN."""
    return shown(CONTEXTS, find(context, CONTEXTS, request))


@operation("sagemaker", "UpdateContext")
def update_context(context: Context, request: Request) -> Request:
    """Change the description; add, replace and remove properties."""
    return update(context, CONTEXTS, request)


@operation("sagemaker", "DeleteContext")
def delete_context(context: Context, request: Request) -> Request:
    """With its associations."""
    return delete(context, CONTEXTS, find(context, CONTEXTS, request))


@operation("sagemaker", "ListContexts")
def list_contexts(context: Context, request: Request) -> Request:
    """All, or those of a source, of a type, made in a stretch of time."""
    return listed(context, CONTEXTS, request)


@operation("sagemaker", "CreateAction")
def create_action(context: Context, request: Request) -> Request:
    """Names are compared without case."""
    return create(context, ACTIONS, request)


@operation("sagemaker", "DescribeAction")
def describe_action(context: Context, request: Request) -> Request:
    """By name or ARN."""
    return shown(ACTIONS, find(context, ACTIONS, request))


@operation("sagemaker", "UpdateAction")
def update_action(context: Context, request: Request) -> Request:
    """Change the description and the status; add, replace and remove properties."""
    return update(context, ACTIONS, request)


@operation("sagemaker", "DeleteAction")
def delete_action(context: Context, request: Request) -> Request:
    """With its associations."""
    return delete(context, ACTIONS, find(context, ACTIONS, request))


@operation("sagemaker", "ListActions")
def list_actions(context: Context, request: Request) -> Request:
    """All, or those of a source, of a type, made in a stretch of time."""
    return listed(context, ACTIONS, request)
