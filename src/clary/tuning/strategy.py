"""What a strategy sees and gives, and the laws that every strategy obeys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from clary.errors import ValidationException
from clary.tuning.space import Space, Values

Status: TypeAlias = Literal["Completed", "Stopped", "Failed"]

ENTRY_POINT_GROUP = "clary.strategies"


@dataclass(frozen=True, slots=True)
class Observation:
    """A child that has ended.

    `objective` is the last value it emitted and None when it emitted none; `curve` holds every value in order.
    A `Stopped` child (early or by hand) counts with its last value, a `Failed` one without any. `spread` is the
    standard deviation by which the objective is uncertain beyond the noise that every child's has (see `forecast`).
    """

    values: Values
    objective: float | None
    curve: tuple[float, ...] = ()
    status: Status = "Completed"
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A configuration to run, complete for the space, and in a few words why."""

    values: dict[str, str]
    reason: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class Strategy(Protocol):
    """Chooses what to run next.

    Laws, tested for every strategy by `clary.testing.strategies.StrategyContract`:

    1. At most `n` proposals; fewer only when the space has no more to give (Grid at its end). Never more.
    2. Every proposal lies in the space: `space.holds(p.values)`, its names are the space's, `decode(encode(x)) == x`.
    3. The answer follows from the arguments alone: equal arguments and an equally seeded `rng` give equal proposals.
       No argument but `rng` is changed. A caller that survives crashes seeds one rng for each child, from the
       study's seed and the child's number: `np.random.default_rng([seed, number])`.
    4. `pending` (children that run now) counts: proposals of a continuous space differ from it and from each other.
    5. Failed children, children without a value, values that are not finite, and an empty history are all legal.
    6. Minimising an objective is maximising its negative.
    7. A history may hold children from outside the space (a warm start's parents); they are left out.
    """

    def propose(
        self,
        space: Space,
        history: Sequence[Observation],
        pending: Sequence[Values],
        n: int,
        rng: np.random.Generator,
        *,
        maximize: bool,
    ) -> list[Proposal]: ...


class NamedLoader(Protocol):
    """What a plug-in entry point looks like: a name, and `load()` to a callable that makes the strategy."""

    @property
    def name(self) -> str: ...

    def load(self) -> Callable[[], Strategy]: ...


def find(name: str, own: Mapping[str, Callable[[], Strategy]], plugins: Iterable[NamedLoader]) -> Strategy:
    """The strategy of that name: ours first, else a plug-in's (a Python entry point of group ENTRY_POINT_GROUP).

    The caller lists the entry points, for looking them up reads the file system:
    `find(name, OWN, importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))`.
    Raises ValidationException, with the names there are, for an unknown one or one that makes no strategy.
    """
    if name in own:
        return own[name]()
    loaders = {each.name: each for each in plugins}
    if name not in loaders:
        raise ValidationException(
            f"Strategy {name!r} is unknown. There are: {', '.join(sorted({*own, *loaders}))}. "
            f"A package adds its own by an entry point of group {ENTRY_POINT_GROUP!r}."
        )
    made = loaders[name].load()()
    if not isinstance(made, Strategy):
        raise ValidationException(
            f"The plug-in {name!r} makes no strategy: what it gave has no method 'propose'."
        )
    return made


def usable(space: Space, history: Sequence[Observation]) -> list[Observation]:
    """The observations whose configuration lies in the space."""
    return [each for each in history if space.holds(each.values)]


def score(observation: Observation, *, maximize: bool) -> float | None:
    """The objective with its sign turned so that more is better; None when there is none to compare."""
    value = observation.objective
    if value is None or observation.status == "Failed" or not np.isfinite(value):
        return None
    return value if maximize else -value
