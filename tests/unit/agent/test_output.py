from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.agent.output import LONGEST_LINE, Log, Stream
from clary.agent.story import Lines


class Recorder:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "log"
        self.now = 1000.0
        self.searched: list[str] = []
        self.log = Log(Lines(self.path), lambda: self.now, lambda line, at: self.searched.append(line))
        self.stream = Stream(self.log)

    def lines(self) -> list[str]:
        *lines, rest = self.path.read_bytes().split(b"\n")
        assert rest == b""
        return [line.partition(b"\t")[2].decode() for line in lines]

    def times(self) -> list[int]:
        return [int(line.partition(b"\t")[0]) for line in self.path.read_bytes().splitlines()]


@pytest.fixture
def record(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def test_lines_come_whole_however_they_arrive(record: Recorder) -> None:
    for piece in (b"on", b"e\ntwo\r", b"\nthree\n\nfo", b"ur"):
        record.stream.feed(piece, 0.0)
    record.stream.close(0.0)
    assert record.lines() == record.searched == ["one", "two", "three", "", "four"]
    assert list(record.stream.tail) == [b"one", b"two", b"three", b"", b"four"]


def test_times_never_decrease(record: Recorder) -> None:
    record.stream.feed(b"a\n", 0.0)
    record.now = 500.0
    record.stream.feed(b"b\n", 0.0)
    record.now = 1000.5
    record.stream.feed(b"c\n", 0.0)
    assert record.times() == [1_000_000, 1_000_000, 1_000_500]


def test_a_progress_bar_is_thinned_out_but_its_end_stays(record: Recorder) -> None:
    for percent in range(101):
        record.stream.feed(b"\r%d%%" % percent, percent / 50)
    record.stream.feed(b"\ndone\n", 2.0)
    lines = record.lines()
    assert lines[-2:] == ["100%", "done"]
    assert 3 <= len(lines) <= 6


def test_a_line_without_its_end_is_written_after_a_while_and_searched_whole(record: Recorder) -> None:
    record.stream.feed(b"loss = ", 0.0)
    record.stream.tick(0.5)
    assert record.path.read_bytes() == b""
    record.stream.tick(1.1)
    assert record.lines() == ["loss = "]
    record.stream.feed(b"0.5\n", 5.0)
    assert record.lines() == ["loss = ", "0.5"]
    assert record.searched == ["loss = 0.5"]


def test_a_line_flushed_and_then_ended_adds_no_empty_line(record: Recorder) -> None:
    record.stream.feed(b"wait", 0.0)
    record.stream.tick(2.0)
    record.stream.feed(b"\nnext\n", 3.0)
    assert record.lines() == ["wait", "next"]
    assert record.searched == ["wait", "next"]


def test_huge_lines_are_cut_and_only_their_beginning_is_searched(record: Recorder) -> None:
    for _ in range(10):
        record.stream.feed(b"x" * 65_536, 0.0)
    record.stream.feed(b"end\nnext\n", 0.0)
    lines = record.lines()
    assert "".join(lines[:-1]) == "x" * 655_360 + "end"
    assert max(map(len, lines)) == LONGEST_LINE
    assert record.searched == ["x" * 4096, "next"]


def test_what_is_not_utf8_is_replaced_and_tabs_stay(record: Recorder) -> None:
    record.stream.feed(b"a\tb \xff \xc3\xa9\n", 0.0)
    assert record.lines() == ["a\tb \ufffd é"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(alphabet="ab\n\t ", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_no_cutting_of_the_stream_changes_the_lines(
    tmp_path_factory: Any, text: str, cuts: list[int]
) -> None:
    record = Recorder(tmp_path_factory.mktemp("log"))
    data = text.encode()
    marks = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    for start, end in pairwise(marks):
        record.stream.feed(data[start:end], 0.0)
    record.stream.close(0.0)
    wanted = text.split("\n")
    if wanted[-1] == "":
        wanted.pop()
    assert record.lines() == wanted


def test_a_log_that_never_ends_gives_the_disk_back_what_is_old(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log(Lines(path), lambda: 1000.0, lambda line, at: None, keep=100_000)
    size = 0
    for number in range(3000):
        log.write([b"%06d" % number + b"x" * 300])
        size += len(b"1000000\t") + 307
    found = path.stat()
    assert found.st_size == size  # offsets stay
    assert path.read_bytes().endswith(b"\t002999" + b"x" * 300 + b"\n")
    assert found.st_blocks * 512 < 300_000


def test_a_log_that_is_not_to_be_bounded_is_whole(record: Recorder) -> None:
    for number in range(1000):
        record.log.write([b"%06d" % number + b"x" * 300])
    assert len(record.lines()) == 1000
