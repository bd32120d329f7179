"""What the job controller works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clary.agent.contract import Access
from clary.runners.base import Runner
from clary.runners.environments import Environments
from clary.runners.instances import InstanceTypes, Slots
from clary.settings import Settings
from clary.store.base import Resource, Store


@dataclass(frozen=True, slots=True)
class Means:
    """What a controller works with. `access` mints a job's own key; `changed` tells waiting clients."""

    store: Store
    runner: Runner
    slots: Slots
    instance_types: InstanceTypes
    environments: Environments
    settings: Settings
    owner: str
    access: Callable[[Resource], Access]
    new_id: Callable[[int], str]
    changed: Callable[[bool], None]
