"""Tags of objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.services.operations import Context
from clary.services.s3_gate import s3_operation
from clary.services.s3_meta import checked_tags


@s3_operation("PutObjectTagging")
def put_object_tagging(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Replace the tags of an object."""
    tags = checked_tags((tag["Key"], tag["Value"]) for tag in request["Tagging"].get("TagSet") or [])
    _set_tags(context, request, tags)
    return {}


@s3_operation("GetObjectTagging")
def get_object_tagging(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tags of an object."""
    found = context.objects.head(request["Bucket"], request["Key"])
    return {"TagSet": [{"Key": key, "Value": value} for key, value in found.meta.tags.items()]}


@s3_operation("DeleteObjectTagging")
def delete_object_tagging(context: Context, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take all tags off an object."""
    _set_tags(context, request, {})
    return {}


def _set_tags(context: Context, request: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    context.objects.amend(request["Bucket"], request["Key"], lambda meta: replace(meta, tags=tags))
