"""The agents of a job, one a host: started, looked at, asked to stop, cleared away. The row says where they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from clary.agent import contract
from clary.agent.contract import Outcome, read_outcome
from clary.controllers import endings
from clary.controllers.hosts import Host, hosts_of
from clary.controllers.means import Means
from clary.controllers.plan import Station
from clary.controllers.story import last_words
from clary.controllers.work import WORK
from clary.store.base import Resource

MOST_LAUNCHES = 3


@dataclass(frozen=True, slots=True)
class Agents:
    """`launches` counts, by host, how often this controller has started a job's agent."""

    means: Means

    def hosts(self, job: Resource) -> Sequence[Host]:
        return hosts_of(job, self.means.settings.jobs)

    def start(self, job: Resource, hosts: Sequence[Host], launches: Counter[str]) -> None:
        """On these hosts of the job, with one key for all of them."""
        means, work = self.means, WORK[job.kind]
        names = list(job.state["hosts"])
        access = means.access(job)
        image = work.image(job)
        python = means.environments.python(image)
        kind, _ = work.instances(job.spec)
        cpus = work.request(job.spec, means.instance_types, kind).cut(means.slots.machine).cpus
        for host in hosts:
            launches[host.name] += 1
            share = job.state["slots"][names.index(host.name)]
            station = Station(
                host=host.name,
                hosts=names,
                access=access,
                python=python,
                cpus=share["cpus"] or cpus,
                gpus=share["gpus"],
                grace_s=means.settings.stop_grace_s,
                usage_period_s=means.settings.usage_period_s,
                serve=means.environments.serve(image),
            )
            host.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            means.runner.launch(host.folder, work.plan(job, station))

    def look(
        self, job: Resource, hosts: Sequence[Host], launches: Counter[str], now: float
    ) -> Mapping[str, Outcome]:
        """How those hosts ended that have ended."""
        found = {host.name: self._outcome(job, host, launches, now) for host in hosts}
        return {name: outcome for name, outcome in found.items() if outcome is not None}

    def ask_to_stop(self, hosts: Sequence[Host]) -> None:
        for host in hosts:
            self.means.runner.stop(host.folder)

    def clear(self, job: Resource) -> None:
        for host in self.hosts(job):
            self.means.runner.clear(host.folder)

    def _outcome(self, job: Resource, host: Host, launches: Counter[str], now: float) -> Outcome | None:
        alive = self.means.runner.is_alive(host.folder)
        outcome = read_outcome(host.folder)
        if outcome is None and not alive:
            return self._look_for_lost(job, host, launches, now)
        return outcome

    def _look_for_lost(self, job: Resource, host: Host, launches: Counter[str], now: float) -> Outcome | None:
        """No agent and no outcome: either it never started (a server died in between) or it was killed."""
        folder = host.folder
        if not (folder / contract.AGENT).exists() and launches[host.name] < MOST_LAUNCHES:
            self.start(job, [host], launches)
            return None
        self.means.runner.clear(folder)
        outcome = read_outcome(folder) or endings.lost(now, last_words=last_words(folder))
        with suppress(OSError):  # so that it is the same at the next look, while other hosts go on
            contract.write_outcome(folder, outcome)
        return outcome
