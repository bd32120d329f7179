"""A study as charts need it, read from the document of Clary's page `/_clary/tuning/<name>`. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from clary.domain.scaling import resolve

Document: TypeAlias = Mapping[str, Any]
Scale: TypeAlias = Literal["linear", "log", "reverse-log", "category"]
Outcome: TypeAlias = Literal[
    "completed", "reached MaxResource", "stopped early", "stopped", "no value", "failed", "running"
]

_SCALES: Mapping[str, Scale] = {"Logarithmic": "log", "ReverseLogarithmic": "reverse-log"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A tuned hyperparameter. `low` and `high` bound a numeric one; `categories` are the values of the other kind."""

    name: str
    scale: Scale
    low: float = 0.0
    high: float = 1.0
    categories: tuple[str, ...] = ()

    def place(self, text: str) -> float:
        """Where a value lies between the parameter's ends, 0 to 1, on its own scale."""
        if self.scale == "category":
            last = max(len(self.categories) - 1, 1)
            return self.categories.index(shown(text)) / last
        bottom, top, at = (self._stretched(value) for value in (self.low, self.high, float(text)))
        return 0.5 if top == bottom else min(max((at - bottom) / (top - bottom), 0.0), 1.0)

    def _stretched(self, value: float) -> float:
        match self.scale:
            case "log":
                return math.log(max(value, 5e-324))
            case "reverse-log":
                return -math.log(max(1.0 - value, 5e-324))
            case _:
                return value


@dataclass(frozen=True, slots=True)
class Response:
    """The objective predicted along one parameter: mean and band of one standard deviation, per value."""

    values: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    importance: float


@dataclass(frozen=True, slots=True)
class Definition:
    """One algorithm of a study: its objective, its parameters, and what is believed of them (by name)."""

    name: str | None
    metric: str
    maximize: bool
    parameters: tuple[Parameter, ...]
    responses: Mapping[str, Response] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Child:
    """A training job of the study. Times are seconds since the epoch; `why` says why it was stopped or failed."""

    number: int
    name: str
    definition: int
    outcome: Outcome
    values: Mapping[str, str]
    objective: float | None = None
    started: float | None = None
    ended: float | None = None
    why: str = ""

    @property
    def counts(self) -> bool:
        """Whether its objective can make it the best."""
        return self.objective is not None and self.outcome not in {"failed", "running"}


@dataclass(frozen=True, slots=True)
class Study:
    name: str
    status: str
    strategy: str
    definitions: tuple[Definition, ...]
    children: tuple[Child, ...]

    @property
    def maximize(self) -> bool:
        return self.definitions[0].maximize

    @property
    def metric(self) -> str:
        return self.definitions[0].metric

    @property
    def best(self) -> Child | None:
        """The child with the best objective; the earlier one of two equals."""
        return best_of(self.children, maximize=self.maximize)

    def of(self, definition: int) -> tuple[Child, ...]:
        return tuple(child for child in self.children if child.definition == definition)


def best_of(children: Iterable[Child], *, maximize: bool) -> Child | None:
    counting = [child for child in children if child.counts]
    sign = 1.0 if maximize else -1.0
    return max(counting, key=lambda child: sign * (child.objective or 0.0), default=None)


def read(document: Document) -> Study:
    """The study of a page's document. Raises KeyError or ValueError when it is not one."""
    children = [_child(each) for each in document["children"]]
    return Study(
        name=document["name"],
        status=document["status"],
        strategy=document["strategy"],
        definitions=tuple(_definition(each) for each in document["definitions"]),
        children=tuple(sorted(children, key=lambda child: child.number)),
    )


def shown(text: str) -> str:
    """A categorical value for people: SDKs send strings as JSON, quotes and all."""
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text


def _child(each: Document) -> Child:
    objective = each.get("objective")
    return Child(
        number=each["number"],
        name=each["name"],
        definition=each.get("definition", 0),
        outcome=_outcome(each),
        values=each["values"],
        objective=objective if objective is not None and math.isfinite(objective) else None,
        started=each.get("started"),
        ended=each.get("ended"),
        why=_why(each),
    )


def _why(each: Document) -> str:
    """Why it was stopped, failed or has no value; of one that came to the end of its steps the latter only."""
    decision = each.get("decision") or {}
    found = [decision.get("reason"), each.get("reason")]
    return next(filter(None, reversed(found) if decision.get("finished") else found), "")


def _outcome(each: Document) -> Outcome:
    match each.get("status"):
        case "Completed":
            return "completed" if each.get("objective") is not None else "no value"
        case "Stopped":
            decision = each.get("decision") or {}
            if decision.get("finished"):
                return "reached MaxResource" if each.get("objective") is not None else "no value"
            return "stopped early" if decision else "stopped"
        case "Failed":
            return "failed"
        case _:
            return "running"


def _definition(each: Document) -> Definition:
    believed = (each.get("belief") or {}).get("responses", ())
    return Definition(
        name=each.get("name"),
        metric=each["objective"].get("MetricName", "objective"),
        maximize=each["objective"].get("Type", "Maximize") == "Maximize",
        parameters=tuple(_parameters(each["ranges"])),
        responses={entry["name"]: _response(entry) for entry in believed},
    )


def _response(entry: Document) -> Response:
    mean = tuple(map(float, entry["mean"]))
    spread = entry.get("spread", (0.0,) * len(mean))
    pairs = list(zip(mean, spread, strict=True))
    return Response(
        values=tuple(map(str, entry["values"])),
        mean=mean,
        low=tuple(entry.get("low", [middle - width for middle, width in pairs])),
        high=tuple(entry.get("high", [middle + width for middle, width in pairs])),
        importance=float(entry["importance"]),
    )


def _parameters(ranges: Document) -> Iterable[Parameter]:
    for kind in ("ContinuousParameterRanges", "IntegerParameterRanges"):
        for each in ranges.get(kind, ()):
            low, high = float(each["MinValue"]), float(each["MaxValue"])
            yield Parameter(each["Name"], scale_of(each.get("ScalingType", "Auto"), low, high), low, high)
    for each in ranges.get("CategoricalParameterRanges", ()):
        yield Parameter(each["Name"], "category", categories=tuple(map(shown, each["Values"])))


def scale_of(scaling: str, low: float, high: float) -> Scale:
    """The scale that a ScalingType of the API stands for between these bounds."""
    return _SCALES.get(resolve(scaling, low, high), "linear")
