"""Endpoints as their controller would have left them: rows of the store, with instances that nobody runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from clary.domain.endpoints import beginning, generation_of
from clary.domain.names import Account
from clary.store.base import Resource, Store

ACCOUNT = Account("123456789012", "us-east-1")
GENERATION = "g1"
ASYNC = {"OutputConfig": {"S3OutputPath": "s3://data/out", "S3FailurePath": "s3://data/failures/"}}


def variant(name: str = "AllTraffic", **given: Any) -> dict[str, Any]:
    values = {"VariantName": name, "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    return {**values, **given}


def add_endpoint(
    store: Store,
    name: str = "e",
    *,
    now: float,
    instances: int = 1,
    status: str = "InService",
    variants: tuple[dict[str, Any], ...] = (),
    account: Account = ACCOUNT,
    **config: Any,
) -> Resource:
    """An endpoint in service; `instances` of each variant can be asked. `config`: members of its configuration."""
    given = {"EndpointConfigName": name, "ProductionVariants": list(variants or [variant()]), **config}
    wanted = generation_of(name, given, {"m": {"ModelName": "m"}}, now=now)
    row = Resource(**beginning(account, name, GENERATION, wanted, now=now))
    live = status != "Creating"
    state = {
        **row.state,
        "live": GENERATION if live else None,
        "traffic": [{"generation": GENERATION, "share": 1.0}] if live else [],
    }
    stored = store.create(replace(row, status=status, due=None, state=state))
    return set_instances(store, stored.name, instances) if live else stored


def set_instances(store: Store, name: str, count: int, *, status: str | None = None) -> Resource:
    """Every variant has just so many instances now, and wants no other number."""

    def change(row: Resource) -> Resource:
        generation = row.state["generations"][row.state["target"]]
        variants = {each: {**values, "count": count} for each, values in generation["variants"].items()}
        instances = [
            {"id": f"{each}{n}", "generation": row.state["target"], "variant": each, "address": "127.0.0.1:1"}
            for each in variants
            for n in range(count)
        ]
        generations = {**row.state["generations"], row.state["target"]: {**generation, "variants": variants}}
        return replace(
            row,
            status=status or row.status,
            state={**row.state, "generations": generations, "instances": instances},
        )

    changed = store.update("endpoint", name, change)
    assert changed is not None
    return changed
