"""Many models in one server: each is loaded when it is first asked for, the least recently used ones make room."""

from __future__ import annotations

import asyncio
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

from clary.serving.configuration import Configuration
from clary.serving.forker import Forker
from clary.serving.pool import Pool
from clary.serving.refusals import turned_away
from clary.serving.waiting import Asked

FORGET_FAILURE_S = 10.0
"""A model that could not be loaded is not tried again before."""
_NO_ROOM = (
    "another model can be loaded when one of those that are to make room has answered what it was asked; try again, or "
    "raise CLARY_MODELS_LOADED"
)


class Models:
    """Pools by the names of their models, in the order of their last use."""

    def __init__(self, nursery: Forker, configuration: Configuration, *, clock: Callable[[], float]) -> None:
        self._nursery = nursery
        self._configuration = configuration
        self._clock = clock
        self._pools: OrderedDict[str, Pool] = OrderedDict()
        self._folders: dict[Pool, str] = {}
        self._leaving: set[Pool] = set()
        self._failed_at: dict[Pool, float] = {}
        self._waiting: dict[Pool, list[Callable[[Pool], None]]] = {}
        self._count = 0

    @property
    def report(self) -> Mapping[str, Any]:
        return {"workers": sum(pool.workers for pool in self._pools.values()), "models": self.names()}

    def names(self) -> list[str]:
        """Of those that are loaded, the longest unused first."""
        return [name for name, pool in self._pools.items() if pool.state == "serving"]

    def url(self, name: str) -> str | None:
        """Where the model lies on disk, if it is loaded."""
        pool = self._pools.get(name)
        return self._folders[pool] if pool is not None and pool.state == "serving" else None

    def ask(self, name: str, asked: Asked) -> None:
        if name not in self._pools and len(self._leaving) >= self._configuration.models_loaded:
            asked.reply.answer(turned_away("loading", "Loading", _NO_ROOM))
        else:
            self._pool(name).ask(asked)

    def load(self, name: str, then: Callable[[Pool], None]) -> bool:
        """`then` is called with the pool once it serves or has failed. False if the model is loaded already."""
        if name in self.names():
            return False
        pool = self._pool(name)
        if pool.failure is not None:
            then(pool)
        else:
            self._waiting.setdefault(pool, []).append(then)
        return True

    def unload(self, name: str) -> bool:
        """What is in work is finished. False if there is no such model."""
        pool = self._pools.get(name)
        if pool is None or pool.state == "failed":
            return False
        self._retire(name)
        return True

    def check(self, now: float) -> None:
        for pool in [*self._pools.values(), *self._leaving]:
            pool.check(now)
        for name in [name for name, pool in self._pools.items() if self._is_stale(pool)]:
            self._forget(name)

    def close(self) -> None:
        for pool in [*self._pools.values(), *self._leaving]:
            pool.close()

    def _pool(self, name: str) -> Pool:
        pool = self._pools.get(name)
        if pool is not None and self._is_stale(pool):
            self._forget(name)
            pool = None
        if pool is None:
            pool = self._open(name)
        self._pools.move_to_end(name)
        return pool

    def _is_stale(self, pool: Pool) -> bool:
        return pool.state == "failed" and self._clock() - self._failed_at[pool] > FORGET_FAILURE_S

    def _open(self, name: str) -> Pool:
        self._make_room()
        self._count += 1
        digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        folder = str(self._configuration.models_dir / f"{digest}-{self._count}")
        pool = Pool(
            self._nursery,
            self._configuration,
            {"folder": folder, "name": name},
            clock=self._clock,
            on_change=partial(self._changed, name),
        )
        self._pools[name] = pool
        self._folders[pool] = folder
        return pool

    def _make_room(self) -> None:
        """One that is not at work goes first. All at work: the one that was asked least recently."""
        alive = [name for name, pool in self._pools.items() if pool.state != "failed"]
        while len(alive) >= self._configuration.models_loaded:
            at_rest = [name for name in alive if self._pools[name].is_idle]
            name = (at_rest or alive)[0]
            alive.remove(name)
            self._retire(name)

    def _retire(self, name: str) -> None:
        """It gets no more requests, and goes when it has answered those that it has."""
        pool = self._pools.pop(name)
        if pool.is_idle:
            self._remove(pool)
        else:
            self._leaving.add(pool)

    def _changed(self, name: str, pool: Pool) -> None:
        if pool in self._leaving:
            if pool.is_idle or pool.state == "failed":
                self._leaving.discard(pool)
                self._remove(pool)
        elif pool.failure is not None:
            self._failed_at[pool] = self._clock()
            if pool.failure.kind == "missing":
                self._forget(name)
        if pool.state == "serving" or pool.failure is not None:
            for then in self._waiting.pop(pool, []):
                then(pool)

    def _forget(self, name: str) -> None:
        self._remove(self._pools.pop(name))

    def _remove(self, pool: Pool) -> None:
        pool.close()
        self._failed_at.pop(pool, None)
        folder = self._folders.pop(pool)
        asyncio.get_running_loop().run_in_executor(None, partial(shutil.rmtree, folder, ignore_errors=True))
