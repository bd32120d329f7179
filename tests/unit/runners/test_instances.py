"""The table of instance types, and that no more of a machine is given out than there is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clary.runners.instances import InstanceTypes, Request, Slots, parse_table
from clary.runners.machine import Machine
from clary.runners.tables import TableFault

BIG = Machine(cpus=64, memory_gib=256.0, gpus=tuple(range(8)))
LAPTOP = Machine(cpus=2, memory_gib=8.0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("local", Request(2, 4.0, 0)),
        ("local_gpu", Request(2, 4.0, 1)),
        ("ml.t3.medium", Request(1, 2.0, 0)),
        ("ml.m5.large", Request(1, 2.0, 0)),
        ("ml.m5.xlarge", Request(1, 2.0, 0)),
        ("ml.c5.2xlarge", Request(2, 4.0, 0)),
        ("ml.m5.4xlarge", Request(4, 8.0, 0)),
        ("ml.c5.9xlarge", Request(8, 16.0, 0)),
        ("ml.m5.12xlarge", Request(8, 16.0, 0)),
        ("ml.m5.24xlarge", Request(16, 32.0, 0)),
        ("ml.g4dn.xlarge", Request(1, 2.0, 1)),
        ("ml.p3.2xlarge", Request(2, 4.0, 1)),
        ("ml.g5.4xlarge", Request(4, 8.0, 1)),
        ("ml.p3.8xlarge", Request(8, 16.0, 4)),
        ("ml.g4dn.12xlarge", Request(8, 16.0, 4)),
        ("ml.p4d.24xlarge", Request(16, 32.0, 8)),
        ("ml.p6-b200.48xlarge", Request(16, 32.0, 8)),
        ("ml.unheard-of.size", Request(1, 2.0, 0)),
    ],
)
def test_the_packages_own_table(name: str, expected: Request) -> None:
    assert InstanceTypes.read().request(name) == expected


def test_rows_in_the_home_come_first(tmp_path: Path) -> None:
    (tmp_path / "instances.toml").write_text('[instances]\n"ml.m5.*" = { cpus = 3, memory_gib = 1.5 }\n')
    types = InstanceTypes.read(tmp_path)
    assert types.request("ml.m5.large") == Request(3, 1.5, 0)
    assert types.request("ml.p3.2xlarge").gpus == 1


def test_the_first_match_counts() -> None:
    rows = parse_table('[instances]\n"a*" = {cpus=1, memory_gib=1}\n"ab" = {cpus=2, memory_gib=1}', "t")
    assert InstanceTypes(rows).request("ab").cpus == 1
    assert InstanceTypes(rows).request("b") == Request(1, 2.0, 0)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('"a" = { cpus = 0, memory_gib = 1 }', "line 2, 'a': cpus = 0: say a whole number from 1"),
        ('"a" = { cpus = true, memory_gib = 1 }', "line 2, 'a': cpus = True: say a whole number"),
        ('"a" = { cpus = 1 }', "line 2, 'a': memory_gib is missing"),
        ('"a" = { cpus = 1, memory_gib = "2" }', "line 2, 'a': memory_gib = '2': say a number above 0"),
        ('"a" = { cpus = 1, memory_gib = inf }', "line 2, 'a': memory_gib = inf: say a number"),
        (
            '"a" = { cpus = 1, memory_gib = 1, gpus = -1 }',
            "line 2, 'a': gpus = -1: say a whole number from 0",
        ),
        ('"a" = { cpus = 1, memory_gib = 1, gpu = 1 }', "line 2, 'a': unknown field 'gpu'; there are cpus"),
        ('"a" = 4', "line 2, 'a': say { cpus = 1,"),
        ('"a" = {', "line 2"),
        ("[more]", "one table named [instances]"),
    ],
)
def test_a_fault_is_named_with_file_line_and_field(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "instances.toml"
    path.write_text(f"[instances]\n{line}\n")
    with pytest.raises(TableFault) as fault:
        InstanceTypes.read(tmp_path)
    assert str(fault.value).startswith(str(path))
    assert complaint in str(fault.value)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "instances.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(TableFault, match="cannot be read"):
        InstanceTypes.read(tmp_path)


def test_a_request_is_cut_to_the_machine() -> None:
    assert Request(16, 32.0, 8).cut(LAPTOP) == Request(2, 8.0, 0)
    share = Slots(LAPTOP).take("job", Request(16, 32.0, 8))
    assert share == [{"cpus": 2, "memory_gib": 8.0, "gpus": []}]


def test_each_gets_gpus_of_its_own() -> None:
    slots = Slots(BIG)
    one, two = slots.take("one", Request(1, 1.0, 3)), slots.take("two", Request(1, 1.0, 4))
    assert one and two
    assert one[0]["gpus"] == [0, 1, 2]
    assert two[0]["gpus"] == [3, 4, 5, 6]
    assert slots.take("three", Request(1, 1.0, 2)) is None
    slots.give_back("one")
    three = slots.take("three", Request(1, 1.0, 2))
    assert three is not None
    assert three[0]["gpus"] == [0, 1]


def test_taking_again_gives_the_same_and_giving_back_twice_does_no_harm() -> None:
    slots = Slots(LAPTOP)
    assert slots.take("job", Request(1, 1.0)) == slots.take("job", Request(2, 2.0))
    assert slots.free["cpus"] == 1
    slots.give_back("job")
    slots.give_back("job")
    assert slots.free == {"cpus": 2, "memory_gib": 8.0, "gpus": []}


def test_what_was_given_before_a_restart_counts_even_on_a_smaller_machine() -> None:
    slots = Slots(LAPTOP)
    slots.retake("old", [{"cpus": 8, "memory_gib": 64.0, "gpus": [0]}])
    assert slots.free == {"cpus": 0, "memory_gib": 0.0, "gpus": []}
    assert slots.take("new", Request(1, 0.1)) is None


def test_several_shares_are_given_together_or_not_at_all() -> None:
    slots = Slots(BIG)
    need = Request(2, 2.0, 2)
    count = slots.most(need)
    assert slots.take("too much", need, count + 1) is None
    assert slots.held == {}
    shares = slots.take("all", need, count)
    assert shares is not None
    assert len(shares) == count > 1
    assert all(len(share["gpus"]) == 2 for share in shares)
    assert not slots.fits(need)


requests = st.builds(
    Request, cpus=st.integers(1, 100), memory_gib=st.floats(0.1, 300.0), gpus=st.integers(0, 9)
)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), requests, st.integers(1, 4)), max_size=40))
def test_never_more_is_given_than_there_is(moves: list[tuple[bool, int, Request, int]]) -> None:
    slots = Slots(BIG)
    for takes, number, request, count in moves:
        name = str(number)
        if takes:
            slots.take(name, request, count)
        else:
            slots.give_back(name)
        held = [share for shares in slots.held.values() for share in shares]
        gpus = [gpu for share in held for gpu in share["gpus"]]
        assert sum(share["cpus"] for share in held) <= BIG.cpus
        assert sum(share["memory_gib"] for share in held) <= BIG.memory_gib + 1e-3
        assert len(gpus) == len(set(gpus))
        assert set(gpus) <= set(BIG.gpus)


@given(requests)
def test_an_empty_machine_has_room_for_anything(request: Request) -> None:
    for machine in (BIG, LAPTOP):
        assert Slots(machine).take("job", request) is not None
        most = Slots(machine).most(request)
        assert most >= 1
        assert Slots(machine).fits(request, most)
        assert not Slots(machine).fits(request, most + 1)
