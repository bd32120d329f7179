"""The records the store keeps, and the laws every store obeys.

A resource is one row: what was asked (`spec`, kept as it came) and what became of it (`status`, `state`).
The store is also the queue: a row whose `due` time has come is waiting for a controller, which claims it with a
lease, works outside the transaction, and applies the outcome only if it still holds the lease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """Times are seconds since the epoch. `due`: when a controller should next look at it, None for never."""

    kind: str
    name: str
    arn: str
    status: str
    spec: Document
    state: Document
    created: float
    modified: float
    due: float | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """The narrow columns of a resource: what is quick to read of many."""

    name: str
    arn: str
    status: str
    created: float
    modified: float


Change = Callable[[Resource], Resource]


@dataclass(frozen=True, slots=True)
class Heir:
    """The row that takes over the series of one that is removed, and how it changes with that."""

    kind: str
    name: str
    change: Change


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement. `series` names its owner, such as `training-job/<name>`; `at` is seconds since the epoch."""

    series: str
    metric: str
    at: float
    value: float
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What the points of one metric of one series come to. Points whose value is NaN are not counted.

    Infinite values are: as with numpy, the mean is infinite or NaN then, and the deviation NaN.
    `deviation` is that of the population (numpy's ddof=0). `last` is the latest by time, then by order of writing.
    """

    series: str
    metric: str
    count: int
    minimum: float
    maximum: float
    mean: float
    deviation: float
    last: float
    last_at: float
    last_step: int | None


@dataclass(frozen=True, slots=True)
class Link:
    """A directed relation of two ARNs. `source`, `destination` and `kind` together are unique; `facts` are a few."""

    source: str
    destination: str
    kind: str
    created: float
    facts: Document = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Where:
    """Which rows of a kind a list is about; every condition given must hold. Times are exclusive bounds.

    `links_to`: a link's kind and destination, for rows whose ARN is the source of such a link. Several kinds, joined by
    "/", are those of the links on a path: ("trial/experiment", ARN) is for components in a trial of that experiment.
    `linked_from`: a link's kind and source, for rows whose ARN is the destination of such a link.
    """

    name_contains: str | None = None
    name_prefix: str | None = None
    statuses: tuple[str, ...] = ()
    created_after: float | None = None
    created_before: float | None = None
    modified_after: float | None = None
    modified_before: float | None = None
    links_to: tuple[str, str] | None = None
    linked_from: tuple[str, str] | None = None


SortKey = Literal["name", "created", "modified", "status"]


@dataclass(frozen=True, slots=True)
class Page:
    """`after` is the opaque token of the row to continue behind; rows of equal sort key are ordered by name.

    `descending` is the exact reverse of that order, names too.
    """

    sort: SortKey = "created"
    descending: bool = False
    limit: int = 100
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act on a resource until `until` (seconds since the epoch)."""

    resource: Resource
    owner: str
    until: float


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key. `session_token` is None for the account's own; `scope` is an ARN it was made for."""

    access_key_id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    scope: str | None = None
    expires: float | None = None


class AlreadyExists(Exception):
    """A row of this kind and name exists; `resource` is that row."""

    def __init__(self, resource: Resource) -> None:
        super().__init__(f"{resource.kind} {resource.name}")
        self.resource = resource


class Store(Protocol):
    """Laws, each checked by `tests/contract/test_store.py`:

    - A method that returns has committed durably; one that raises has changed nothing.
    - `create` raises AlreadyExists when kind and name are taken, whoever races for them.
    - `update` and `apply` hand the current row to `change` and store what it returns with a new version; another
      writer in between makes them read and call `change` again, so `change` must be pure.
    - `claim` gives a due row to one owner only until its lease ends; `apply` under a lost lease changes nothing and
      gives None. `update` works without a lease at any time and does not break one.
    - Points and the change of one `apply` are stored together or not at all.
    - A summary agrees with the points at every moment: what writes or removes points brings it along.
    - All of it may be called from many threads, and from several processes on one database.
    """

    def create(
        self,
        resource: Resource,
        *,
        tags: Mapping[str, str] | None = None,
        beside: Sequence[Resource] = (),
        links: Sequence[Link] = (),
    ) -> Resource:
        """Store the resource with its tags, the rows `beside` it and the links, together or not at all.

        A row of `beside` whose name or ARN is taken is left as it is, and so is a link that is there.
        """
        ...

    def get(self, kind: str, name: str) -> Resource | None: ...
    def get_many(self, kind: str, names: Iterable[str]) -> Mapping[str, Resource]:
        """Those that there are, by name."""
        ...

    def find(self, arn: str) -> Resource | None: ...
    def list(self, kind: str, where: Where = ..., page: Page = ...) -> tuple[Sequence[Resource], str | None]:
        """One page, and the token of the next if there is one. Raises ValueError for a bad token, limit or sort."""
        ...

    def heads(self, kind: str, where: Where = ...) -> Sequence[Head]:
        """The heads of all rows that `list` would give, by name."""
        ...

    def count(self, kind: str, where: Where = ...) -> int:
        """How many rows `list` would give."""
        ...

    def update(self, kind: str, name: str, change: Change) -> Resource | None: ...
    def delete(self, kind: str, name: str, *, version: int | None = None, heir: Heir | None = None) -> bool:
        """Removes the row, its tags, its links and its series: `<kind>/<name>` and what is under it.

        With `heir` the links stay, the series `<kind>/<name>` itself passes to the heir's, except for metrics that this
        one has already, and the heir's row is changed; without a row of that name all is as without `heir`. False if
        there was no row, or none of the `version` given.
        """
        ...

    def link(self, link: Link) -> bool:
        """False, and nothing changed, if there was one with these ends and of this kind."""
        ...

    def unlink(self, source: str, destination: str, *, kind: str | None = None) -> int:
        """Removes the links of one kind, or of all. How many those were."""
        ...

    def links(
        self, *, source: str | None = None, destination: str | None = None, kind: str | None = None
    ) -> Sequence[Link]:
        """Those for which every condition given holds, by `created`. Raises ValueError when none is given."""
        ...

    def links_from(self, sources: Iterable[str], *, kind: str) -> Sequence[Link]:
        """Those of a kind that begin at any of many ARNs, by `created`."""
        ...

    def claim(
        self, kind: str, *, owner: str, now: float, lease_s: float, limit: int, name_prefix: str = ""
    ) -> Sequence[Lease]:
        """Up to `limit` rows whose `due` has come and that nobody holds, oldest `created` first.

        With `name_prefix` only rows whose name begins with it: a queue of its own within the kind.
        """
        ...

    def apply(
        self,
        lease: Lease,
        change: Change,
        *,
        points: Iterable[Point] = (),
        keep_until: float | None = None,
    ) -> Resource | None:
        """Store a change under the lease, which ends with it, or goes on until `keep_until` where that is given.

        Whether the lease is still held is read from the row (its owner), not from `lease.until`.
        """
        ...

    def release(self, lease: Lease) -> None: ...
    def renew(self, kind: str, *, owner: str, until: float) -> int:
        """All leases that `owner` holds now go on until `until`. How many those are."""
        ...

    def surrender(self, kind: str, *, owner: str, now: float) -> int:
        """All rows that `owner` holds become free and due: what an owner's successor calls first."""
        ...

    def held(self, kind: str, *, owner: str) -> Mapping[str, int]:
        """Name and version of each row that `owner` holds and that has a `due`: which of them did others change?"""
        ...

    def next_due(self, kind: str) -> float | None:
        """When `claim` will next find something: the earliest `due`, or end of its lease where that is later."""
        ...

    def set_tags(self, arn: str, tags: Mapping[str, str]) -> None: ...
    def remove_tags(self, arn: str, keys: Iterable[str]) -> None: ...
    def tags(self, arn: str) -> Mapping[str, str]:
        """In the order in which the keys were first set."""
        ...

    def tags_of(self, arns: Iterable[str]) -> Mapping[str, Mapping[str, str]]:
        """The same of many at once, by ARN; an ARN without tags is left out."""
        ...

    def append(self, points: Iterable[Point], *, once: bool = False) -> None:
        """`once`: leave out points that equal one before them, there or in this call: a repetition adds none.

        Points are equal when series, metric, `at`, `step` and value are.
        """
        ...

    def points(
        self,
        series: str,
        metric: str,
        *,
        start: float | None = None,
        end: float | None = None,
    ) -> Sequence[Point]:
        """start <= at < end, ordered by time, then by the order of writing."""
        ...

    def metrics(self, series: str) -> Sequence[str]:
        """Names of the metrics that have points, in order."""
        ...

    def summaries(self, series: Iterable[str], *, metrics: Iterable[str] | None = None) -> Sequence[Summary]:
        """Of the series and metrics given, all metrics for None, ordered by series and metric.

        There is none for a metric without a point that counts.
        """
        ...

    def summaries_under(self, prefix: str, *, metrics: Iterable[str] | None = None) -> Sequence[Summary]:
        """The same for all series whose name begins with `prefix`."""
        ...

    def put_credential(self, credential: Credential) -> None: ...
    def credential(self, access_key_id: str) -> Credential | None: ...
    def drop_credentials(self, scope: str) -> None: ...

    def put_once(self, key: str, value: Document) -> Document:
        """Store a document under a key unless it is there already; give back what is there now."""
        ...

    def close(self) -> None: ...
