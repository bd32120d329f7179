"""The laws of store/base.py, on each database."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from clary.store.base import (
    AlreadyExists,
    Credential,
    Heir,
    Link,
    Page,
    Point,
    Resource,
    SortKey,
    Summary,
    Where,
)
from clary.store.sql import EVERYTHING, FIRST_PAGE, SqlStore, open_store
from clary.store.transactions import reading

JOB = "training-job"
ODD_TEXTS = [
    "",
    "plain",
    "ünïcödé 模型 🎈",
    "quote ' \" ; --",
    "100%_[a]*?",
    "back\\slash \\u0000",
    "nul \x00",
    "half \ud83c",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_database")
    return f"sqlite:///{tmp_path / 'clary.db'}"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    opened = open_store(url)
    yield opened
    opened.close()


def make(name: str = "a", **given: Any) -> Resource:
    values: dict[str, Any] = {
        "kind": JOB,
        "arn": f"arn:aws:sagemaker:us-east-1:123456789012:{given.get('kind', JOB)}/{name}",
        "status": "InProgress",
        "spec": {"TrainingJobName": name},
        "state": {},
        "created": 100.0,
        "modified": 100.0,
    }
    return Resource(name=name, **{**values, **given})


def names(store: SqlStore, where: Where = EVERYTHING, page: Page = FIRST_PAGE, kind: str = JOB) -> list[str]:
    return [resource.name for resource in store.list(kind, where, page)[0]]


def walk(store: SqlStore, page: Page, where: Where = EVERYTHING) -> Iterator[list[str]]:
    """The names on each page, to the last."""
    while True:
        found, token = store.list(JOB, where, page)
        yield [resource.name for resource in found]
        if token is None:
            return
        page = replace(page, after=token)


class TestCreate:
    def test_gives_back_what_it_stored(self, store: SqlStore) -> None:
        asked = make(
            spec={"z": 1, "a": [None, True, 0.1, 2**60, "x"], "m": {}}, state={"é": "\ud800"}, due=3.5
        )
        assert store.create(asked) == asked
        assert store.get(JOB, "a") == asked
        assert store.find(asked.arn) == asked
        assert list(store.get(JOB, "a").spec) == ["z", "a", "m"]

    def test_times_are_exact(self, store: SqlStore) -> None:
        store.create(make(created=1763638996.123456, modified=0.1 + 0.2, due=1e-300))
        found = store.get(JOB, "a")
        assert (found.created, found.modified, found.due) == (1763638996.123456, 0.1 + 0.2, 1e-300)

    def test_a_name_is_taken_once_per_kind(self, store: SqlStore) -> None:
        first = store.create(make(spec={"first": True}))
        with pytest.raises(AlreadyExists) as raised:
            store.create(make(spec={"first": False}, arn="arn:other"), tags={"k": "v"})
        assert raised.value.resource == first
        assert store.tags("arn:other") == {}
        store.create(make(kind="model"))
        assert names(store) == names(store, kind="model") == ["a"]

    def test_an_arn_is_taken_once(self, store: SqlStore) -> None:
        first = store.create(make("a", arn="arn:x"))
        with pytest.raises(AlreadyExists) as raised:
            store.create(make("b", arn="arn:x"))
        assert raised.value.resource == first
        assert store.get(JOB, "b") is None

    def test_names_differ_by_case(self, store: SqlStore) -> None:
        store.create(make("Job"))
        store.create(make("job"))
        assert names(store, page=Page(sort="name")) == ["Job", "job"]

    def test_one_of_many_racers_wins(self, store: SqlStore) -> None:
        start = threading.Barrier(8)

        def race(number: int) -> int | None:
            start.wait()
            try:
                store.create(make(spec={"by": number}))
            except AlreadyExists as taken:
                assert taken.resource == store.get(JOB, "a")
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(race, range(8)) if number is not None]
        assert len(winners) == 1
        assert store.get(JOB, "a").spec == {"by": winners[0]}

    @pytest.mark.parametrize(
        "document", [{"a": math.nan}, {"a": [math.inf]}, {"a": object()}, {"a": b"bytes"}]
    )
    def test_what_json_cannot_say_is_refused(self, store: SqlStore, document: dict[str, Any]) -> None:
        for asked in (make(spec=document), make(state=document)):
            with pytest.raises((ValueError, TypeError)):
                store.create(asked, tags={"k": "v"})
        assert store.get(JOB, "a") is None
        assert store.tags(make().arn) == {}

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_any_text_comes_back(self, store: SqlStore, text: str) -> None:
        assert store.get(JOB, text) is None
        assert store.find(text) is None
        asked = make(text, arn=f"arn:{text}", kind=text, status=text, spec={text: text}, state={"s": text})
        store.create(asked, tags={text: text})
        assert store.get(text, text) == asked == store.find(f"arn:{text}")
        assert store.tags(asked.arn) == {text: text}
        assert names(store, Where(name_contains=text, statuses=(text,)), kind=text) == [text]


class TestCreateBeside:
    def test_stores_all_of_it(self, store: SqlStore) -> None:
        job, part = make("a"), make("a-part", kind="component", due=3.0)
        link = Link(part.arn, job.arn, "source", 1.0, {"by": "me"})
        assert store.create(job, tags={"k": "v"}, beside=[part], links=[link]) == job
        assert store.get("component", "a-part") == part
        assert list(store.links(kind="source")) == [link]
        assert store.tags(part.arn) == {}

    def test_leaves_what_is_there(self, store: SqlStore) -> None:
        part = make("p", kind="component", state={"n": 1})
        store.create(part, tags={"k": "v"})
        store.append([Point("component/p", "loss", 1.0, 2.0)])
        link = Link(part.arn, make("a").arn, "source", 1.0, {"n": 1})
        assert store.link(link)
        other = make("q", kind="component", arn=part.arn)
        store.create(
            make("a"),
            beside=[replace(part, state={"n": 2}), other],
            links=[replace(link, created=2.0, facts={"n": 2})],
        )
        assert store.get("component", "p") == part
        assert store.get("component", "q") is None
        assert store.tags(part.arn) == {"k": "v"}
        assert store.metrics("component/p") == ("loss",)
        assert list(store.links(kind="source")) == [link]

    def test_stores_nothing_when_the_name_is_taken(self, store: SqlStore) -> None:
        store.create(make("a"))
        with pytest.raises(AlreadyExists):
            store.create(
                make("a"), beside=[make("p", kind="component")], links=[Link("arn:a", "arn:b", "k", 1.0)]
            )
        assert store.get("component", "p") is None
        assert not store.links(kind="k")

    @pytest.mark.parametrize("wrong", ["row", "link"])
    def test_stores_nothing_when_a_part_of_it_cannot_be(self, store: SqlStore, wrong: str) -> None:
        bad = {"x": math.nan}
        row = make("p", kind="component", state=bad if wrong == "row" else {})
        link = Link("arn:a", "arn:b", "k", 1.0, bad if wrong == "link" else {})
        with pytest.raises(ValueError, match="JSON"):
            store.create(make("a"), tags={"k": "v"}, beside=[make("o"), row], links=[link])
        assert store.get(JOB, "a") is store.get(JOB, "o") is store.get("component", "p") is None
        assert not store.links(kind="k")
        assert store.tags(make("a").arn) == {}


class TestGetMany:
    def test_gives_those_that_there_are(self, store: SqlStore) -> None:
        rows = {name: store.create(make(name)) for name in ("a", "b", "half \ud83c")}
        store.create(make("c", kind="model"))
        assert store.get_many(JOB, iter(["a", "half \ud83c", "c", "none", "a"])) == {
            name: rows[name] for name in ("a", "half \ud83c")
        }
        assert store.get_many(JOB, []) == {}

    def test_takes_any_number_of_names(self, store: SqlStore) -> None:
        store.create(make("n7000"))
        assert list(store.get_many(JOB, [f"n{number}" for number in range(40_000)])) == ["n7000"]


class TestUpdate:
    def test_stores_what_change_returns(self, store: SqlStore) -> None:
        old = store.create(make())
        new = store.update(
            JOB, "a", lambda now: replace(now, status="Stopping", state={"n": 1}, modified=5.0, due=7.0)
        )
        assert new == replace(
            old, status="Stopping", state={"n": 1}, modified=5.0, due=7.0, version=new.version
        )
        assert new.version > old.version
        assert store.get(JOB, "a") == new
        assert store.next_due(JOB) == 7.0

    def test_of_what_is_not_there_is_none(self, store: SqlStore) -> None:
        assert store.update(JOB, "a", lambda now: now) is None

    def test_a_change_that_raises_changes_nothing(self, store: SqlStore) -> None:
        old = store.create(make())

        def refuse(now: Resource) -> Resource:
            raise KeyError("no")

        with pytest.raises(KeyError):
            store.update(JOB, "a", refuse)
        with pytest.raises(ValueError, match="JSON"):
            store.update(JOB, "a", lambda now: replace(now, state={"x": math.nan}))
        with pytest.raises(ValueError, match="keep kind, name and arn"):
            store.update(JOB, "a", lambda now: replace(now, name="b"))
        assert store.get(JOB, "a") == old

    def test_sees_another_writer_in_between(self, store: SqlStore) -> None:
        store.create(make(state={"by": []}))
        seen: list[Any] = []

        def change(now: Resource) -> Resource:
            seen.append(now.state["by"])
            if len(seen) == 1:
                store.update(
                    JOB, "a", lambda inner: replace(inner, state={"by": [*inner.state["by"], "other"]})
                )
            return replace(now, state={"by": [*now.state["by"], "me"]})

        assert store.update(JOB, "a", change).state == {"by": ["other", "me"]}
        assert seen == [[], ["other"]]

    def test_does_not_reach_a_later_row_of_the_same_name(self, store: SqlStore) -> None:
        store.create(make(spec={"n": 1}))
        seen: list[Any] = []

        def change(now: Resource) -> Resource:
            seen.append(now.spec["n"])
            if len(seen) == 1:
                store.delete(JOB, "a")
                store.create(make(spec={"n": 2}))
            return replace(now, status="Stopping")

        assert store.update(JOB, "a", change).spec == {"n": 2}
        assert seen == [1, 2]

    def test_no_increment_is_lost_between_threads(self, store: SqlStore) -> None:
        store.create(make(state={"n": 0}))
        times = 200 if store.engine.dialect.name == "sqlite" else 50
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: count(store, times), range(8)))
        assert store.get(JOB, "a").state == {"n": 8 * times}
        assert store.get(JOB, "a").version == 8 * times

    def test_no_increment_is_lost_between_processes(self, store: SqlStore, url: str) -> None:
        store.create(make(state={"n": 0}))
        others = [subprocess.Popen([sys.executable, "-c", COUNT_ELSEWHERE, url]) for _ in range(2)]
        count(store, 100)
        assert [other.wait(60) for other in others] == [0, 0]
        assert store.get(JOB, "a").state == {"n": 300}


def count(store: SqlStore, times: int) -> None:
    for _ in range(times):
        store.update(JOB, "a", lambda now: replace(now, state={"n": now.state["n"] + 1}))


COUNT_ELSEWHERE = """
import sys
from dataclasses import replace
from clary.store.sql import open_store

store = open_store(sys.argv[1])
for _ in range(100):
    store.update("training-job", "a", lambda now: replace(now, state={"n": now.state["n"] + 1}))
store.close()
"""


class TestDelete:
    def test_takes_tags_and_series_along(self, store: SqlStore) -> None:
        for name in ("a", "ab"):
            store.create(make(name), tags={"k": name})
            store.append(
                [Point(f"{JOB}/{name}", "loss", 1.0, 2.0), Point(f"{JOB}/{name}/algo-1", "cpu", 1.0, 2.0)]
            )
        assert store.delete(JOB, "a") is True
        assert store.get(JOB, "a") is None
        assert store.tags(make("a").arn) == {}
        assert store.metrics(f"{JOB}/a") == store.metrics(f"{JOB}/a/algo-1") == ()
        assert not store.points(f"{JOB}/a", "loss")
        assert store.tags(make("ab").arn) == {"k": "ab"}
        assert len(store.points(f"{JOB}/ab", "loss")) == len(store.points(f"{JOB}/ab/algo-1", "cpu")) == 1

    def test_of_what_is_not_there_is_false(self, store: SqlStore) -> None:
        store.create(make())
        assert store.delete(JOB, "b") is False
        assert store.delete("model", "a") is False
        assert names(store) == ["a"]

    def test_a_later_one_inherits_nothing(self, store: SqlStore) -> None:
        store.create(make())
        store.delete(JOB, "a")
        store.set_tags(make().arn, {"late": "writer"})
        store.append([Point(f"{JOB}/a", "loss", 1.0, 2.0)])
        store.create(make())
        assert store.tags(make().arn) == {}
        assert not store.metrics(f"{JOB}/a")

    def test_an_heir_keeps_the_series_and_the_links(self, store: SqlStore) -> None:
        store.create(make("p", kind="component", state={"series": f"{JOB}/a"}))
        store.create(make("a"), tags={"k": "v"})
        own = [Point(f"{JOB}/a", metric, at, at * 2) for metric in ("loss", "acc") for at in (1.0, 2.0)]
        store.append([*own, Point(f"{JOB}/a/algo-1", "cpu", 1.0, 2.0)])
        had = Point("component/p", "acc", 9.0, 7.0)
        store.append([had])
        link = Link("arn:p", make("a").arn, "source", 1.0)
        store.link(link)
        heir = Heir("component", "p", lambda row: replace(row, state={}))
        assert not store.delete(JOB, "a", version=77, heir=heir)
        assert store.metrics("component/p") == ("acc",)
        assert store.delete(JOB, "a", heir=heir)
        assert store.get("component", "p").state == {}  # type: ignore[union-attr]
        assert store.metrics("component/p") == ("acc", "loss")
        assert list(store.points("component/p", "acc")) == [had]
        assert [point.value for point in store.points("component/p", "loss")] == [2.0, 4.0]
        assert [(found.metric, found.count) for found in store.summaries(["component/p"])] == [
            ("acc", 1),
            ("loss", 2),
        ]
        assert store.metrics(f"{JOB}/a") == store.metrics(f"{JOB}/a/algo-1") == ()
        assert list(store.links(kind="source")) == [link]
        assert store.tags(make("a").arn) == {}
        store.create(make("a"))
        assert list(store.links(kind="source")) == [link]

    def test_an_heir_that_is_gone_takes_nothing(self, store: SqlStore) -> None:
        store.create(make("a"))
        store.append([Point(f"{JOB}/a", "loss", 1.0, 2.0)])
        store.link(Link("arn:p", make("a").arn, "source", 1.0))
        assert store.delete(JOB, "a", heir=Heir("component", "p", lambda row: row))
        assert store.metrics("component/p") == ()
        assert store.links(kind="source") == ()

    def test_takes_links_along(self, store: SqlStore) -> None:
        arn = store.create(make("a")).arn
        for source, destination in [(arn, "arn:b"), ("arn:b", arn), ("arn:b", "arn:c"), (arn, arn)]:
            store.link(Link(source, destination, "k", 1.0))
        assert not store.delete(JOB, "a", version=77)
        assert len(store.links(kind="k")) == 4
        assert store.delete(JOB, "a")
        assert [(link.source, link.destination) for link in store.links(kind="k")] == [("arn:b", "arn:c")]


class TestList:
    @pytest.fixture
    def ten(self, store: SqlStore) -> SqlStore:
        """j0 ... j9: created in pairs, modified backwards, status A B A B ..."""
        for number in range(10):
            store.create(
                make(
                    f"j{number}",
                    created=100.0 + number // 2,
                    modified=200.0 - number,
                    status="AB"[number % 2],
                )
            )
        store.create(make("j5", kind="model"))
        return store

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            ("name", "0123456789"),
            ("created", "0123456789"),
            ("modified", "9876543210"),
            ("status", "0246813579"),
        ],
    )
    @pytest.mark.parametrize("limit", [1, 3, 5, 10, 11])
    def test_pages_through_in_order(self, ten: SqlStore, sort: SortKey, order: str, limit: int) -> None:
        wanted = [f"j{number}" for number in order]
        for descending in (False, True):
            pages = list(walk(ten, Page(sort=sort, descending=descending, limit=limit)))
            assert list(chain(*pages)) == (wanted[::-1] if descending else wanted)
            assert len(pages) == -(-10 // limit)

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            (Where(), "0123456789"),
            (Where(name_contains="5"), "5"),
            (Where(name_contains="J"), ""),
            (Where(name_prefix="j"), "0123456789"),
            (Where(name_prefix="5"), ""),
            (Where(name_prefix="j7"), "7"),
            (Where(statuses=("A",)), "02468"),
            (Where(statuses=("A", "B")), "0123456789"),
            (Where(statuses=("C",)), ""),
            (Where(created_after=102.0), "6789"),
            (Where(created_before=102.0), "0123"),
            (Where(created_after=101.0, created_before=103.0), "45"),
            (Where(modified_after=197.0), "012"),
            (Where(modified_before=193.0), "89"),
            (Where(name_contains="j", statuses=("B",), created_after=101.0, modified_before=195.0), "79"),
        ],
    )
    def test_every_condition_must_hold(self, ten: SqlStore, where: Where, found: str) -> None:
        assert names(ten, where) == [f"j{number}" for number in found]
        assert list(chain(*walk(ten, Page(limit=2), where))) == [f"j{number}" for number in found]

    @pytest.mark.parametrize("part", ["%", "_", "[", "*", "?", "\\", "'", "a%b"])
    def test_no_character_of_a_name_is_special(self, store: SqlStore, part: str) -> None:
        store.create(make("xa-b.c"))
        store.create(make(f"x{part}y"))
        assert names(store, Where(name_contains=part)) == [f"x{part}y"]
        assert names(store, Where(name_prefix=f"x{part}")) == [f"x{part}y"]

    def test_goes_on_where_it_was_while_rows_come_and_go(self, ten: SqlStore) -> None:
        first, token = ten.list(JOB, Where(), Page(limit=4))
        assert [resource.name for resource in first] == ["j0", "j1", "j2", "j3"]
        ten.delete(JOB, "j0")
        ten.delete(JOB, "j3")
        ten.delete(JOB, "j4")
        ten.create(make("early", created=1.0))
        ten.create(make("late", created=999.0))
        assert names(ten, page=Page(after=token)) == ["j5", "j6", "j7", "j8", "j9", "late"]

    def test_by_links(self, ten: SqlStore) -> None:
        arns = [make(f"j{number}").arn for number in range(10)]
        for number in (1, 4, 8):
            ten.link(Link(arns[number], "arn:trial", "trial", 1.0))
        ten.link(Link(arns[2], "arn:trial", "other", 1.0))
        ten.link(Link(arns[3], "arn:else", "trial", 1.0))
        ten.link(Link(arns[4], "arn:else", "trial", 1.0))
        to_trial = Where(links_to=("trial", "arn:trial"))
        assert names(ten, to_trial) == ["j1", "j4", "j8"]
        assert list(chain(*walk(ten, Page(limit=2, descending=True), to_trial))) == ["j8", "j4", "j1"]
        assert names(ten, replace(to_trial, statuses=("A",))) == ["j4", "j8"]
        assert names(ten, to_trial, kind="model") == []
        assert names(ten, Where(linked_from=("trial", "arn:trial"))) == []
        for number in (5, 6):
            ten.link(Link("arn:trial", arns[number], "made", 1.0))
        ten.link(Link(arns[6], "arn:trial", "trial", 1.0))
        from_trial = Where(linked_from=("made", "arn:trial"))
        assert names(ten, from_trial) == ["j5", "j6"]
        assert names(ten, replace(from_trial, links_to=("trial", "arn:trial"))) == ["j6"]

    def test_follows_a_path_of_links(self, ten: SqlStore) -> None:
        arns = {row.name: row.arn for row in ten.list(JOB)[0]}
        links = [
            *(Link(arns[job], f"arn:t{job[1]}", "trial", 1.0) for job in ("j1", "j2", "j3", "j4")),
            Link(arns["j1"], "arn:t2", "trial", 1.0),
            Link("arn:t1", "arn:e", "experiment", 1.0),
            Link("arn:t2", "arn:e", "experiment", 1.0),
            Link("arn:t3", "arn:e", "other", 1.0),
            Link("arn:t4", "arn:e2", "experiment", 1.0),
            Link(arns["j5"], "arn:e", "experiment", 1.0),
            Link(arns["j6"], "arn:e", "trial", 1.0),
        ]
        for link in links:
            ten.link(link)
        assert names(ten, Where(links_to=("trial/experiment", "arn:e"))) == ["j1", "j2"]
        assert names(ten, Where(links_to=("trial/experiment", "arn:e2"))) == ["j4"]
        assert names(ten, Where(links_to=("trial/other/experiment", "arn:e"))) == []

    def test_is_of_one_kind(self, ten: SqlStore) -> None:
        assert names(ten, kind="model") == ["j5"]
        assert ten.list("nothing") == ([], None)

    def test_a_token_is_for_one_list(self, ten: SqlStore) -> None:
        token = ten.list(JOB, page=Page(limit=2))[1]
        for kind, page in [
            (JOB, Page(after=token, descending=True)),
            (JOB, Page(after=token, sort="modified")),
            ("model", Page(after=token)),
        ]:
            with pytest.raises(ValueError, match="token"):
                ten.list(kind, page=page)

    @pytest.mark.parametrize(
        "token", ["", "x", "é", "\x00", "\ud800", "====", "bnVsbA", "A" * 5000, "[]", "W10="]
    )
    def test_a_bad_token_is_refused(self, ten: SqlStore, token: str) -> None:
        with pytest.raises(ValueError, match="token"):
            ten.list(JOB, page=Page(after=token))

    def test_an_altered_token_is_refused(self, ten: SqlStore) -> None:
        token = ten.list(JOB, page=Page(limit=2))[1]
        for place in range(len(token)):
            altered = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
            with pytest.raises(ValueError, match="token"):
                ten.list(JOB, page=Page(after=altered))

    @pytest.mark.parametrize("page", [Page(limit=0), Page(limit=-1), Page(sort="spec")])
    def test_a_page_must_make_sense(self, store: SqlStore, page: Page) -> None:
        with pytest.raises(ValueError, match="give"):
            store.list(JOB, page=page)


class TestQueue:
    def claim(
        self, store: SqlStore, now: float, owner: str = "me", limit: int = 10, lease_s: float = 30.0
    ) -> Any:
        return store.claim(JOB, owner=owner, now=now, lease_s=lease_s, limit=limit)

    def test_gives_what_is_due_oldest_first(self, store: SqlStore) -> None:
        for name, created, due in [
            ("c", 3.0, 9.0),
            ("z", 1.0, 10.0),
            ("b", 2.0, 10.1),
            ("d", 0.0, None),
            ("e", 3.0, 1.0),
        ]:
            store.create(make(name, created=created, due=due))
        store.create(make("x", kind="model", due=0.0))
        assert not self.claim(store, 0.9)
        leases = self.claim(store, 10.0, limit=2)
        assert [lease.resource for lease in leases] == [store.get(JOB, "z"), store.get(JOB, "c")]
        assert {(lease.owner, lease.until) for lease in leases} == {("me", 40.0)}
        assert [lease.resource.name for lease in self.claim(store, 10.0)] == ["e"]

    def test_a_prefix_of_names_is_a_queue_of_its_own(self, store: SqlStore) -> None:
        for name, created in [("a.2", 2.0), ("a.1", 3.0), ("ab.1", 0.0), ("a.0", 4.0), ("A.1", 1.0)]:
            store.create(make(name, created=created, due=0.0))
        claim = partial(store.claim, JOB, owner="me", now=10.0, lease_s=30.0)
        assert not claim(limit=9, name_prefix="b.")
        assert [lease.resource.name for lease in claim(limit=2, name_prefix="a.")] == ["a.2", "a.1"]
        assert [lease.resource.name for lease in claim(limit=9, name_prefix="a.")] == ["a.0"]
        assert [lease.resource.name for lease in claim(limit=9)] == ["ab.1", "A.1"]

    def test_counts_what_a_list_would_give(self, store: SqlStore) -> None:
        for name in ("a.1", "a.2", "ab.1"):
            store.create(make(name))
        store.create(make("a.3", kind="model"))
        assert store.count(JOB) == 3
        assert store.count(JOB, Where(name_prefix="a.")) == 2
        assert store.count(JOB, Where(name_prefix="b.")) == 0

    def test_gives_a_row_once_until_its_lease_ends(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (first,) = self.claim(store, 100.0, lease_s=30.0)
        assert not self.claim(store, 129.9, owner="you")
        assert not self.claim(store, 129.9, owner="me")
        (second,) = self.claim(store, 130.0, owner="you")
        assert store.apply(first, lambda now: replace(now, status="Failed")) is None
        assert store.get(JOB, "a").status == "InProgress"
        assert store.apply(second, lambda now: replace(now, status="Completed")).status == "Completed"

    def test_apply_ends_the_lease(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        applied = store.apply(lease, lambda now: replace(now, due=101.0))
        assert applied == store.get(JOB, "a")
        assert applied.version > lease.resource.version
        assert store.next_due(JOB) == 101.0
        assert not self.claim(store, 100.5)
        assert store.apply(lease, lambda now: replace(now, status="Failed")) is None
        assert self.claim(store, 101.0, owner="you")
        assert store.apply(lease, lambda now: replace(now, status="Failed")) is None

    def test_apply_may_leave_the_row_due(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        store.apply(lease, lambda now: now)
        assert self.claim(store, 100.0, owner="you")

    def test_apply_to_a_row_that_is_gone_changes_nothing(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        store.delete(JOB, "a")
        points = [Point(f"{JOB}/a", "loss", 1.0, 2.0)]
        assert store.apply(lease, lambda now: now, points=points) is None
        store.create(make(due=0.0))
        assert store.apply(lease, lambda now: replace(now, status="Failed"), points=points) is None
        assert store.get(JOB, "a").status == "InProgress"
        assert not store.metrics(f"{JOB}/a")

    def test_apply_may_keep_the_lease(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        for until in (150.0, 0.0, 200.0):
            assert store.apply(lease, lambda now: replace(now, due=120.0), keep_until=until) is not None
        assert store.next_due(JOB) == 200.0
        assert not self.claim(store, 199.9, owner="you")
        assert store.apply(lease, lambda now: replace(now, due=None), keep_until=300.0).due is None
        assert store.next_due(JOB) is None
        assert store.apply(lease, lambda now: replace(now, due=500.0), keep_until=300.0) is not None
        assert store.next_due(JOB) == 500.0
        assert self.claim(store, 500.0, owner="you")
        assert store.apply(lease, lambda now: now) is None

    def test_renew_moves_the_end_of_all_leases_of_an_owner(self, store: SqlStore) -> None:
        for name, owner in [("a", "me"), ("b", "me"), ("c", "you")]:
            store.create(make(name, due=0.0))
            self.claim(store, 100.0, owner=owner)
        store.create(make("d", due=0.0))
        (sleeping,) = self.claim(store, 100.0, owner="me")
        store.apply(sleeping, lambda now: replace(now, due=None), keep_until=130.0)
        store.create(make("e", kind="model", due=0.0))
        store.claim("model", owner="me", now=100.0, lease_s=30.0, limit=1)
        assert store.renew(JOB, owner="me", until=160.0) == 3
        assert [lease.resource.name for lease in self.claim(store, 130.0, owner="they", lease_s=99.0)] == [
            "c"
        ]
        assert store.next_due("model") == 130.0
        assert [lease.resource.name for lease in self.claim(store, 160.0, owner="they")] == ["a", "b"]
        assert store.renew(JOB, owner="nobody", until=999.0) == 0

    def test_renew_leaves_a_later_due_alone(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        store.apply(lease, lambda now: replace(now, due=500.0), keep_until=130.0)
        assert store.renew(JOB, owner="me", until=160.0) == 1
        assert store.next_due(JOB) == 500.0
        assert not self.claim(store, 160.0, owner="you")
        assert self.claim(store, 500.0, owner="you")

    def test_surrender_frees_all_rows_of_an_owner(self, store: SqlStore) -> None:
        for name, owner in [("a", "me"), ("b", "me"), ("c", "you")]:
            store.create(make(name, due=0.0))
            self.claim(store, 100.0, owner=owner)
        (lease,) = self.claim(store, 1.0, owner="me") or [None]
        assert lease is None
        assert store.surrender(JOB, owner="me", now=110.0) == 2
        assert store.surrender(JOB, owner="me", now=110.0) == 0
        assert store.next_due(JOB) == 110.0
        assert store.get(JOB, "a").due == 110.0
        assert [lease.resource.name for lease in self.claim(store, 110.0, owner="they")] == ["a", "b"]

    def test_held_tells_the_versions_of_what_an_owner_holds(self, store: SqlStore) -> None:
        for name, owner in [("a", "me"), ("b", "me"), ("c", "you")]:
            store.create(make(name, due=0.0))
            self.claim(store, 100.0, owner=owner)
        store.create(make("d", due=0.0))
        store.update(JOB, "b", lambda now: replace(now, status="Stopping"))
        versions = {name: store.get(JOB, name).version for name in "ab"}
        assert store.held(JOB, owner="me") == versions
        assert versions["b"] > versions["a"]
        assert store.held("model", owner="me") == {}
        store.delete(JOB, "a")
        assert list(store.held(JOB, owner="me")) == ["b"]

    def test_a_row_is_deleted_only_in_the_version_that_is_meant(self, store: SqlStore) -> None:
        old = store.create(make(due=0.0))
        store.update(JOB, old.name, lambda now: replace(now, status="Stopping"))
        assert not store.delete(JOB, old.name, version=old.version)
        assert store.delete(JOB, old.name, version=store.get(JOB, old.name).version)
        assert store.get(JOB, old.name) is None

    def test_surrender_is_a_change_that_update_sees(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        self.claim(store, 100.0)
        seen: list[float | None] = []

        def change(now: Resource) -> Resource:
            seen.append(now.due)
            if len(seen) == 1:
                store.surrender(JOB, owner="me", now=110.0)
            return replace(now, status="Stopping")

        assert store.update(JOB, "a", change).due == 110.0
        assert seen == [0.0, 110.0]

    def test_release_gives_the_row_back(self, store: SqlStore) -> None:
        store.create(make(due=50.0))
        (lease,) = self.claim(store, 100.0)
        store.release(lease)
        assert store.get(JOB, "a") == lease.resource
        assert store.next_due(JOB) == 50.0
        (again,) = self.claim(store, 100.5, owner="you")
        store.release(lease)
        assert not self.claim(store, 101.0)
        assert store.apply(again, lambda now: now) is not None

    def test_update_does_not_break_a_lease(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        store.update(JOB, "a", lambda now: replace(now, status="Stopping", due=100.0))
        assert not self.claim(store, 129.0, owner="you")
        applied = store.apply(lease, lambda now: replace(now, state={"seen": now.status}, due=None))
        assert (applied.status, applied.state) == ("Stopping", {"seen": "Stopping"})
        assert not self.claim(store, 1e6)

    def test_update_can_wake_a_row_and_put_it_to_sleep(self, store: SqlStore) -> None:
        store.create(make())
        assert not self.claim(store, 1e6)
        store.update(JOB, "a", lambda now: replace(now, due=5.0))
        assert store.next_due(JOB) == 5.0
        store.update(JOB, "a", lambda now: replace(now, due=None))
        assert store.next_due(JOB) is None
        assert not self.claim(store, 1e6)

    def test_apply_sees_another_writer_in_between(self, store: SqlStore) -> None:
        store.create(make(due=0.0, state={"by": []}))
        (lease,) = self.claim(store, 100.0)
        seen: list[Any] = []

        def change(now: Resource) -> Resource:
            seen.append(now.state["by"])
            if len(seen) == 1:
                store.update(JOB, "a", lambda inner: replace(inner, state={"by": ["other"]}))
            return replace(now, state={"by": [*now.state["by"], "me"]}, due=None)

        points = (Point(f"{JOB}/a", "loss", at, 2.0) for at in (1.0, 2.0))
        assert store.apply(lease, change, points=points).state == {"by": ["other", "me"]}
        assert seen == [[], ["other"]]
        assert [point.at for point in store.points(f"{JOB}/a", "loss")] == [1.0, 2.0]

    def test_apply_that_loses_its_lease_midway_changes_nothing(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)

        def change(now: Resource) -> Resource:
            self.claim(store, 200.0, owner="you")
            return replace(now, status="Failed")

        assert store.apply(lease, change, points=[Point(f"{JOB}/a", "loss", 1.0, 2.0)]) is None
        assert store.get(JOB, "a").status == "InProgress"
        assert not store.metrics(f"{JOB}/a")

    def test_points_and_change_are_stored_together_or_not_at_all(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        (lease,) = self.claim(store, 100.0)
        good = Point(f"{JOB}/a", "loss", 1.0, 2.0, 3)

        def refuse(now: Resource) -> Resource:
            raise KeyError("no")

        with pytest.raises(KeyError):
            store.apply(lease, refuse, points=[good])
        with pytest.raises(ValueError, match="JSON"):
            store.apply(lease, lambda now: replace(now, state={"x": math.nan}), points=[good])
        with pytest.raises(ValueError, match="`at` is nan"):
            store.apply(
                lease, lambda now: replace(now, status="Failed"), points=[good, replace(good, at=math.nan)]
            )
        with pytest.raises((TypeError, ValueError)):
            store.apply(
                lease, lambda now: replace(now, status="Failed"), points=[good, replace(good, value="x")]
            )
        assert not store.metrics(f"{JOB}/a")
        assert store.get(JOB, "a") == lease.resource
        assert (
            store.apply(lease, lambda now: replace(now, status="Completed"), points=[good]).status
            == "Completed"
        )
        assert list(store.points(f"{JOB}/a", "loss")) == [good]

    def test_next_due_is_the_earliest_moment_to_claim(self, store: SqlStore) -> None:
        assert store.next_due(JOB) is None
        store.create(make("a", due=None))
        store.create(make("b", due=20.0))
        store.create(make("c", due=10.0))
        assert store.next_due(JOB) == 10.0
        self.claim(store, 15.0, lease_s=2.0)
        assert store.next_due(JOB) == 17.0
        self.claim(store, 17.0, lease_s=100.0)
        assert store.next_due(JOB) == 20.0
        assert store.next_due("model") is None

    def test_rivals_never_share_a_row(self, store: SqlStore) -> None:
        for number in range(60):
            store.create(make(f"j{number:02}", created=float(number), due=0.0))

        def work(owner: str) -> list[str]:
            mine: list[str] = []
            while leases := store.claim(JOB, owner=owner, now=100.0, lease_s=30.0, limit=3):
                mine += [lease.resource.name for lease in leases]
            return mine

        with ThreadPoolExecutor(6) as pool:
            got = list(chain(*pool.map(work, "abcdef")))
        # a claim may come back empty while rivals hold the rest in hand, so what is left is claimed here
        got += work("last")
        assert sorted(got) == [f"j{number:02}" for number in range(60)]


class TestLinksFrom:
    def test_many_arns_in_order_of_making(self, store: SqlStore) -> None:
        for number in range(1100):
            store.link(Link(f"arn:{number:04}", "arn:x", "in", 2000.0 - number))
        store.link(Link("arn:0001", "arn:y", "out", 1.0))
        found = store.links_from((f"arn:{number:04}" for number in range(0, 1100, 2)), kind="in")
        assert [link.source for link in found] == [f"arn:{number:04}" for number in range(1098, -1, -2)]
        assert store.links_from([], kind="in") == ()


class TestHeads:
    def test_are_those_of_the_list_by_name(self, store: SqlStore) -> None:
        for name, created in (("b", 1.0), ("a", 2.0), ("c", 3.0)):
            store.create(make(name, created=created))
        store.create(make("a", kind="other"))
        store.link(Link(make("b").arn, "arn:x", "in", 1.0))
        heads = store.heads(make().kind)
        assert [(head.name, head.arn, head.status, head.created, head.modified) for head in heads] == [
            (row.name, row.arn, row.status, row.created, row.modified)
            for row in (store.get(make().kind, name) for name in "abc")
            if row
        ]
        assert [head.name for head in store.heads(make().kind, Where(created_after=1.0))] == ["a", "c"]
        assert [head.name for head in store.heads(make().kind, Where(links_to=("in", "arn:x")))] == ["b"]


class TestTags:
    def test_keep_the_order_of_first_setting(self, store: SqlStore) -> None:
        arn = store.create(make(), tags={"z": "1", "a": "2"}).arn
        store.set_tags(arn, {"m": "3", "z": "4"})
        assert list(store.tags(arn).items()) == [("z", "4"), ("a", "2"), ("m", "3")]
        store.remove_tags(arn, ["z", "none"])
        store.set_tags(arn, {"z": "5"})
        assert list(store.tags(arn).items()) == [("a", "2"), ("m", "3"), ("z", "5")]

    def test_belong_to_one_arn(self, store: SqlStore) -> None:
        store.set_tags("arn:a", {"k": "a"})
        store.set_tags("arn:b", {"k": "b"})
        store.remove_tags("arn:a", iter(["k"]))
        assert (store.tags("arn:a"), store.tags("arn:b"), store.tags("arn:c")) == ({}, {"k": "b"}, {})

    def test_of_many_arns_at_once(self, store: SqlStore) -> None:
        for number in range(1200):
            store.set_tags(f"arn:{number}", {"z": str(number), "a": "b"})
        found = store.tags_of([*(f"arn:{number}" for number in range(0, 1200, 2)), "arn:none"])
        assert len(found) == 600
        assert list(found["arn:1100"].items()) == [("z", "1100"), ("a", "b")]
        assert store.tags_of([]) == {}

    def test_nothing_is_a_fine_number_of_them(self, store: SqlStore) -> None:
        store.set_tags("arn:a", {})
        store.remove_tags("arn:a", [])
        assert store.tags("arn:a") == {}


class TestSeries:
    def test_are_ordered_by_time_then_by_writing(self, store: SqlStore) -> None:
        store.append([Point("s", "m", at, value) for at, value in [(2.0, 1.0), (1.0, 2.0), (2.0, 3.0)]])
        store.append([Point("s", "m", 1.0, 4.0), Point("s", "m", 3.0, 5.0)])
        assert [point.value for point in store.points("s", "m")] == [2.0, 4.0, 1.0, 3.0, 5.0]

    def test_come_back_as_they_were(self, store: SqlStore) -> None:
        written = [
            Point("s", "m", 1763638996.123456, value)
            for value in (0.1, -0.0, 5e-324, 1.7e308, math.inf, -math.inf)
        ]
        written.append(Point("s", "m", 1763638997.0, 1.0, 2**40))
        store.append(written)
        assert list(store.points("s", "m")) == written

    def test_a_value_may_be_not_a_number(self, store: SqlStore) -> None:
        store.append([Point("s", "m", 1.0, math.nan, 7)])
        (found,) = store.points("s", "m")
        assert math.isnan(found.value)
        assert (found.at, found.step) == (1.0, 7)

    def test_a_time_must_be_a_number(self, store: SqlStore) -> None:
        for at in (math.nan, math.inf):
            with pytest.raises(ValueError, match="`at`"):
                store.append([Point("s", "m", 1.0, 1.0), Point("s", "m", at, 1.0)])
        assert not store.metrics("s")

    def test_start_counts_and_end_does_not(self, store: SqlStore) -> None:
        store.append(Point("s", "m", float(at), float(at)) for at in range(5))
        assert [point.at for point in store.points("s", "m", start=1.0, end=3.0)] == [1.0, 2.0]
        assert [point.at for point in store.points("s", "m", start=3.0)] == [3.0, 4.0]
        assert [point.at for point in store.points("s", "m", end=1.0)] == [0.0]

    def test_are_apart_from_each_other(self, store: SqlStore) -> None:
        store.append([Point("s", "z", 1.0, 1.0), Point("s", "a", 1.0, 2.0), Point("t", "z", 1.0, 3.0)])
        assert [list(store.metrics(name)) for name in ("s", "t", "u")] == [["a", "z"], ["z"], []]
        assert [point.value for point in store.points("s", "z")] == [1.0]
        assert not store.points("t", "a")
        store.append([])

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_any_name_will_do(self, store: SqlStore, text: str) -> None:
        store.append([Point(text, text, 1.0, 1.0)])
        assert list(store.metrics(text)) == [text]
        assert list(store.points(text, text)) == [Point(text, text, 1.0, 1.0)]

    def test_many_writers_lose_nothing(self, store: SqlStore) -> None:
        def write(number: int) -> None:
            for at in range(20):
                store.append(
                    [Point("s", f"m{(number + step) % 5}", float(at), float(number)) for step in range(5)]
                )

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        assert sorted(store.metrics("s")) == [f"m{number}" for number in range(5)]
        assert [len(store.points("s", metric)) for metric in store.metrics("s")] == [120] * 5

    def test_many_metrics_in_one_write(self, store: SqlStore) -> None:
        store.append([Point("s", f"m{number}", 1.0, float(number)) for number in range(1000)])
        assert len(store.metrics("s")) == 1000
        assert store.points("s", "m999")[0].value == 999.0

    def test_may_be_removed_while_they_are_written(self, store: SqlStore) -> None:
        store.create(make())
        stop = threading.Event()

        def remove() -> None:
            while not stop.is_set():
                store.delete(JOB, "a")

        remover = threading.Thread(target=remove)
        remover.start()
        try:
            for at in range(100):
                store.append([Point(f"{JOB}/a", "loss", float(at), 1.0)])
                if store.get(JOB, "a") is None:
                    store.create(make())
        finally:
            stop.set()
            remover.join()


class TestOnce:
    BATCH = [Point("s", "m", 1.0, 2.0, step) for step in (0, 1, None)]

    def values(self, store: SqlStore, metric: str = "m") -> list[float]:
        return [point.value for point in store.points("s", metric)]

    def test_what_is_written_again_adds_nothing(self, store: SqlStore) -> None:
        batch = [*self.BATCH, Point("s", "n", 3.0, math.nan), Point("s", "n", 3.0, math.inf, 2**40)]
        for _ in range(3):
            store.append(batch, once=True)
        assert list(store.points("s", "m")) == self.BATCH
        assert len(store.points("s", "n")) == 2
        assert [(found.metric, found.count) for found in store.summaries(["s"])] == [("m", 3), ("n", 1)]

    @pytest.mark.parametrize(
        "other", [{"at": 1.5}, {"step": 7}, {"step": None}, {"value": 3.0}, {"metric": "n"}, {"series": "t"}]
    )
    def test_what_differs_is_another_point(self, store: SqlStore, other: dict[str, Any]) -> None:
        first = Point("s", "m", 1.0, 2.0, 0)
        second = replace(first, **other)
        store.append([first])
        store.append([second, first], once=True)
        assert second in store.points(second.series, second.metric)
        assert sum(found.count for found in store.summaries(["s", "t"])) == 2

    def test_equal_points_of_one_call_are_one(self, store: SqlStore) -> None:
        store.append([self.BATCH[0], self.BATCH[1], self.BATCH[0]], once=True)
        assert list(store.points("s", "m")) == self.BATCH[:2]

    def test_without_it_every_point_counts(self, store: SqlStore) -> None:
        store.append([self.BATCH[0]] * 2)
        store.append([self.BATCH[0]])
        assert store.summaries(["s"])[0].count == len(store.points("s", "m")) == 3

    def test_many_points_in_one_call(self, store: SqlStore) -> None:
        many = [Point("s", f"m{number % 3}", float(number), 1.0) for number in range(3000)]
        store.append(many[:2000])
        store.append(many, once=True)
        assert [found.count for found in store.summaries(["s"])] == [1000] * 3

    def test_rivals_who_write_the_same(self, store: SqlStore) -> None:
        start = threading.Barrier(6)

        def write(_: int) -> None:
            start.wait()
            for first in range(0, 100, 10):
                store.append([Point("s", "m", float(at), 1.0) for at in range(first, first + 10)], once=True)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        assert len(store.points("s", "m")) == store.summaries(["s"])[0].count == 100


def summary_of(points: list[Point]) -> Summary:
    """What numpy makes of the points of one metric, given in the order of writing."""
    counted = [point for point in points if not math.isnan(point.value)]
    values = np.array([point.value for point in counted])
    last = max(counted, key=lambda point: point.at)
    last = [point for point in counted if point.at == last.at][-1]
    with np.errstate(invalid="ignore"):
        mean, deviation = float(np.mean(values)), float(np.std(values))
    return Summary(
        points[0].series,
        points[0].metric,
        len(counted),
        float(values.min()),
        float(values.max()),
        mean,
        deviation,
        last.value,
        last.at,
        last.step,
    )


def agree(found: Summary, wanted: Summary) -> None:
    exact = {"mean": 0.0, "deviation": 0.0}
    assert replace(found, **exact) == replace(wanted, **exact)
    assert found.mean == pytest.approx(wanted.mean, rel=1e-9, abs=1e-300, nan_ok=True)
    assert found.deviation == pytest.approx(wanted.deviation, rel=1e-9, abs=1e-12, nan_ok=True)


class TestSummaries:
    @pytest.mark.parametrize(
        "values",
        [
            [0.1],
            [1.0, 2.0, 4.0],
            [5.0] * 7,
            [0.0, -0.0, 5e-324],
            [math.nan, 1.0, math.nan, 3.0],
            [1.0, math.inf],
            [math.inf, 1.0, 2.0],
            [-math.inf, 1.0, math.inf],
            [1e150, -1e150],
            [0.0, 1e9, 1e9 + 1],
        ],
    )
    def test_are_those_of_numpy(self, store: SqlStore, values: list[float]) -> None:
        for at_once in (1, 2, 100):
            points = [
                Point("s", f"by {at_once}", float(at), value, at * 3) for at, value in enumerate(values)
            ]
            for first in range(0, len(points), at_once):
                store.append(points[first : first + at_once])
            (found,) = store.summaries(["s"], metrics=[f"by {at_once}"])
            agree(found, summary_of(points))

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
    def test_large_values_close_together_lose_nothing(self, store: SqlStore, scale: float) -> None:
        values = 1e9 + scale * np.random.default_rng(1).normal(size=5000)
        points = [Point("s", "m", float(at), float(value)) for at, value in enumerate(values)]
        for first in range(0, len(points), 250):
            store.append(points[first : first + 250])
        (found,) = store.summaries(["s"])
        # numpy's own deviation of such values is good to nine digits only when their middle is taken off first
        shifted = values - values[0]
        assert found.deviation == pytest.approx(float(np.std(shifted)), rel=1e-9)
        assert found.mean == pytest.approx(float(np.mean(values)), rel=1e-12)

    def test_a_metric_without_a_number_has_none(self, store: SqlStore) -> None:
        store.append([Point("s", "m", 1.0, math.nan)])
        assert not store.summaries(["s"])
        store.append([Point("s", "m", 0.0, 2.0, 1)])
        assert list(store.summaries(["s"])) == [Summary("s", "m", 1, 2.0, 2.0, 2.0, 0.0, 2.0, 0.0, 1)]

    def test_last_is_by_time_then_by_writing(self, store: SqlStore) -> None:
        def last() -> tuple[float, float, int | None]:
            (found,) = store.summaries(["s"])
            return found.last, found.last_at, found.last_step

        store.append([Point("s", "m", 5.0, 1.0, 9), Point("s", "m", 4.0, 2.0)])
        assert last() == (1.0, 5.0, 9)
        store.append([Point("s", "m", 4.5, 3.0)])
        assert last() == (1.0, 5.0, 9)
        store.append([Point("s", "m", 5.0, 4.0), Point("s", "m", 6.0, math.nan)])
        assert last() == (4.0, 5.0, None)

    def test_are_brought_along_by_apply(self, store: SqlStore) -> None:
        store.create(make(due=0.0))
        series = f"{JOB}/a"
        (lease,) = store.claim(JOB, owner="me", now=1.0, lease_s=9.0, limit=1)
        points = [Point(series, "loss", float(at), float(at)) for at in range(4)]
        store.apply(lease, lambda now: now, points=points[:3], keep_until=9.0)
        store.append(points[3:])
        (found,) = store.summaries([series])
        agree(found, summary_of(points))
        store.release(lease)
        assert store.apply(lease, lambda now: now, points=points) is None
        assert list(store.summaries([series])) == [found]
        store.delete(JOB, "a")
        assert not store.summaries([series])

    def test_a_write_that_fails_changes_none(self, store: SqlStore) -> None:
        store.append([Point("s", "m", 1.0, 1.0)])
        before = store.summaries(["s"])
        with pytest.raises((TypeError, ValueError)):
            store.append([Point("s", "m", 2.0, 3.0), Point("s", "m", 2.0, "x")])  # type: ignore[arg-type]
        assert store.summaries(["s"]) == before

    def test_of_the_series_and_metrics_asked_for(self, store: SqlStore) -> None:
        store.append(
            Point(series, metric, 1.0, 1.0) for series in ("c/b", "c/a", "d") for metric in ("z", "y", "x")
        )

        def keys(found: Any) -> list[str]:
            return [f"{summary.series}:{summary.metric}" for summary in found]

        every = ["c/a:x", "c/a:y", "c/a:z", "c/b:x", "c/b:y", "c/b:z"]
        assert keys(store.summaries(iter(["c/b", "none", "c/a", "c/a"]))) == every
        assert keys(store.summaries(["c/a"], metrics=iter(["z", "x", "none"]))) == ["c/a:x", "c/a:z"]
        assert keys(store.summaries([])) == keys(store.summaries(["c/a"], metrics=[])) == []
        assert keys(store.summaries_under("c/")) == every
        assert keys(store.summaries_under("c/b", metrics=["y"])) == ["c/b:y"]
        assert keys(store.summaries_under("", metrics=["y"])) == ["c/a:y", "c/b:y", "d:y"]
        assert keys(store.summaries_under("c/c")) == keys(store.summaries_under("", metrics=())) == []

    def test_of_any_number_of_series(self, store: SqlStore) -> None:
        store.append(Point(f"s{number:05}", "m", 1.0, float(number)) for number in range(1200))
        found = store.summaries([f"s{number:05}" for number in range(3000)])
        assert [summary.last for summary in found] == [float(number) for number in range(1200)]
        assert store.summaries_under("s") == found

    def test_no_character_of_a_prefix_is_special(self, store: SqlStore) -> None:
        ends = ["%", "_", "[", "\\", "z", "\ud7ff", "\ud800", "\U0010ffff", "\x00", "é"]
        wanted = {
            f"s{end}": [f"s{end}", f"s{end}\\", f"s{end}\U0010ffff", f"s{end}a", f"s{end}~"] for end in ends
        }
        others = ["s", "sA", "t", "s\ue000", "s~", *(f"S{end}" for end in ends)]
        store.append(Point(name, "m", 1.0, 1.0) for name in [*chain(*wanted.values()), *others])
        for prefix, names in wanted.items():
            assert sorted(found.series for found in store.summaries_under(prefix)) == sorted(names)

    def test_agree_with_the_points_of_many_writers(self, store: SqlStore) -> None:
        def write(number: int) -> None:
            random = np.random.default_rng(number)
            for at in range(15):
                metrics = random.permutation(["a", "b", "c", f"own{number}"])
                store.append([Point("s", str(metric), float(at), random.normal()) for metric in metrics])

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(write, range(6)))
        found = store.summaries(["s"])
        assert sum(summary.count for summary in found) == 6 * 15 * 4
        for summary in found:
            points = store.points("s", summary.metric)
            agree(summary, summary_of(list(points)))

    def test_agree_while_points_are_written(self, store: SqlStore) -> None:
        stop = threading.Event()

        def write() -> None:
            at = 0.0
            while not stop.is_set():
                at += 1.0
                store.append([Point("s", "m", at, at), Point("s", "n", at, -at)])

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(50):
                found = store.summaries(["s"])
                assert len({summary.count for summary in found}) <= 1
                assert all(abs(summary.last) == summary.count for summary in found)
        finally:
            stop.set()
            writer.join()


class TestLinks:
    def test_are_put_once(self, store: SqlStore) -> None:
        link = Link("arn:a", "arn:b", "k", 1.0, {"by": {"user": "me"}})
        assert store.link(link) is True
        assert store.link(replace(link, created=9.0, facts={})) is False
        assert list(store.links(source="arn:a")) == [link]
        assert store.link(Link("arn:b", "arn:a", "k", 1.0)) is True
        assert store.link(Link("arn:a", "arn:b", "l", 1.0)) is True

    def test_are_found_by_every_condition_given(self, store: SqlStore) -> None:
        made = [
            Link(f"arn:{source}", f"arn:{destination}", kind, created)
            for created, (source, destination, kind) in enumerate(
                [("b", "c", "k"), ("a", "b", "l"), ("a", "b", "k"), ("a", "c", "k")][::-1]
            )
        ]
        for link in reversed(made):
            store.link(link)

        def find(**given: str) -> list[int]:
            return [made.index(link) for link in store.links(**given)]

        assert find(kind="k") == [0, 1, 3]
        assert find(source="arn:a") == [0, 1, 2]
        assert find(destination="arn:b") == [1, 2]
        assert find(source="arn:a", destination="arn:b", kind="l") == [2]
        assert find(source="arn:c") == find(source="") == []
        with pytest.raises(ValueError, match="give source, destination or kind"):
            store.links()

    def test_are_taken_away_by_kind_or_all(self, store: SqlStore) -> None:
        for kind in "klm":
            store.link(Link("arn:a", "arn:b", kind, 1.0))
        store.link(Link("arn:b", "arn:a", "k", 1.0))
        assert store.unlink("arn:a", "arn:b", kind="k") == 1
        assert store.unlink("arn:a", "arn:b", kind="k") == 0
        assert [link.kind for link in store.links(source="arn:a")] == ["l", "m"]
        assert store.unlink("arn:a", "arn:b") == 2
        assert store.unlink("arn:a", "arn:b") == 0
        assert len(store.links(source="arn:b")) == 1

    @pytest.mark.parametrize("text", ODD_TEXTS)
    def test_any_text_comes_back(self, store: SqlStore, text: str) -> None:
        link = Link(text, text, text, 1763638996.123456, {text: text})
        assert store.link(link)
        assert list(store.links(source=text, destination=text, kind=text)) == [link]

    def test_one_of_many_racers_makes_it(self, store: SqlStore) -> None:
        start = threading.Barrier(8)

        def race(number: int) -> bool:
            start.wait()
            return store.link(Link("arn:a", "arn:b", "k", float(number)))

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(race, range(8))) == 1
        assert len(store.links(kind="k")) == 1


class TestCredentials:
    def test_come_back_as_they_were(self, store: SqlStore) -> None:
        own = Credential("AKIA1", "s3cret")
        lent = Credential("ASIA1", "other", "token" * 100, "arn:job", 1763638996.5)
        store.put_credential(own)
        store.put_credential(lent)
        assert store.credential("AKIA1") == own
        assert store.credential("ASIA1") == lent
        assert store.credential("AKIA2") is None
        store.put_credential(replace(own, secret="new"))
        assert store.credential("AKIA1").secret == "new"

    def test_are_dropped_by_scope(self, store: SqlStore) -> None:
        for number, scope in enumerate(["arn:a", "arn:a", "arn:b", None]):
            store.put_credential(Credential(f"K{number}", "s", scope=scope))
        store.drop_credentials("arn:a")
        assert [store.credential(f"K{number}") is None for number in range(4)] == [True, True, False, False]

    def test_do_not_show_their_secrets(self) -> None:
        assert "s3cret" not in repr(Credential("AKIA1", "s3cret", "s3cret"))


class TestDocuments:
    def test_are_put_once(self, store: SqlStore) -> None:
        assert store.put_once("account", {"id": "1"}) == {"id": "1"}
        assert store.put_once("account", {"id": "2"}) == {"id": "1"}
        assert store.put_once("other", {}) == {}

    def test_all_racers_are_told_the_same(self, store: SqlStore) -> None:
        start = threading.Barrier(8)

        def race(number: int) -> Any:
            start.wait()
            return store.put_once("account", {"id": number})["id"]

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(race, range(8)))) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.create(make("b")),
        lambda store: store.update(JOB, "a", lambda now: replace(now, status="Stopping")),
        lambda store: store.set_tags("arn", {"k": "v"}),
        lambda store: store.append([Point("s", "m", 1.0, 1.0)]),
        lambda store: store.link(Link("arn:a", "arn:b", "k", 1.0)),
        lambda store: store.put_once("k", {"a": 1}),
        lambda store: store.put_credential(Credential("k", "s")),
    ],
)
def test_another_store_on_the_database_sees_every_write_at_once(
    store: SqlStore, url: str, write: Callable[[SqlStore], Any]
) -> None:
    def look(at: SqlStore) -> Any:
        listed = at.list(JOB)
        return (
            *(listed, at.tags("arn"), at.points("s", "m"), at.credential("k"), at.metrics("s")),
            *(at.summaries(["s"]), at.links(kind="k")),
        )

    store.create(make())
    other = open_store(url)
    before = look(other)
    write(store)
    assert look(other) == look(store)
    assert look(other) != before or other.put_once("k", {"a": 2}) == {"a": 1}
    other.close()


class TestCrash:
    WRITE = """
import itertools, sys
from dataclasses import replace
from clary.store.base import Point, Resource
from clary.store.sql import open_store

store = open_store(sys.argv[1])
for number in itertools.count():
    name = f"j{number}"
    job = Resource("training-job", name, f"arn:{name}", "InProgress", {}, {}, 1.0, 1.0, due=0.0)
    store.create(job, tags={"k": name})
    print("created", name, flush=True)
    (lease,) = store.claim("training-job", owner="me", now=1.0, lease_s=30.0, limit=1)
    points = [Point(f"training-job/{name}", "loss", float(at), 1.0) for at in range(50)]
    store.apply(lease, lambda now: replace(now, status="Completed", due=None), points=points)
    print("completed", name, flush=True)
"""

    @pytest.mark.parametrize("lines", [1, 2, 5, 24, 61])
    def test_what_was_acknowledged_is_there(self, store: SqlStore, url: str, lines: int) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", self.WRITE, url], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline() for _ in range(lines)]
            writer.send_signal(signal.SIGKILL)
            told += writer.stdout.readlines()
        assert writer.returncode == -signal.SIGKILL
        settle(store)
        for deed, name in (line.split() for line in told if line.endswith("\n")):
            found = store.get(JOB, name)
            assert found is not None
            assert store.tags(found.arn) == {"k": name}
            assert found.status == "Completed" or deed == "created"
        everything, _ = store.list(JOB, page=Page(limit=10_000))
        assert len(everything) - len([line for line in told if line.startswith("created")]) in (0, 1)
        for resource in everything:
            written = len(store.points(f"{JOB}/{resource.name}", "loss"))
            assert written == (50 if resource.status == "Completed" else 0)
            assert [found.count for found in store.summaries([f"{JOB}/{resource.name}"])] == [50] * (
                written > 0
            )


def settle(store: SqlStore) -> None:
    """PostgreSQL may still be at work on the last words of a client that is dead."""
    if store.engine.dialect.name != "postgresql":
        return
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + 30.0
    store.engine.dispose()  # our own idle connections look the same
    while reading(store.engine, lambda connection: connection.scalar(others)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
