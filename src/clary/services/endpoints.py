"""Endpoints: Create, Describe, List, Update, Delete. (`endpoint_changes` works out what an update comes to.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clary.domain.endpoints import beginning, current, deleting, generation_of, rescaled, updating
from clary.domain.kinds import ENDPOINT, ENDPOINT_INSTANCE, MODEL
from clary.errors import ValidationException
from clary.services import autoscaling_rules, deployment_rules, hosting
from clary.services.endpoint_changes import next_generation, weights_and_counts
from clary.services.endpoint_describe import NOTHING, Starting, describe, is_short, summary
from clary.services.hosting import ENDPOINT_CONFIGS, ENDPOINTS, MODELS
from clary.services.operations import Context, operation
from clary.store.base import Change, Page, Resource, Where

Request = Mapping[str, Any]

GENERATION_DIGITS = 8
MOST_LOOKED_AT = 200  # instances, for what they do while an endpoint changes
UPDATABLE = frozenset({"InService", "OutOfService", "UpdateRollbackFailed"})
MOVING = frozenset({"Creating", "Updating", "RollingBack"})
RESCALABLE = frozenset({"InService"})
SETTLED = frozenset({"InService", "OutOfService", "UpdateRollbackFailed", "Failed"})
FIXES = {
    "Failed": "delete it and make another",
    "Deleting": "make another once it is gone",
    "OutOfService": "update it with UpdateEndpoint",
    "UpdateRollbackFailed": "update it with UpdateEndpoint",
}


@operation("sagemaker", "CreateEndpoint")
def create(context: Context, request: Request) -> Request:
    """Write down what is wanted, with copies of its configuration and models; a controller makes it so."""
    config = hosting.find(context, ENDPOINT_CONFIGS, request["EndpointConfigName"])
    now = context.now()
    wanted = generation_of(
        config.name,
        config.spec,
        _models(context, config),
        now=now,
        deployment=request.get("DeploymentConfig"),
    )
    deployment_rules.check(wanted["deployment"], instances=_instances(wanted))
    name, generation = request["EndpointName"], context.new_id(GENERATION_DIGITS)
    row = Resource(**beginning(context.account, name, generation, wanted, now=now))
    return hosting.create(context, ENDPOINTS, row, request)


@operation("sagemaker", "DescribeEndpoint")
def describe_endpoint(context: Context, request: Request) -> Request:
    """Status, variants with their weights and instances, what their model servers report, why it failed."""
    row = hosting.find(context, ENDPOINTS, request["EndpointName"])
    return describe(row, _starting(context, row) if row.status in MOVING or is_short(row) else NOTHING)


@operation("sagemaker", "ListEndpoints")
def list_endpoints(context: Context, request: Request) -> Request:
    """Newest first unless asked otherwise."""
    wanted = (request["StatusEquals"],) if "StatusEquals" in request else ()
    found, token = hosting.listed(context, ENDPOINTS, request, wanted)
    return {"Endpoints": [summary(row) for row in found], **token}


@operation("sagemaker", "UpdateEndpoint")
def update(context: Context, request: Request) -> Request:
    """Another configuration in the place of the present one: a new fleet is built, and gets the traffic."""
    config = hosting.find(context, ENDPOINT_CONFIGS, request["EndpointConfigName"])
    models = _models(context, config)
    generation, now = context.new_id(GENERATION_DIGITS), context.now()

    def change(row: Resource) -> Resource:
        _must_be(row, UPDATABLE)
        autoscaling_rules.check_update(context.store, row.name, current(row.state)["config"], config.spec)
        wanted = next_generation(row.state, config, models, request, now=now)
        deployment_rules.check(wanted["deployment"], instances=_instances(wanted))
        return replace(row, **updating(row.state, generation, wanted, now=now))

    return _change(context, request, change)


@operation("sagemaker", "UpdateEndpointWeightsAndCapacities")
def update_weights_and_capacities(context: Context, request: Request) -> Request:
    """Other weights, other numbers of instances, another concurrency; the configuration stays as it is."""
    now = context.now()

    def change(row: Resource) -> Resource:
        _must_be(row, RESCALABLE)
        changes = weights_and_counts(row.state, request["DesiredWeightsAndCapacities"])
        return replace(row, **rescaled(row.state, changes, now=now))

    return _change(context, request, change)


@operation("sagemaker", "DeleteEndpoint")
def delete(context: Context, request: Request) -> Request:
    """Let it go, whatever its status: it answers no more, its instances end, then it is forgotten."""
    now = context.now()

    def change(row: Resource) -> Resource:
        return row if row.status == "Deleting" else replace(row, **deleting(now=now))

    _change(context, request, change)
    return {}


def _change(context: Context, request: Request, change: Change) -> Request:
    name = hosting.find(context, ENDPOINTS, request["EndpointName"]).name
    row = context.store.update(ENDPOINT.name, name, change)
    if row is None:
        raise hosting.missing(context, ENDPOINTS, name)
    context.changed()
    return {"EndpointArn": row.arn}


def _starting(context: Context, endpoint: Resource) -> Starting:
    found: dict[tuple[str, str], list[str]] = {}
    failed: dict[tuple[str, str], Resource] = {}
    page = Page(sort="name", limit=MOST_LOOKED_AT)
    rows, _ = context.store.list(ENDPOINT_INSTANCE.name, Where(name_prefix=f"{endpoint.name}."), page)
    for row in rows:
        key = row.spec["Generation"], row.spec["VariantName"]
        if row.status == "InProgress" and row.state["secondary"] != "InService":
            found.setdefault(key, []).append(row.state["transitions"][-1]["StatusMessage"])
        if row.status == "Failed" and (key not in failed or row.modified > failed[key].modified):
            failed[key] = row
    for key, row in failed.items() if endpoint.status == "InService" else ():
        found.setdefault(key, []).append(f"lost: {row.state.get('reason', '')}")
    return found


def _models(context: Context, config: Resource) -> Mapping[str, Request]:
    """Specs of a configuration's models by name. Raises ValidationException for one that was deleted since."""
    names = {variant["ModelName"] for variant in config.spec["ProductionVariants"]}
    models = context.store.get_many(MODEL.name, names)
    for name in sorted(names - models.keys()):
        raise hosting.missing(context, MODELS, name)
    return {name: model.spec for name, model in models.items()}


def _must_be(row: Resource, statuses: frozenset[str]) -> None:
    if row.status in statuses:
        return
    fix = FIXES.get(row.status, "wait until it is InService")
    what = "endpoint" if row.status in SETTLED else "in-progress endpoint"
    raise ValidationException(f'Cannot update {what} "{row.arn}": its status is {row.status}, {fix}.')


def _instances(generation: Mapping[str, Any]) -> int:
    return sum(int(values["count"]) for values in generation["variants"].values())
