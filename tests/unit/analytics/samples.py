"""Documents of `/_clary/tuning/<name>` as a server would give them, their beliefs from the real model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clary.tuning.belief import belief
from clary.tuning.requests import space_of
from clary.tuning.strategy import Observation

RATE = {"Name": "learning_rate", "MinValue": "5e-6", "MaxValue": "5e-4", "ScalingType": "Logarithmic"}
ONE: dict[str, Any] = {"ContinuousParameterRanges": [RATE]}
FOUR: dict[str, Any] = {
    "ContinuousParameterRanges": [
        RATE,
        {"Name": "momentum", "MinValue": "0.5", "MaxValue": "0.999", "ScalingType": "ReverseLogarithmic"},
    ],
    "IntegerParameterRanges": [{"Name": "batch-size", "MinValue": "8", "MaxValue": "64"}],
    "CategoricalParameterRanges": [{"Name": "optimizer", "Values": ['"adam"', '"adamw"', '"sgd"']}],
}


def f1(values: dict[str, str]) -> float:
    rate = math.log10(float(values.get("learning_rate", "1e-4")) / 6.47e-5)
    value = 0.75 if rate > 0.666 else 0.918 - 0.17 * (rate / 0.9) ** 2
    value -= 0.02 * {'"sgd"': 2, '"adamw"': 0}.get(values.get("optimizer", '"adamw"'), 1)
    return value - 0.01 * abs(math.log2(float(values.get("batch-size", "32"))) - 5)


def definition(
    ranges: dict[str, Any], children: list[dict[str, Any]], *, name: str | None = None, maximize: bool = True
) -> dict[str, Any]:
    """A definition with the belief that its children give."""
    history = [
        Observation(each["values"], each.get("objective"), status=each["status"])
        for each in children
        if "status" in each
    ]
    believed = belief(space_of(ranges), history[:60], np.random.default_rng(0), maximize=maximize)
    names = ("name", "values", "mean", "low", "high", "importance")
    responses = () if believed is None else believed.responses
    return {
        "name": name,
        "objective": {"Type": "Maximize" if maximize else "Minimize", "MetricName": "eval_f1"},
        "ranges": ranges,
        "belief": {
            "responses": [{key: getattr(each, key) for key in names} for each in responses],
        }
        if believed
        else None,
    }


def children(ranges: dict[str, Any], count: int, *, number: int = 1, of: int = 0, seed: int = 3) -> list[Any]:
    """Jobs two at a time, a minute or so each; some stopped early, some failed, the last still running."""
    rng, space = np.random.default_rng(seed), space_of(ranges)
    made = []
    for index in range(count):
        values = dict(space.decode(space.snap(rng.random(space.width))))
        start = 1.8e9 + 40.0 * index
        child: dict[str, Any] = {
            "number": number + index,
            "name": f"bert-{number + index:03d}-0a1b2c3d",
            "definition": of,
            "values": values,
            "started": start,
        }
        if index < count - 1:
            child |= {"ended": start + 55 + 30 * rng.random(), "status": "Completed"}
            child["objective"] = f1(values) + 0.006 * rng.standard_normal()
        if index % 7 == 4 and "status" in child:
            child |= {"status": "Stopped", "decision": {"reason": "worse than the median", "step": 3}}
            child["objective"] -= 0.03
        if index % 11 == 3 and "status" in child:
            child |= {"status": "Failed", "reason": "out of memory"}
            del child["objective"]
        made.append(child)
    return made


def document(ranges: dict[str, Any], count: int, **options: Any) -> dict[str, Any]:
    """The page of a study of one algorithm."""
    made = children(ranges, count)
    return {
        "name": "bert",
        "status": "InProgress",
        "why": None,
        "strategy": "Bayesian",
        "definitions": [definition(ranges, made, **options)],
        "children": made,
    }


def of_two() -> dict[str, Any]:
    """The page of a study of two algorithms with parameters of their own."""
    first = children(ONE, 12)
    second = children(FOUR, 12, number=13, of=1, seed=4)
    both = [definition(ONE, first, name="small"), definition(FOUR, second, name="large")]
    return {**document(ONE, 1), "definitions": both, "children": [*second, *first]}
