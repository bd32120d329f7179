"""Application Auto Scaling: scalable targets, scaling policies, and what they did. Only for variants of endpoints.

`controllers.scaling` reads what is written here and changes the numbers of instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.endpoints import current, variant_of
from clary.domain.kinds import ENDPOINT, SCALABLE_TARGET, SCALING_ACTIVITY, SCALING_POLICY
from clary.domain.scalable import (
    DIMENSION,
    NAMESPACE,
    Target,
    policy_arn,
    role_arn,
    target_arn,
    target_of,
)
from clary.errors import ClientFault, ValidationException
from clary.services import autoscaling_rules
from clary.services.operations import Context, operation
from clary.services.tags import MOST_TAGS
from clary.store.base import AlreadyExists, Page, Resource, SortKey, Where

Request = Mapping[str, Any]

MOST_RESULTS = 50
ID_DIGITS = 32
SERVICE = "application-autoscaling"


class ObjectNotFoundException(ClientFault):
    """The specified object could not be found."""

    code = "ObjectNotFoundException"


class ResourceNotFoundException(ClientFault):
    """The specified resource does not exist."""

    code = "ResourceNotFoundException"


class TooManyTagsException(ClientFault):
    """The resource would have too many tags."""

    code = "TooManyTagsException"


class InvalidNextTokenException(ClientFault):
    """The next token supplied was invalid: give the one that the last page came with."""

    code = "InvalidNextTokenException"


# -- targets


@operation(SERVICE, "RegisterScalableTarget")
def register_scalable_target(context: Context, request: Request) -> Request:
    """A variant may be scaled from now on, between MinCapacity and MaxCapacity; or other limits for one that may."""
    target = _target(request)
    endpoint, variant = _variant(context, target)
    asked = {
        name: request[name] for name in ("MinCapacity", "MaxCapacity", "SuspendedState") if name in request
    }
    is_asynchronous = "AsyncInferenceConfig" in current(endpoint.state)["config"]
    found = context.store.get(SCALABLE_TARGET.name, target.row)
    if found is not None and found.state["endpoint"] == endpoint.created:
        if request.get("Tags"):
            raise ValidationException("Tags: the scalable target is there already: use TagResource")
        changed = context.store.update(
            SCALABLE_TARGET.name,
            target.row,
            lambda row: replace(
                row, spec=autoscaling_rules.limits({**row.spec, **asked}, is_asynchronous=is_asynchronous)
            ),
        )
        if changed is not None:
            context.changed()
            return {"ScalableTargetARN": changed.arn}
    spec = autoscaling_rules.limits(
        {**_named(target), **asked},
        is_asynchronous=is_asynchronous,
        is_serverless="ServerlessConfig" in variant,
    )
    return {"ScalableTargetARN": _register(context, target, spec, endpoint, request.get("Tags") or {}).arn}


def _register(
    context: Context, target: Target, spec: Request, endpoint: Resource, tags: Mapping[str, str]
) -> Resource:
    now = context.now()
    row = Resource(
        kind=SCALABLE_TARGET.name,
        name=target.row,
        arn=target_arn(context.account, context.new_id(ID_DIGITS)),
        status=SCALABLE_TARGET.first,
        spec=spec,
        state={"endpoint": endpoint.created},
        created=now,
        modified=now,
        due=now,
    )
    _forget(context, target)  # what an earlier endpoint of this name left
    try:
        made = context.store.create(row, tags=tags)
    except AlreadyExists as there:
        made = there.resource
    context.changed()
    return made


@operation(SERVICE, "DeregisterScalableTarget")
def deregister_scalable_target(context: Context, request: Request) -> Request:
    """The variant is not scaled any more; its policies go, the number of its instances stays."""
    target = _target(request)
    _registered(context, target)
    _forget(context, target)
    context.changed()
    return {}


def _forget(context: Context, target: Target) -> None:
    for head in context.store.heads(SCALING_POLICY.name, Where(name_prefix=f"{target.row}.")):
        context.store.delete(SCALING_POLICY.name, head.name)
    context.store.delete(SCALABLE_TARGET.name, target.row)


@operation(SERVICE, "DescribeScalableTargets")
def describe_scalable_targets(context: Context, request: Request) -> Request:
    """By name."""
    _namespace(request)
    rows, token = _page(context, SCALABLE_TARGET.name, request, "", by="name")
    wanted = set(request.get("ResourceIds") or ())
    if wanted:
        rows, token = _named_rows(context, wanted), {}
    return {"ScalableTargets": [_shown_target(context, row) for row in rows], **token}


def _named_rows(context: Context, ids: set[str]) -> list[Resource]:
    names = [target.row for each in ids if (target := target_of(each))]
    found = context.store.get_many(SCALABLE_TARGET.name, names)
    return [found[name] for name in sorted(found)]


def _shown_target(context: Context, row: Resource) -> dict[str, Any]:
    suspended = {
        f"{each}Suspended": False for each in ("DynamicScalingIn", "DynamicScalingOut", "ScheduledScaling")
    }
    return {
        **row.spec,
        "RoleARN": role_arn(context.account),
        "CreationTime": row.created,
        "SuspendedState": {**suspended, **row.spec.get("SuspendedState", {})},
        "ScalableTargetARN": row.arn,
    }


# -- policies


@operation(SERVICE, "PutScalingPolicy")
def put_scaling_policy(context: Context, request: Request) -> Request:
    """A target tracking policy, new or changed. Step scaling and predictive scaling are refused."""
    target = _target(request)
    _registered(context, target)
    name = target.policy_row(request["PolicyName"])
    autoscaling_rules.check_policy(request, target)
    kind = "TargetTrackingScaling"
    config = {f"{kind}PolicyConfiguration": request[f"{kind}PolicyConfiguration"]}
    spec = {**_named(target), "PolicyName": request["PolicyName"], "PolicyType": kind, **config}
    now = context.now()
    row = Resource(
        kind=SCALING_POLICY.name,
        name=name,
        arn=policy_arn(context.account, context.new_id(ID_DIGITS), target, request["PolicyName"]),
        status=SCALING_POLICY.first,
        spec=spec,
        state={},
        created=now,
        modified=now,
    )
    try:
        made: Resource | None = context.store.create(row)
    except AlreadyExists:
        made = context.store.update(
            SCALING_POLICY.name, name, lambda old: replace(old, spec=spec, modified=now)
        )
    context.changed()
    return {"PolicyARN": (made or row).arn, "Alarms": []}


@operation(SERVICE, "DeleteScalingPolicy")
def delete_scaling_policy(context: Context, request: Request) -> Request:
    """The number of instances stays as it is."""
    target = _target(request)
    if not context.store.delete(SCALING_POLICY.name, target.policy_row(request["PolicyName"])):
        raise ObjectNotFoundException(
            f"No scaling policy found for service namespace: {NAMESPACE}, resource ID: {target.id}, scalable "
            f"dimension: {DIMENSION}, policy name: {request['PolicyName']}"
        )
    context.changed()
    return {}


@operation(SERVICE, "DescribeScalingPolicies")
def describe_scaling_policies(context: Context, request: Request) -> Request:
    """Of one variant, or of all."""
    rows, token = _page(context, SCALING_POLICY.name, request, _prefix(request), by="name")
    wanted = set(request.get("PolicyNames") or ())
    shown = [
        {**row.spec, "PolicyARN": row.arn, "Alarms": [], "CreationTime": row.created}
        for row in rows
        if not wanted or row.spec["PolicyName"] in wanted
    ]
    return {"ScalingPolicies": shown, **token}


# -- activities


@operation(SERVICE, "DescribeScalingActivities")
def describe_scaling_activities(context: Context, request: Request) -> Request:
    """What was scaled, when and why: the newest first."""
    rows, token = _page(context, SCALING_ACTIVITY.name, request, _prefix(request), by="created", newest=True)
    return {"ScalingActivities": [{**row.spec, **row.state} for row in rows], **token}


# -- tags


@operation(SERVICE, "TagResource")
def tag_resource(context: Context, request: Request) -> Request:
    """Tags of a scalable target."""
    arn = _existing(context, request)
    together = {**context.store.tags(arn), **request["Tags"]}
    if len(together) > MOST_TAGS:
        message = f"{arn} would have {len(together)} tags: a resource has {MOST_TAGS} at most"
        raise TooManyTagsException(message, extra={"ResourceName": arn})
    context.store.set_tags(arn, request["Tags"])
    return {}


@operation(SERVICE, "UntagResource")
def untag_resource(context: Context, request: Request) -> Request:
    """A key that is not there is no fault."""
    context.store.remove_tags(_existing(context, request), request["TagKeys"])
    return {}


@operation(SERVICE, "ListTagsForResource")
def list_tags_for_resource(context: Context, request: Request) -> Request:
    """All tags of a scalable target."""
    return {"Tags": dict(context.store.tags(_existing(context, request)))}


def _existing(context: Context, request: Request) -> str:
    arn: str = request["ResourceARN"]
    if context.store.find(arn) is None:
        raise ResourceNotFoundException(f"Resource not found: {arn}", extra={"ResourceName": arn})
    return arn


# -- what requests name


def _namespace(request: Request) -> None:
    if request["ServiceNamespace"] != NAMESPACE:
        raise ValidationException(
            f"ServiceNamespace {request['ServiceNamespace']!r} is not supported by Clary: it scales variants of "
            f"endpoints, whose namespace is {NAMESPACE!r}"
        )
    if request.get("ScalableDimension", DIMENSION) != DIMENSION:
        raise ValidationException(
            f"ScalableDimension {request['ScalableDimension']!r} is not supported by Clary: use {DIMENSION!r}"
        )


def _target(request: Request) -> Target:
    _namespace(request)
    target = target_of(request["ResourceId"])
    if target is None:
        raise ValidationException(
            f"ResourceId {request['ResourceId']!r} is not of the form endpoint/<endpoint>/variant/<variant>"
        )
    return target


def _prefix(request: Request) -> str:
    """With which the names of the rows asked for begin."""
    _namespace(request)
    return f"{_target(request).row}." if "ResourceId" in request else ""


def _named(target: Target) -> dict[str, Any]:
    return {"ServiceNamespace": NAMESPACE, "ResourceId": target.id, "ScalableDimension": DIMENSION}


def _registered(context: Context, target: Target) -> Resource:
    row = context.store.get(SCALABLE_TARGET.name, target.row)
    if row is None:
        raise ObjectNotFoundException(
            f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: {target.id}, scalable "
            f"dimension: {DIMENSION}"
        )
    return row


def _variant(context: Context, target: Target) -> tuple[Resource, Request]:
    endpoint = context.store.get(ENDPOINT.name, target.endpoint)
    if endpoint is None or endpoint.status == "Deleting":
        raise ValidationException(f"ResourceId {target.id!r}: there is no endpoint {target.endpoint!r}")
    generation = current(endpoint.state)
    try:
        return endpoint, variant_of(generation, target.variant)
    except KeyError:
        known = ", ".join(generation["variants"])
        raise ValidationException(
            f"ResourceId {target.id!r}: the endpoint has no variant {target.variant!r}, it has {known}"
        ) from None


def _page(
    context: Context, kind: str, request: Request, prefix: str, *, by: SortKey, newest: bool = False
) -> tuple[list[Resource], dict[str, str]]:
    limit = int(request.get("MaxResults", MOST_RESULTS))
    if not 1 <= limit <= MOST_RESULTS:
        raise ValidationException(f"MaxResults {limit}: give a number from 1 to {MOST_RESULTS}")
    page = Page(sort=by, descending=newest, limit=limit, after=request.get("NextToken"))
    try:
        rows, token = context.store.list(kind, Where(name_prefix=prefix or None), page)
    except ValueError:
        raise InvalidNextTokenException() from None
    return list(rows), {"NextToken": token} if token else {}
