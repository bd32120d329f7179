"""From the documents of the API to spaces and back. (`space` holds what they mean.)"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.tuning.space import Categorical, Continuous, Integer, Range, Space

Document = Mapping[str, Any]


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
