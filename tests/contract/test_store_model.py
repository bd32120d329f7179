"""Any sequence of calls gives what a plain dictionary would give."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from clary.store.base import AlreadyExists, Lease, Link, Page, Point, Resource, Where
from clary.store.sql import SqlStore, open_store

NAMES = st.sampled_from(["a", "b", "ab", "a-b", "B"])
OWNERS = st.sampled_from(["me", "you"])
TIMES = st.sampled_from([0.0, 1.0, 2.5, 10.0, 40.0])
DUES = st.none() | TIMES
STATUSES = st.sampled_from(["InProgress", "Completed"])
TAGS = st.dictionaries(st.sampled_from(["k", "l", "m"]), st.sampled_from(["1", "2"]), max_size=3)
VALUES = st.lists(st.sampled_from([0.0, 1.0, -2.5, 1e6]), max_size=3)
KINDS = st.sampled_from(["k", "l"])
PAGES = st.builds(
    Page,
    sort=st.sampled_from(["name", "created", "modified", "status"]),
    descending=st.booleans(),
    limit=st.integers(1, 4),
)
WHERES = st.builds(
    Where,
    name_contains=st.none() | st.sampled_from(["a", "b", "-", "%"]),
    name_prefix=st.none() | st.sampled_from(["a", "B"]),
    statuses=st.sampled_from([(), ("Completed",), ("InProgress", "Completed")]),
    created_after=st.none() | TIMES,
    modified_before=st.none() | TIMES,
)

_kinds = (f"kind-{number}" for number in itertools.count())


def fits(resource: Resource, where: Where) -> bool:
    return all(
        [
            where.name_contains is None or where.name_contains in resource.name,
            where.name_prefix is None or resource.name.startswith(where.name_prefix),
            not where.statuses or resource.status in where.statuses,
            where.created_after is None or resource.created > where.created_after,
            where.modified_before is None or resource.modified < where.modified_before,
        ]
    )


class StoreMachine(RuleBasedStateMachine):
    store: SqlStore

    @initialize(names=st.permutations(["a", "b", "ab", "a-b"]), due=TIMES)
    def begin(self, names: list[str], due: float) -> None:
        self.kind = next(_kinds)  # apart from every other run on the same database
        self.now = 5.0
        self.rows: dict[str, Resource] = {}
        self.held: dict[str, tuple[str, float]] = {}
        self.leases: list[Lease] = []
        self.tags: dict[str, dict[str, str]] = {}
        self.points: dict[str, list[Point]] = {}
        self.links: list[Link] = []
        for created, name in enumerate(names):
            self.create(name, "InProgress", float(created), due, {})

    def arn(self, name: str) -> str:
        return f"arn:{self.kind}/{name}"

    @rule(name=NAMES, status=STATUSES, created=TIMES, due=DUES, tags=TAGS)
    def create(self, name: str, status: str, created: float, due: float | None, tags: dict[str, str]) -> None:
        asked = Resource(self.kind, name, self.arn(name), status, {"n": name}, {}, created, created, due)
        if name in self.rows:
            with pytest.raises(AlreadyExists) as raised:
                self.store.create(asked, tags=tags)
            assert raised.value.resource == self.rows[name]
            return
        self.rows[name] = self.store.create(asked, tags=tags)
        self.tags[name], self.points[name] = dict(tags), []

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        assert self.store.delete(self.kind, name) == (name in self.rows)
        if name in self.rows:
            self.links = [
                link for link in self.links if self.arn(name) not in (link.source, link.destination)
            ]
        for kept in (self.rows, self.held, self.tags, self.points):
            kept.pop(name, None)

    @rule(name=NAMES, status=STATUSES, modified=TIMES, due=DUES)
    def update(self, name: str, status: str, modified: float, due: float | None) -> None:
        found = self.store.update(
            self.kind, name, lambda row: replace(row, status=status, modified=modified, due=due)
        )
        if name not in self.rows:
            assert found is None
            return
        assert found is not None
        old = self.rows[name]
        assert found == replace(old, status=status, modified=modified, due=due, version=found.version)
        assert found.version > old.version
        self.rows[name] = found

    @rule(step=st.sampled_from([0.0, 1.0, 20.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(owner=OWNERS, lease_s=st.sampled_from([1.0, 15.0]), limit=st.integers(1, 3))
    def claim(self, owner: str, lease_s: float, limit: int) -> None:
        free = [
            row
            for row in self.rows.values()
            if (moment := self.ready(row)) is not None and moment <= self.now
        ]
        wanted = sorted(free, key=lambda row: (row.created, row.name))[:limit]
        leases = self.store.claim(self.kind, owner=owner, now=self.now, lease_s=lease_s, limit=limit)
        assert list(leases) == [Lease(row, owner, self.now + lease_s) for row in wanted]
        self.leases += leases
        for lease in leases:
            self.held[lease.resource.name] = (owner, lease.until)

    def ready(self, row: Resource) -> float | None:
        if row.due is None:
            return None
        return max(row.due, self.held.get(row.name, ("", row.due))[1])

    @rule(data=st.data(), due=DUES, keep_s=st.none() | st.sampled_from([0.0, 10.0]), count=st.integers(0, 2))
    def apply(self, data: Any, due: float | None, keep_s: float | None, count: int) -> None:
        if not self.leases:
            return
        lease = data.draw(st.sampled_from(self.leases))
        name = lease.resource.name
        points = [Point(f"{self.kind}/{name}", "loss", self.now, float(number)) for number in range(count)]
        keep_until = None if keep_s is None else self.now + keep_s
        found = self.store.apply(
            lease, lambda row: replace(row, due=due), points=points, keep_until=keep_until
        )
        if self.held.get(name, ("", 0.0))[0] != lease.owner:
            assert found is None
            return
        assert found == replace(self.rows[name], due=due, version=found.version if found else -1)
        self.rows[name] = found
        self.points[name] += points
        if keep_until is None:
            del self.held[name]
        else:
            self.held[name] = (lease.owner, keep_until)

    @rule(data=st.data())
    def release(self, data: Any) -> None:
        if not self.leases:
            return
        lease = data.draw(st.sampled_from(self.leases))
        self.store.release(lease)
        if self.held.get(lease.resource.name, ("", 0.0))[0] == lease.owner:
            del self.held[lease.resource.name]

    @rule(owner=OWNERS, lease_s=st.sampled_from([1.0, 15.0]))
    def renew(self, owner: str, lease_s: float) -> None:
        mine = [name for name, (holder, _) in self.held.items() if holder == owner]
        assert self.store.renew(self.kind, owner=owner, until=self.now + lease_s) == len(mine)
        for name in mine:
            self.held[name] = (owner, self.now + lease_s)

    @rule(owner=OWNERS)
    def surrender(self, owner: str) -> None:
        mine = [name for name, (holder, _) in self.held.items() if holder == owner]
        assert self.store.surrender(self.kind, owner=owner, now=self.now) == len(mine)
        for name in mine:
            del self.held[name]
            found = self.store.get(self.kind, name)
            assert found is not None
            self.rows[name] = replace(self.rows[name], due=self.now, version=found.version)

    @rule(name=NAMES, tags=TAGS, gone=st.sets(st.sampled_from(["k", "l"])))
    def retag(self, name: str, tags: dict[str, str], gone: set[str]) -> None:
        if name not in self.rows:
            return
        self.store.set_tags(self.arn(name), tags)
        self.store.remove_tags(self.arn(name), gone)
        for key, value in tags.items():
            self.tags[name][key] = value
        for key in gone:
            self.tags[name].pop(key, None)

    @rule(name=NAMES, values=VALUES, at=TIMES, once=st.booleans())
    def append(self, name: str, values: list[float], at: float, once: bool) -> None:
        if name not in self.rows:
            return
        points = [Point(f"{self.kind}/{name}", "loss", at, value) for value in values]
        self.store.append(points, once=once)
        for point in points:
            if not (once and point in self.points[name]):
                self.points[name].append(point)

    @rule(source=NAMES, destination=NAMES, kind=KINDS)
    def link(self, source: str, destination: str, kind: str) -> None:
        if source not in self.rows or destination not in self.rows:
            return
        link = Link(self.arn(source), self.arn(destination), f"{self.kind}-{kind}", self.now)
        ends = [(link.source, link.destination, link.kind) for link in self.links]
        fresh = (link.source, link.destination, link.kind) not in ends
        assert self.store.link(link) == fresh
        if fresh:
            self.links.append(link)

    @rule(source=NAMES, destination=NAMES, kind=st.none() | KINDS)
    def unlink(self, source: str, destination: str, kind: str | None) -> None:
        kept = [
            link
            for link in self.links
            if (link.source, link.destination) != (self.arn(source), self.arn(destination))
            or kind not in (None, link.kind.removeprefix(f"{self.kind}-"))
        ]
        wanted = None if kind is None else f"{self.kind}-{kind}"
        gone = self.store.unlink(self.arn(source), self.arn(destination), kind=wanted)
        assert gone == len(self.links) - len(kept)
        self.links = kept

    @rule(name=NAMES, kind=KINDS)
    def list_linked(self, name: str, kind: str) -> None:
        end = (f"{self.kind}-{kind}", self.arn(name))
        for where, wanted in (
            (
                Where(links_to=end),
                {link.source for link in self.links if (link.kind, link.destination) == end},
            ),
            (
                Where(linked_from=end),
                {link.destination for link in self.links if (link.kind, link.source) == end},
            ),
        ):
            assert {row.arn for row in self.store.list(self.kind, where)[0]} == wanted

    @rule(where=WHERES, page=PAGES)
    def list_all(self, where: Where, page: Page) -> None:
        found: list[Resource] = []
        token = None
        while True:
            some, token = self.store.list(self.kind, where, replace(page, after=token))
            found += some
            if token is None:
                break
            assert len(some) == page.limit
        wanted = [row for row in self.rows.values() if fits(row, where)]
        wanted.sort(key=lambda row: (getattr(row, page.sort), row.name), reverse=page.descending)
        assert found == wanted

    @invariant()
    def everything_is_there(self) -> None:
        moments = [moment for row in self.rows.values() if (moment := self.ready(row)) is not None]
        assert self.store.next_due(self.kind) == min(moments, default=None)
        for name in ("a", "b", "ab", "a-b", "B"):
            assert self.store.get(self.kind, name) == self.rows.get(name) == self.store.find(self.arn(name))
            assert list(self.store.tags(self.arn(name)).items()) == list(self.tags.get(name, {}).items())
            points = sorted(self.points.get(name, []), key=lambda point: point.at)
            assert list(self.store.points(f"{self.kind}/{name}", "loss")) == points
            self.summary_agrees(name, [point.value for point in points])
        for kind in "kl":
            wanted = [link for link in self.links if link.kind == f"{self.kind}-{kind}"]
            assert list(self.store.links(kind=f"{self.kind}-{kind}")) == wanted

    def summary_agrees(self, name: str, values: list[float]) -> None:
        found = self.store.summaries([f"{self.kind}/{name}"])
        assert len(found) == bool(values)
        for summary in found:
            assert (summary.count, summary.last) == (len(values), values[-1])
            assert (summary.minimum, summary.maximum) == (min(values), max(values))
            assert summary.mean == pytest.approx(statistics.fmean(values), rel=1e-9, abs=1e-9)
            assert summary.deviation == pytest.approx(statistics.pstdev(values), rel=1e-9, abs=1e-9)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    on_postgres = request.param == "postgresql"
    url = (
        request.getfixturevalue("postgres_database") if on_postgres else f"sqlite:///{tmp_path / 'clary.db'}"
    )
    opened = open_store(url)
    yield opened
    opened.close()


def test_like_a_dictionary(store: SqlStore) -> None:
    class Machine(StoreMachine):
        pass

    Machine.store = store
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=20 if store.engine.dialect.name == "sqlite" else 5,  # a second or two on either
            stateful_step_count=30,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
