import random
from itertools import pairwise

import pytest

from clary.agent.story import Lines
from clary.services import log_files
from clary.services.log_files import Line


@pytest.fixture
def log(tmp_path):
    return tmp_path / "algo-1.log"


def write(log, lines, rest=b""):
    with log.open("ab") as file:
        for at_ms, text in lines:
            file.write(f"{at_ms}\t{text}\n".encode())
        file.write(rest)


def test_a_file_that_is_not_there_has_no_lines(log):
    assert log_files.whole_size(log) == 0
    assert log_files.find_time(log, 5) == 0
    assert list(log_files.read_forward(log, 0)) == []
    assert log_files.last_time(log) is None


def test_a_line_without_its_newline_is_not_there_yet(log):
    write(log, [(1, "one")], rest=b"2\ttw")
    assert [line.text for line in log_files.read_forward(log, 0)] == ["one"]
    assert log_files.last_time(log) == 1
    size = log_files.whole_size(log)
    write(log, [], rest=b"o\n")
    assert [line.text for line in log_files.read_forward(log, size)] == ["two"]


def test_text_may_hold_tabs_be_empty_or_be_no_utf8(log):
    log.write_bytes(b"1\ta\tb\n2\t\n3\t\xff\n")
    assert [line.text for line in log_files.read_forward(log, 0)] == ["a\tb", "", "�"]


@pytest.mark.parametrize("length", [3, 40, log_files.CHUNK // 3, log_files.CHUNK * 2 + 7])
def test_backward_is_forward_reversed_whatever_the_line_lengths(log, length):
    chance = random.Random(length)
    write(log, [(i // 3, "x" * chance.randrange(length)) for i in range(40)])
    forward = list(log_files.read_forward(log, 0))
    assert len(forward) == 40
    assert forward[0].start == 0
    assert all(one.end == two.start for one, two in pairwise(forward))
    assert list(log_files.read_backward(log, log_files.whole_size(log))) == forward[::-1]
    assert list(log_files.read_backward(log, forward[20].start)) == forward[19::-1]


def test_find_time_agrees_with_a_search_from_the_front(log):
    chance = random.Random(7)
    at_ms = 1_000
    lines = []
    for _ in range(300):
        at_ms += chance.choice([0, 0, 1, 50])
        lines.append((at_ms, "y" * chance.randrange(200)))
    write(log, lines, rest=b"99999\tnot yet")
    whole = list(log_files.read_forward(log, 0))
    for wanted in range(990, at_ms + 3):
        expected = next((line.start for line in whole if line.at_ms >= wanted), log_files.whole_size(log))
        assert log_files.find_time(log, wanted) == expected


def test_only_line_starts_are_positions(log):
    write(log, [(1, "one"), (2, "two")])
    assert [offset for offset in range(20) if log_files.is_line_start(log, offset)] == [0, 6, 12]


def test_the_tail_of_a_large_file_is_read_without_reading_the_file(log):
    write(log, [(5, "start")])
    with log.open("r+b") as file:
        file.truncate(20_000_000_000)  # sparse: reading it all would take minutes
        file.seek(20_000_000_000 - 1)
        file.write(b"\n")
    write(log, [(6, "end")], rest=b"7\tnot yet")
    size = log_files.whole_size(log)
    assert next(log_files.read_backward(log, size)).text == "end"
    assert log_files.last_time(log) == 6


@pytest.fixture
def holed(log):
    """The log of a program that never ends: of 20,000 lines the last some 60,000 bytes are there."""
    write(log, [(n, f"line {n}") for n in range(20_000)])
    lines = Lines(log)
    lines.drop(keep=60_000)
    lines.close()
    if log.read_bytes()[:1] != b"\0":
        pytest.skip("this file system makes no holes")
    return log


def kept(log):
    size = log.stat().st_size
    return [line for line in every_line(20_000) if line.start >= size - 60_000]


def every_line(count):
    start = 0
    for n in range(count):
        end = start + len(f"{n}\tline {n}\n")
        yield Line(n, f"line {n}", start, end)
        start = end


def test_what_is_behind_a_hole_is_read_in_both_directions_and_offsets_stay(holed):
    expected = kept(holed)
    assert 1000 < len(expected) < 5000
    assert list(log_files.read_forward(holed, 0)) == expected
    assert list(log_files.read_forward(holed, expected[7].start)) == expected[7:]
    assert list(log_files.read_backward(holed, log_files.whole_size(holed))) == expected[::-1]
    assert list(log_files.read_backward(holed, expected[7].start)) == expected[:7][::-1]
    assert log_files.first_time(holed) == expected[0].at_ms
    assert log_files.last_time(holed) == expected[-1].at_ms


def test_times_are_found_behind_a_hole(holed):
    expected = kept(holed)
    assert log_files.find_time(holed, 1) == expected[0].start
    assert log_files.find_time(holed, expected[9].at_ms) == expected[9].start


def test_a_token_of_what_is_gone_goes_on_with_what_is_there(holed):
    assert log_files.is_line_start(holed, 1000)
    assert list(log_files.read_forward(holed, 1000)) == kept(holed)
    assert list(log_files.read_backward(holed, 1000)) == []


def test_zeros_that_are_no_hole_are_skipped(log):
    """What a power loss may leave."""
    write(log, [(1, "one")], rest=b"\0" * 50_000 + b"\n")
    write(log, [(2, "two")])
    assert [line.text for line in log_files.read_forward(log, 0)] == ["one", "two"]
