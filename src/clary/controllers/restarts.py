"""How soon a lost instance is replaced: at once the first time, later and later if its successors die as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clary.controllers.fleet import Replica

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
STEADY_S = 60.0

Key = tuple[str, str]
"""A generation and a variant."""


@dataclass(slots=True)
class Restarts:
    """`losses`: instances that died in a row, none of which had answered for a steady time. Kept in memory only."""

    _losses: dict[Key, int] = field(default_factory=dict)
    _rests_until: dict[Key, float] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def look(self, replicas: Sequence[Replica]) -> None:
        """Note who has died since the last look."""
        there = {one.id for one in replicas}
        for one in replicas:
            if one.failure is None or one.id in self._seen:
                continue
            key = (one.generation, one.variant)
            losses = 1 if one.served_s > STEADY_S else self._losses.get(key, 0) + 1
            self._losses[key] = losses
            if losses > 1:
                # from its death: who starts again after days does not rest for what was then
                rest_s = min(FIRST_REST_S * 2 ** min(losses - 2, 10), LONGEST_REST_S)
                self._rests_until[key] = one.row.modified + rest_s
        self._seen = {one.id for one in replicas if one.failure is not None and one.id in there}

    def may_start(self, key: Key, now: float) -> bool:
        # a rest longer than any there is: the clock was set back
        return not 0 < self._rests_until.get(key, 0.0) - now <= LONGEST_REST_S
