"""Conditional requests: which reads answer 304 or 412, and which writes may go on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from clary.errors import S3Fault
from clary.objects.base import Condition, NoSuchKey, Object, unconditional
from clary.services.s3_gate import epoch_s


def is_unmodified(request: Mapping[str, Any], found: Object) -> bool:
    """True when the answer is 304 Not Modified. Raises S3Fault PreconditionFailed (412).

    As HTTP has it, a condition on the ETag wins over one on the date.
    """
    if request.get("IfMatch"):
        if not _names(request["IfMatch"], found):
            refuse("If-Match")
    elif _is_after(found, request.get("IfUnmodifiedSince")):
        refuse("If-Unmodified-Since")
    if request.get("IfNoneMatch"):
        return _names(request["IfNoneMatch"], found)
    since = request.get("IfModifiedSince")
    return since is not None and not _is_after(found, since)


def check_copy_source(request: Mapping[str, Any], source: Object) -> None:
    """The CopySourceIf* members of a request. Raises S3Fault PreconditionFailed (412)."""
    given = {
        name: request[f"CopySource{name}"]
        for name in ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
        if f"CopySource{name}" in request
    }
    if is_unmodified(given, source):
        refuse(
            "x-amz-copy-source-If-None-Match"
            if "IfNoneMatch" in given
            else "x-amz-copy-source-If-Modified-Since"
        )


def write_condition(request: Mapping[str, Any]) -> Condition:
    """If-Match and If-None-Match of a write, to be asked at the moment of the write."""
    if_match, if_none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    if if_none_match and if_none_match.strip() != "*":
        raise S3Fault(
            "If-None-Match on a write takes only *: write unless the key exists.",
            code="NotImplemented",
            status=501,
            extra={"Header": "If-None-Match"},
        )
    if not if_match and not if_none_match:
        return unconditional

    def condition(current: Object | None) -> None:
        if if_none_match and current is not None:
            refuse("If-None-Match")
        if if_match and current is None:
            raise NoSuchKey(extra={"Key": str(request.get("Key", ""))})
        if if_match and current is not None and not _names(if_match, current):
            refuse("If-Match")

    return condition


def _names(header: str, found: Object) -> bool:
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")}
    return "*" in tags or found.etag in tags


def _is_after(found: Object, since: Any) -> bool:
    # HTTP dates have whole seconds, so what was changed within the second counts as not after it
    return since is not None and int(found.modified) > int(epoch_s(since))


def refuse(header: str) -> NoReturn:
    raise S3Fault(
        "At least one of the pre-conditions you specified did not hold",
        code="PreconditionFailed",
        status=412,
        extra={"Condition": header},
    )
