"""An endpoint's state, and how it changes: when it is made, updated, scaled, asked to go. Pure.

A *generation* is one endpoint configuration as it was when it was asked for, with copies of its models, so that
neither can change or vanish beneath a running endpoint. The state holds:

    generations   by id: config_name, config, models, deployment, created, and variants: what each should have now,
                  {"weight": float, "count": instances}
    live          the generation that clients get; None until there is one
    target        the generation wanted; the live one when all is settled
    traffic       [{"generation", "share"}], shares add up to 1
    instances     those that may be asked now: [{"id", "generation", "variant", "address"}]
    reports       by variant: what its model server says of itself
    reason        why it failed, or why the last update did
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clary.domain.kinds import ENDPOINT
from clary.domain.names import Account

Document = Mapping[str, Any]

DEFAULT_WEIGHT = 1.0
MOST_INSTANCES = 100  # of a variant: they share one machine


@dataclass(frozen=True, slots=True)
class Instance:
    """A replica that answers. `address` is `host:port`."""

    id: str
    generation: str
    variant: str
    address: str


@dataclass(frozen=True, slots=True)
class Route:
    """A variant of a generation that has traffic. `weight` is its part of all traffic, from 0 to 1.

    `config` is the variant's document in the endpoint configuration.
    """

    generation: str
    variant: str
    weight: float
    config: Document
    instances: Sequence[Instance]


def generation_of(
    config_name: str,
    config: Document,
    models: Document,
    *,
    now: float,
    deployment: Document | None = None,
    variants: Document | None = None,
) -> dict[str, Any]:
    """`config` is the spec of the endpoint configuration, `models` are specs by name; `variants` overrides its counts
    and weights, by variant: {"weight"?, "count"?}."""
    wanted = {
        variant["VariantName"]: {
            "weight": float(variant.get("InitialVariantWeight", DEFAULT_WEIGHT)),
            "count": first_count(variant),
            **(variants or {}).get(variant["VariantName"], {}),
        }
        for variant in config["ProductionVariants"]
    }
    return {
        "config_name": config_name,
        "config": dict(config),
        "models": dict(models),
        "deployment": dict(deployment or {}),
        "created": now,
        "variants": wanted,
    }


def container_of(model: Document) -> Document:
    """The one container of a model's spec."""
    container: Document = model["Containers"][0] if "Containers" in model else model["PrimaryContainer"]
    return container


def first_count(variant: Document) -> int:
    """Instances that a variant begins with: none of a serverless one, but those it is to keep warm."""
    if serverless := variant.get("ServerlessConfig"):
        return int(bool(serverless.get("ProvisionedConcurrency")))
    return int(variant.get("InitialInstanceCount", 1))


def beginning(
    account: Account, name: str, generation: str, wanted: Document, *, now: float
) -> dict[str, Any]:
    """The fields of the row of a new endpoint. `wanted` is what `generation_of` gave for the id `generation`."""
    return {
        "kind": ENDPOINT.name,
        "name": name,
        "arn": account.sagemaker(ENDPOINT.name, name),
        "status": ENDPOINT.first,
        "spec": {"EndpointName": name},
        "state": {
            "generations": {generation: dict(wanted)},
            "live": None,
            "target": generation,
            "traffic": [],
            "instances": [],
            "reports": {},
        },
        "created": now,
        "modified": now,
        "due": now,
    }


def updating(state: Document, generation: str, wanted: Document, *, now: float) -> dict[str, Any]:
    """The fields that change when another generation is wanted."""
    generations = {**state["generations"], generation: dict(wanted)}
    kept = {key: value for key, value in state.items() if key != "reason"}
    return {
        "status": "Updating",
        "state": {**kept, "generations": generations, "target": generation},
        "modified": now,
        "due": now,
    }


def rescaled(state: Document, changes: Mapping[str, Document], *, now: float) -> dict[str, Any]:
    """The fields that change when variants of the wanted generation get other weights, counts or concurrencies.

    `changes`: by variant, {"weight"?: float, "count"?: int, "serverless"?: its whole ServerlessConfig}. Raises KeyError
    for a variant that is not there.
    """
    target = state["target"]
    wanted = state["generations"][target]
    variants = {name: dict(values) for name, values in wanted["variants"].items()}
    config = wanted["config"]
    for name, values in changes.items():
        scale = {key: value for key, value in values.items() if key != "serverless"}
        if "serverless" in values:
            config = _with_serverless(config, name, values["serverless"])
            scale["count"] = first_count(variant_of({"config": config}, name))
        variants[name] = {**variants[name], **scale}
    generations = {**state["generations"], target: {**wanted, "config": config, "variants": variants}}
    return {
        "status": "Updating",
        "state": {**state, "generations": generations},
        "modified": now,
        "due": now,
    }


def _with_serverless(config: Document, name: str, serverless: Document) -> Document:
    variants = [
        {**variant, "ServerlessConfig": dict(serverless)} if variant["VariantName"] == name else variant
        for variant in config["ProductionVariants"]
    ]
    return {**config, "ProductionVariants": variants}


def deleting(*, now: float) -> dict[str, Any]:
    """The fields that change when an endpoint is to go."""
    return {"status": "Deleting", "modified": now, "due": now}


def current(state: Document) -> Document:
    """The generation to describe: the live one, or the first while there is none yet."""
    generation: Document = state["generations"][state["live"] or state["target"]]
    return generation


def variant_of(generation: Document, name: str) -> Document:
    """A variant's document in its endpoint configuration. Raises KeyError."""
    for variant in generation["config"]["ProductionVariants"]:
        if variant["VariantName"] == name:
            found: Document = variant
            return found
    raise KeyError(name)


def instances_of(state: Document) -> Sequence[Instance]:
    """Those that may be asked."""
    return tuple(Instance(**entry) for entry in state["instances"])


def routes(state: Document) -> Sequence[Route]:
    """Every variant that has traffic, in the order of the configurations. Empty until the endpoint is in service."""
    instances = instances_of(state)
    found: list[Route] = []
    for part in state["traffic"]:
        key, share = part["generation"], float(part["share"])
        generation = state["generations"][key]
        weights = {name: float(values["weight"]) for name, values in generation["variants"].items()}
        total = sum(weights.values())
        for name, weight in weights.items():
            own = tuple(one for one in instances if (one.generation, one.variant) == (key, name))
            part_of_all = share * (weight / total) if total else 0.0
            found.append(Route(key, name, part_of_all, variant_of(generation, name), own))
    return tuple(found)
