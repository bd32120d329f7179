"""Which part of an endpoint a request goes to. Pure: the draw is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.domain.endpoints import Route
from clary.routing.ask import NoAnswer


def choose_route(
    state: Mapping[str, Any], routes: Sequence[Route], variant: str | None, *, draw: float
) -> Route:
    """The route of a request for `variant`, or for any. `draw`: from 0 up to 1.

    A variant asked for by name gets the request whatever its weight, in its generations by their shares of the traffic.
    Otherwise weights decide among those that can answer: that have instances, or that a request wakes up. Raises
    NoAnswer "no variant", and "refused" where nothing has traffic.
    """
    if not routes:
        raise NoAnswer("refused", "no variant of the endpoint takes requests yet")
    if variant is not None:
        own = [route for route in routes if route.variant == variant]
        if not own:
            known = ", ".join(dict.fromkeys(route.variant for route in routes))
            message = f"there is no variant {variant}; the endpoint has {known}"
            raise NoAnswer("no variant", message, variant=variant)
        shares = {part["generation"]: float(part["share"]) for part in state["traffic"]}
        return _weighted(_able(state, own), [shares[route.generation] for route in _able(state, own)], draw)
    weighty = [route for route in routes if route.weight > 0]
    able = _able(state, weighty or routes)
    return _weighted(able, [route.weight for route in able], draw)


def sleeps(state: Mapping[str, Any], route: Route) -> bool:
    """True where no instance is wanted until somebody asks: a serverless variant, or one scaled to zero."""
    wanted: int = state["generations"][route.generation]["variants"][route.variant]["count"]
    return wanted == 0 or is_serverless(route)


def is_serverless(route: Route) -> bool:
    return bool(route.config.get("ServerlessConfig"))


def most_at_once(route: Route) -> int | None:
    """How many requests a serverless variant takes at once; None: as many as come."""
    serverless = route.config.get("ServerlessConfig")
    return int(serverless["MaxConcurrency"]) if serverless else None


def is_random(route: Route) -> bool:
    strategy: str = route.config.get("RoutingConfig", {}).get("RoutingStrategy", "")
    return strategy == "RANDOM"


def _able(state: Mapping[str, Any], routes: Sequence[Route]) -> Sequence[Route]:
    """Those that have an instance or get one when asked; all, where none has."""
    return [route for route in routes if route.instances or sleeps(state, route)] or routes


def _weighted(routes: Sequence[Route], weights: Sequence[float], draw: float) -> Route:
    left = draw * sum(weights)
    for route, weight in zip(routes, weights, strict=True):
        left -= weight
        if left < 0:
            return route
    return routes[-1]
