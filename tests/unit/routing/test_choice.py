"""Which variant of which generation a request goes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from clary.domain.endpoints import Route, routes
from clary.routing.ask import NoAnswer
from clary.routing.choice import choose_route, is_random, most_at_once, sleeps
from tests.model_program import endpoint_row

DRAWS = [(number + 0.5) / 1000 for number in range(1000)]


def state_of(programs: dict[str, list[str]], **row: Any) -> dict[str, Any]:
    return dict(endpoint_row("e", programs, **row).state)


def chosen(state: dict[str, Any], variant: str | None = None) -> Counter[tuple[str, str]]:
    found = (choose_route(state, routes(state), variant, draw=draw) for draw in DRAWS)
    return Counter((route.generation, route.variant) for route in found)


def with_second_generation(state: dict[str, Any], share: float) -> dict[str, Any]:
    copies = [{**one, "id": f"new-{one['id']}", "generation": "g2"} for one in state["instances"]]
    return {
        **state,
        "generations": {**state["generations"], "g2": state["generations"]["g1"]},
        "traffic": [{"generation": "g1", "share": 1 - share}, {"generation": "g2", "share": share}],
        "instances": [*state["instances"], *copies],
    }


def test_weights_decide() -> None:
    state = state_of({"a": ["x:1"], "b": ["x:2"], "c": ["x:3"]}, weights={"a": 3.0, "b": 1.0, "c": 0.0})
    assert chosen(state) == {("g1", "a"): 750, ("g1", "b"): 250}


def test_a_target_beats_the_weights() -> None:
    state = state_of({"a": ["x:1"], "b": ["x:2"]}, weights={"a": 1.0, "b": 0.0})
    assert chosen(state, "b") == {("g1", "b"): 1000}
    with pytest.raises(NoAnswer, match="no variant c; the endpoint has a, b") as caught:
        chosen(state, "c")
    assert caught.value.kind == "no variant"


def test_generations_have_their_shares_with_and_without_a_target() -> None:
    state = with_second_generation(state_of({"a": ["x:1"], "b": ["x:2"]}, weights={"a": 1.0, "b": 0.0}), 0.1)
    assert chosen(state) == {("g1", "a"): 900, ("g2", "a"): 100}
    assert chosen(state, "b") == {("g1", "b"): 900, ("g2", "b"): 100}


def test_a_variant_without_instances_does_not_take_the_others_requests_with_it() -> None:
    state = state_of({"a": ["x:1"], "b": ["x:2"]})
    state["instances"] = state["instances"][:1]
    assert chosen(state) == {("g1", "a"): 1000}
    state["instances"] = []
    assert chosen(state) == {("g1", "a"): 500, ("g1", "b"): 500}


def test_one_that_wakes_up_when_asked_keeps_its_share() -> None:
    state = state_of({"a": ["x:1"], "b": []})
    assert state["generations"]["g1"]["variants"]["b"]["count"] == 0
    assert chosen(state) == {("g1", "a"): 500, ("g1", "b"): 500}


def test_no_traffic_is_no_answer() -> None:
    with pytest.raises(NoAnswer) as caught:
        choose_route({"traffic": []}, (), None, draw=0.5)
    assert caught.value.kind == "refused"


def test_what_a_variant_says_of_itself() -> None:
    state = state_of({"a": ["x:1"]})
    (route,) = routes(state)
    assert (most_at_once(route), is_random(route), sleeps(state, route)) == (None, False, False)

    def with_config(**config: Any) -> Route:
        return replace(route, config={**route.config, **config})

    assert is_random(with_config(RoutingConfig={"RoutingStrategy": "RANDOM"}))
    assert not is_random(with_config(RoutingConfig={"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}))
    serverless = with_config(ServerlessConfig={"MaxConcurrency": 3, "MemorySizeInMB": 1024})
    assert (most_at_once(serverless), sleeps(state, serverless)) == (3, True)
