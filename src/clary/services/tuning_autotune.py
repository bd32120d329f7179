"""Autotune: what a request leaves open is filled in, as it says that it may be.

ParameterRanges     each of AutoParameters becomes a range around its ValueHint
ResourceLimits      MaxNumberOfTrainingJobs
early stopping      Auto, where it can be
completion          on convergence
RetryStrategy       of each training definition
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clary.domain.studies import RANGE_LISTS

Document = Mapping[str, Any]

JOBS = 30
RETRIES = 3
FACTOR = 10.0
TRUTHS = {
    "true": ("true", "false"),
    "false": ("true", "false"),
    "True": ("True", "False"),
    "False": ("True", "False"),
}


def filled(spec: Document) -> dict[str, Any]:
    """The request with what Autotune fills in. What was given stays as it is."""
    if spec.get("Autotune", {}).get("Mode") != "Enabled":
        return dict(spec)
    config = dict(spec["HyperParameterTuningJobConfig"])
    several = "TrainingJobDefinitions" in spec
    if config["Strategy"] != "Grid":
        config["ResourceLimits"] = {"MaxNumberOfTrainingJobs": JOBS, **config["ResourceLimits"]}
    if config["Strategy"] != "Hyperband" and not several:
        config.setdefault("TrainingJobEarlyStoppingType", "Auto")
    config["TuningJobCompletionCriteria"] = {
        "ConvergenceDetected": {"CompleteOnConvergence": "Enabled"},
        **config.get("TuningJobCompletionCriteria", {}),
    }
    if "ParameterRanges" in config:
        config["ParameterRanges"] = _with_ranges(config["ParameterRanges"])
    result = {**spec, "HyperParameterTuningJobConfig": config}
    if several:
        result["TrainingJobDefinitions"] = [_definition(each) for each in spec["TrainingJobDefinitions"]]
    elif "TrainingJobDefinition" in spec:
        result["TrainingJobDefinition"] = _definition(spec["TrainingJobDefinition"])
    return result


def _definition(definition: Document) -> dict[str, Any]:
    known = {"RetryStrategy": {"MaximumRetryAttempts": RETRIES}, **definition}
    if "HyperParameterRanges" in known:
        known["HyperParameterRanges"] = _with_ranges(known["HyperParameterRanges"])
    return known


def _with_ranges(ranges: Document) -> dict[str, Any]:
    """Without AutoParameters, and with a range for each of them that has none yet."""
    known = {kind: list(ranges.get(kind, ())) for kind in RANGE_LISTS}
    named = {each["Name"] for kind in RANGE_LISTS for each in known[kind]}
    for each in ranges.get("AutoParameters", ()):
        if each["Name"] not in named:
            kind, made = range_around(each["Name"], each["ValueHint"])
            known[kind].append(made)
    return known


def range_around(name: str, hint: str) -> tuple[str, dict[str, Any]]:
    """The list a parameter belongs to, and a range of two orders of magnitude (integers: one) around the hint."""
    text = hint.strip("\"'")
    try:
        value = float(text)
    except ValueError:
        values = TRUTHS.get(text, (hint,))
        return "CategoricalParameterRanges", {"Name": name, "Values": list(values)}
    if not math.isfinite(value):
        return "CategoricalParameterRanges", {"Name": name, "Values": [hint]}
    if text.lstrip("+-").isdigit():
        return "IntegerParameterRanges", _integers(name, int(text))
    if value <= 0:
        width = abs(value) or 1.0
        return "ContinuousParameterRanges", _bounds(name, value - width, value + width, "Linear")
    high = value * FACTOR if value * FACTOR < 1 or value >= 1 else (1 + value) / 2
    return "ContinuousParameterRanges", _bounds(name, value / FACTOR, high, "Logarithmic")


def _integers(name: str, value: int) -> dict[str, Any]:
    if value <= 0:
        return _bounds(name, value - 1, value + 1, "Linear")
    return _bounds(name, max(1, value // 4), value * 4, "Auto")


def _bounds(name: str, low: float, high: float, scaling: str) -> dict[str, Any]:
    return {"Name": name, "MinValue": f"{low:.6g}", "MaxValue": f"{high:.6g}", "ScalingType": scaling}
