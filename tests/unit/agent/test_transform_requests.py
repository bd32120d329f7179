"""One object through the model: in order, bounded in memory, and the guilty record found."""

from __future__ import annotations

import gzip
import io
import threading
import time
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clary.agent.contract import Transform
from clary.agent.transform_ask import Asker
from clary.agent.transform_pace import Pace
from clary.agent.transform_requests import Requests
from clary.agent.transform_split import BadRecord


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers every line with itself in capitals, the later the sooner; refuses those with `bad`."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    asked = 0

    def do_POST(self) -> None:
        body = self.read()
        Handler.asked += 1
        if body.startswith(b"wait"):
            time.sleep(0.02)
        status, data = (400, b"no") if b"bad" in body else (200, body.upper())
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def read(self) -> bytes:
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline() or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def requests(address: str, pace: Pace, counted: list[int] | None = None, **wanted: Any) -> Requests:
    transform = Transform("s3://in", "s3://out", **{"split": "Line", "assemble": "Line", **wanted})
    asker = Asker(address, headers={}, timeout_s=20, most_retries=0, first_pause_s=0, last_wait_s=0)
    return Requests(transform, pace, asker, (counted if counted is not None else []).append)


def carried(made: Requests, data: bytes) -> bytes:
    target = io.BytesIO()
    made.carry(io.BytesIO(data), target)
    return target.getvalue()


lines = st.lists(
    st.sampled_from([b"wait", b"a", b"", b"b" * 30])
    | st.binary(max_size=9).map(lambda d: d.replace(b"\n", b"")),
    max_size=40,
).map(lambda found: b"".join(line.replace(b"\r", b"") + b"\n" for line in found))


@settings(max_examples=25, deadline=None)
@given(lines, st.booleans(), st.integers(1, 8), st.integers(40, 200))
def test_order_and_count_are_kept(
    address: str, data: bytes, single: bool, concurrent: int, limit: int
) -> None:
    counted: list[int] = []
    with requests(address, Pace(concurrent, limit, single), counted) as made:
        assert carried(made, data) == data.upper()
    assert sum(counted) == data.count(b"\n")


def test_objects_share_the_room_and_none_waits_for_ever(address: str) -> None:
    data = b"".join(b"wait %d\n" % number for number in range(20))
    results: dict[int, bytes] = {}
    with requests(address, Pace(2, 100, True)) as made:

        def work(number: int) -> None:
            results[number] = carried(made, data)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert set(results) == set(range(8))
    assert set(results.values()) == {data.upper()}


@pytest.mark.parametrize("single", [True, False])
def test_the_record_that_is_refused_is_named(address: str, single: bool) -> None:
    data = b"good\n" * 36 + b"bad\n" + b"good\n" * 40
    before = Handler.asked
    with requests(address, Pace(1, 1 << 20, single)) as made, pytest.raises(BadRecord) as caught:
        carried(made, data)
    assert str(caught.value) == "record 37: the model answered 400: no"
    if not single:
        # found by halves: at most two requests a halving of 77
        assert Handler.asked - before <= 1 + 2 * 7


def test_room_is_given_back_after_a_failure(address: str) -> None:
    with requests(address, Pace(2, 100, True)) as made:
        for _ in range(10):
            with pytest.raises(BadRecord):
                carried(made, b"bad\n" * 20)
        assert carried(made, b"a\n" * 20) == b"A\n" * 20


def test_an_object_of_any_length_is_one_stream(address: str) -> None:
    data, counted = b"some of many words " * 100_000, [0]
    with requests(address, Pace(1, 0, True), counted, split="None", compression="Gzip") as made:
        assert carried(made, gzip.compress(data)) == data.upper()
        with pytest.raises(BadRecord, match=r"^the model answered 400: no$"):
            carried(made, gzip.compress(b"bad"))
        with pytest.raises(gzip.BadGzipFile):
            carried(made, b"no gzip at all")
        with pytest.raises(EOFError):
            carried(made, gzip.compress(data)[:-9])
    assert sum(counted) == 1


def test_memory_does_not_grow_with_the_object(address: str) -> None:
    class Lines(io.RawIOBase):
        """40 MB that nobody has to hold."""

        left = 40 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = (b"x" * 99 + b"\n") * (size // 100) + b"y" * (size % 100)
            self.left -= size
            return size

    class Sum(io.RawIOBase):
        size = 0

        def write(self, data: Any) -> int:
            self.size += len(data)
            return len(data)

    target = Sum()
    with requests(address, Pace(2, 1 << 18, False), assemble="None") as made:
        tracemalloc.start()
        made.carry(io.BufferedReader(Lines()), target)  # type: ignore[arg-type]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert target.size == 40 << 20
    assert peak < 12 << 20
