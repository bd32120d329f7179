"""From the documents of a tuning job, its request and its state, to what a strategy is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.domain.studies import Job, is_open, last_value, objective
from clary.tuning.hyperband import resource_limit
from clary.tuning.space import Categorical, Continuous, Integer, Range, Space
from clary.tuning.strategy import Observation

Document = Mapping[str, Any]
Observe = Callable[[str, Document], Observation]
"""What a child that has ended showed, by its name and its record in the study's state."""


def space_of(ranges: Document) -> Space:
    """`ranges` is a ParameterRanges. Raises ValidationException naming the parameter whose range is not possible."""
    found: list[Range] = [
        Continuous(each["Name"], each["MinValue"], each["MaxValue"], each.get("ScalingType", "Auto"))
        for each in ranges.get("ContinuousParameterRanges", ())
    ]
    found += [
        Integer(each["Name"], each["MinValue"], each["MaxValue"], each.get("ScalingType", "Auto"))
        for each in ranges.get("IntegerParameterRanges", ())
    ]
    found += [
        Categorical(each["Name"], tuple(each["Values"]))
        for each in ranges.get("CategoricalParameterRanges", ())
    ]
    return Space(found)


def observed(_name: str, child: Document, curve: tuple[float, ...] = ()) -> Observation:
    """Without its curve where none is given: reading that costs a query."""
    return Observation(child["values"], child.get("objective"), curve, child["status"])


def observations(state: Document, index: int, observe: Observe = observed) -> list[Observation]:
    """What is known of a definition: what was inherited, then its own ended children in the order of their draws."""
    known = [
        Observation(each["values"], each.get("objective"), status=each["status"])
        for each in state.get("inherited", ())
        if each.get("definition", 0) == index
    ]
    ended = {
        child["draw"]: (name, child)
        for name, child in state["children"].items()
        if child["definition"] == index and not is_open(child) and not child.get("interrupted")
    }
    return known + [observe(*ended[draw]) for draw in sorted(ended)]


def emitted(spec: Document, definition: Document, curve: Sequence[float]) -> Sequence[float]:
    """The values that count: of Hyperband's children those up to MaxResource, which a quick one overshoots."""
    if spec["HyperParameterTuningJobConfig"]["Strategy"] != "Hyperband":
        return curve
    return curve[: max_resource(spec, definition)]


def final_value(
    spec: Document, definition: Document, job: Job, curve: Callable[[], Sequence[float]]
) -> float | None:
    """What a child whose job has ended counts with: NaN when that is no finite number, None when it emitted nothing.

    `curve` gives all its values; it is called for Hyperband only.
    """
    if spec["HyperParameterTuningJobConfig"]["Strategy"] == "Hyperband" and (found := curve()):
        return emitted(spec, definition, found)[-1]
    return last_value(job, str(objective(spec, definition)["MetricName"]))


def foretells(spec: Document) -> bool:
    """Whether the study stops children by what is expected of them, and learns so from those that were stopped."""
    config = spec["HyperParameterTuningJobConfig"]
    return bool(config["Strategy"] == "Bayesian" and config.get("TrainingJobEarlyStoppingType") == "Auto")


def max_resource(spec: Document, definition: Document) -> int:
    """Hyperband's MaxResource: as given, else the epochs among the static hyperparameters.

    Raises ValidationException where neither says it.
    """
    config = (
        spec["HyperParameterTuningJobConfig"].get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    )
    if "MaxResource" in config:
        return int(config["MaxResource"])
    return resource_limit(definition.get("StaticHyperParameters", {}))
