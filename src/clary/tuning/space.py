"""What a study may try: ranges as SageMaker states them, and their picture in the unit cube.

Bounds and values are strings, as on the wire: a child gets exactly the string that `Space.decode` gave. Integers have
no point, floats are the shortest text that reads back as the same number, categorical values are passed verbatim,
quotes included.

Scaling (`ScalingType` of the API):

    Linear              the value itself
    Logarithmic         its logarithm; the lower bound must be above 0
    ReverseLogarithmic  the logarithm of 1 - value; continuous only, 0 <= bounds < 1
    Auto                Logarithmic when the lower bound is above 0 and the upper is at least `AUTO_LOG_RATIO` times
                        the lower (two orders of magnitude), else Linear

One numeric parameter is one column of the cube; a categorical one has a column for each of its values (one-hot).
An integer's columns are relaxed: the interval [low - 0.5, high + 0.5) maps to [0, 1), so that each integer has an
equal share of a linear column, and `snap` moves a point to the middle of what it decodes to.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from clary.domain.scaling import Scaling, resolve
from clary.errors import ValidationException

Values: TypeAlias = Mapping[str, str]
Floats: TypeAlias = NDArray[np.float64]

SIGNIFICANT_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Continuous:
    """A real number from `low` to `high`, both included. Equal bounds are allowed."""

    name: str
    low: str
    high: str
    scaling: Scaling = "Auto"

    def __post_init__(self) -> None:
        low, high = _number(self, self.low), _number(self, self.high)
        _check_order(self.name, low, high)
        _check_scaling(self.name, self.scaling, low, high, integer=False)

    @property
    def columns(self) -> int:
        return 1

    def encode(self, text: str) -> Floats:
        """Raises ValidationException for text that is no number. Values outside the range are moved to its edge."""
        low, high = float(self.low), float(self.high)
        return np.array([_to_unit(_number(self, text), low, high, resolve(self.scaling, low, high))])

    def decode(self, unit: Floats) -> str:
        low, high = float(self.low), float(self.high)
        value = _from_unit(float(unit[0]), low, high, resolve(self.scaling, low, high))
        return repr(min(max(_rounded(value, low, high), low), high))

    def snap(self, units: Floats) -> Floats:
        return np.clip(units, 0.0, 1.0) if float(self.high) > float(self.low) else np.full_like(units, 0.5)


@dataclass(frozen=True, slots=True)
class Integer:
    """A whole number from `low` to `high`, both included. Equal bounds are allowed."""

    name: str
    low: str
    high: str
    scaling: Scaling = "Auto"

    def __post_init__(self) -> None:
        low, high = _whole(self, self.low), _whole(self, self.high)
        _check_order(self.name, low, high)
        _check_scaling(self.name, self.scaling, low, high, integer=True)

    @property
    def columns(self) -> int:
        return 1

    def encode(self, text: str) -> Floats:
        """Raises ValidationException for text that is no whole number."""
        low, high, scaling = self._stretched()
        return np.array([_to_unit(_whole(self, text), low, high, scaling)])

    def decode(self, unit: Floats) -> str:
        low, high, scaling = self._stretched()
        nearest = round(_from_unit(float(unit[0]), low, high, scaling))
        return str(min(max(nearest, _whole(self, self.low)), _whole(self, self.high)))

    def snap(self, units: Floats) -> Floats:
        low, high, scaling = self._stretched()
        if high - low == 1.0:
            return np.full_like(units, 0.5)
        values = np.clip(units, 0.0, 1.0)
        if scaling == "Logarithmic":
            bottom, width = math.log(low), math.log(high) - math.log(low)
            whole = np.clip(np.rint(np.exp(bottom + values * width)), low + 0.5, high - 0.5)
            return np.asarray((np.log(whole) - bottom) / width)
        whole = np.clip(np.rint(low + values * (high - low)), low + 0.5, high - 0.5)
        return np.asarray((whole - low) / (high - low))

    def _stretched(self) -> tuple[float, float, Scaling]:
        low, high = _whole(self, self.low), _whole(self, self.high)
        return low - 0.5, high + 0.5, resolve(self.scaling, low, high)


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of `values`, which are told apart as text."""

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValidationException(
                f"The categorical parameter {self.name!r} has no values. Give at least one."
            )
        if len(set(self.values)) != len(self.values):
            raise ValidationException(f"The categorical parameter {self.name!r} names a value twice.")

    @property
    def columns(self) -> int:
        return len(self.values)

    def encode(self, text: str) -> Floats:
        """Raises ValidationException for a value that the range lacks."""
        if text not in self.values:
            raise ValidationException(f"{text!r} is no value of the categorical parameter {self.name!r}.")
        unit = np.zeros(len(self.values))
        unit[self.values.index(text)] = 1.0
        return unit

    def decode(self, unit: Floats) -> str:
        return self.values[int(np.argmax(unit))]

    def snap(self, units: Floats) -> Floats:
        return np.asarray(np.eye(len(self.values))[np.argmax(units, axis=-1)])


Range: TypeAlias = Continuous | Integer | Categorical


class Space:
    """The ranges of one training definition, in the order of the request.

    Laws: for x from `decode`, `decode(encode(x)) == x`; `decode` never leaves the ranges;
    `decode(snap(u)) == decode(u)`.
    """

    def __init__(self, ranges: Sequence[Range]) -> None:
        names = [each.name for each in ranges]
        if len(set(names)) != len(names):
            raise ValidationException("Two ranges have the same parameter name.")
        self.ranges: tuple[Range, ...] = tuple(ranges)
        ends = list(itertools.accumulate(each.columns for each in self.ranges))
        self.slices: tuple[slice, ...] = tuple(
            slice(end - each.columns, end) for end, each in zip(ends, self.ranges, strict=True)
        )
        self.width: int = ends[-1] if ends else 0

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.ranges)

    @property
    def size(self) -> int | None:
        """How many different configurations there are; None when a range is continuous and not a single value."""
        size = 1
        for each in self.ranges:
            match each:
                case Categorical():
                    size *= len(each.values)
                case Integer():
                    size *= _whole(each, each.high) - _whole(each, each.low) + 1
                case Continuous():
                    if float(each.low) < float(each.high):
                        return None
        return size

    def encode(self, values: Values) -> Floats:
        """A point of the unit cube, shape (width,). Raises ValidationException for what is not of this space."""
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ValidationException(f"The configuration has no value for {', '.join(missing)}.")
        return np.concatenate([np.zeros(0), *(each.encode(values[each.name]) for each in self.ranges)])

    def encode_all(self, many: Sequence[Values]) -> Floats:
        """Shape (len(many), width)."""
        return np.array([self.encode(values) for values in many]).reshape(len(many), self.width)

    def decode(self, unit: Floats) -> dict[str, str]:
        return {
            each.name: each.decode(unit[part]) for each, part in zip(self.ranges, self.slices, strict=True)
        }

    def snap(self, units: Floats) -> Floats:
        """The same points (last axis `width`), integers in the middle of their share, categories one-hot."""
        out = np.empty_like(units)
        for each, part in zip(self.ranges, self.slices, strict=True):
            out[..., part] = each.snap(units[..., part])
        return out

    def holds(self, values: Values) -> bool:
        """Whether the configuration has every parameter within its range (parents of a warm start may not)."""
        return all(each.name in values and _inside(each, values[each.name]) for each in self.ranges)

    def grid(self) -> Iterator[dict[str, str]]:
        """Every configuration of a categorical space; the last range turns fastest. ValidationException for others."""
        lists: list[tuple[str, ...]] = []
        for each in self.ranges:
            if not isinstance(each, Categorical):
                raise ValidationException(
                    f"Grid takes categorical ranges only and {each.name!r} is not one. "
                    "List its values in CategoricalParameterRanges or choose another Strategy."
                )
            lists.append(each.values)
        for choice in itertools.product(*lists):
            yield dict(zip(self.names, choice, strict=True))


def _inside(each: Range, text: str) -> bool:
    if isinstance(each, Categorical):
        return text in each.values
    try:
        value = float(text)
    except ValueError:
        return False
    if not math.isfinite(value):
        return False
    whole = isinstance(each, Continuous) or value == round(value)
    return float(each.low) <= value <= float(each.high) and whole


def _to_unit(value: float, low: float, high: float, scaling: Scaling) -> float:
    if low == high:
        return 0.5
    low_s, value_s, high_s = (_scaled(x, scaling) for x in (low, min(max(value, low), high), high))
    return (value_s - low_s) / (high_s - low_s)


def _from_unit(unit: float, low: float, high: float, scaling: Scaling) -> float:
    if low == high:
        return low
    low_s, high_s = _scaled(low, scaling), _scaled(high, scaling)
    return _unscaled(low_s + min(max(unit, 0.0), 1.0) * (high_s - low_s), scaling)


def _scaled(value: float, scaling: Scaling) -> float:
    match scaling:
        case "Logarithmic":
            return math.log(value)
        case "ReverseLogarithmic":
            return -math.log1p(-value)
        case _:
            return value


def _unscaled(value: float, scaling: Scaling) -> float:
    match scaling:
        case "Logarithmic":
            return math.exp(value)
        case "ReverseLogarithmic":
            return -math.expm1(-value)
        case _:
            return value


def _rounded(value: float, low: float, high: float) -> float:
    """To digits that survive the way to the cube and back; more where the range is narrow for its place."""
    largest, width = max(abs(low), abs(high)), high - low
    extra = math.ceil(math.log10(largest / width)) if 0 < width < largest else 0
    return float(f"{value:.{min(SIGNIFICANT_DIGITS + extra, 17)}g}")


def _number(each: Range, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValidationException(f"{text!r} is no finite number; the parameter {each.name!r} takes numbers.")
    return value


def _whole(each: Range, text: str) -> int:
    value = _number(each, text)
    if value != int(value):
        raise ValidationException(f"{text!r} is no whole number; the parameter {each.name!r} takes integers.")
    return int(text) if text.strip().lstrip("+-").isdigit() else int(value)


def _check_order(name: str, low: float, high: float) -> None:
    if low > high:
        raise ValidationException(f"MinValue of the parameter {name!r} is above its MaxValue.")
    if not math.isfinite(float(high) - float(low)):
        raise ValidationException(
            f"The range of the parameter {name!r} is too wide to be measured. Narrow it."
        )


def _check_scaling(name: str, scaling: Scaling, low: float, high: float, *, integer: bool) -> None:
    if scaling == "Logarithmic" and low <= 0:
        raise ValidationException(
            f"The parameter {name!r} has Logarithmic scaling, which takes values above 0 only. "
            "Raise its MinValue or choose Linear."
        )
    if scaling != "ReverseLogarithmic":
        return
    if integer:
        raise ValidationException(
            f"The parameter {name!r} is an integer; ReverseLogarithmic is for continuous ones."
        )
    if not 0 <= low <= high < 1:
        raise ValidationException(
            f"The parameter {name!r} has ReverseLogarithmic scaling, which takes values from 0 to below 1."
        )
