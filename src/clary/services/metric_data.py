"""Reading what a client sends to CloudWatch: values, counts and statistic sets, and the faults in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clary.errors import ClientFault
from clary.services.metric_statistics import LARGEST, Sample, spread

LARGEST_COUNT = 2**53  # beyond it a double no longer tells one number from the next


class InvalidParameterValue(ClientFault):
    """The value of an input parameter is bad or out-of-range."""

    code = "InvalidParameterValue"


class InvalidParameterCombination(ClientFault):
    """Parameters were used together that cannot be used together."""

    code = "InvalidParameterCombination"


def read_datum(where: str, datum: Mapping[str, Any], now: float) -> Sequence[Sample]:
    """What one entry of PutMetricData tells. `where` names the entry in faults.

    Raises InvalidParameterValue and InvalidParameterCombination.
    """
    at = float(datum.get("Timestamp", now))
    given = [key for key in ("Value", "Values", "StatisticValues") if key in datum]
    if len(given) != 1:
        raise InvalidParameterCombination(
            f"{where}: give exactly one of Value, Values and StatisticValues; {' and '.join(given) or 'none'} is there."
        )
    if given == ["StatisticValues"]:
        return _spread(where, datum["StatisticValues"], at)
    values = datum.get("Values", [datum.get("Value")])
    counts = datum.get("Counts") or [1.0] * len(values)
    if len(counts) != len(values):
        raise InvalidParameterValue(f"{where}: Counts and Values must have the same length.")
    return [
        Sample(at, _value(where, value), _whole(f"{where}.Counts", count))
        for value, count in zip(values, counts, strict=True)
    ]


def _spread(where: str, values: Mapping[str, Any], at: float) -> Sequence[Sample]:
    count = _whole(f"{where}.StatisticValues.SampleCount", values["SampleCount"])
    total, low, high = (_value(where, values[key]) for key in ("Sum", "Minimum", "Maximum"))
    try:
        return spread(count, total, low, high, at)
    except ValueError as error:
        raise InvalidParameterValue(f"{where}.StatisticValues: {error}.") from None


def _value(where: str, value: float) -> float:
    if not abs(value) <= LARGEST:
        raise InvalidParameterValue(f"{where}: the value {value} is not a number from -2^360 to 2^360.")
    return float(value)


def _whole(where: str, count: float) -> float:
    if not (1 <= count <= LARGEST_COUNT and float(count).is_integer()):
        raise InvalidParameterValue(f"{where}: {count} is not a whole number from 1 to {LARGEST_COUNT}.")
    return float(count)
