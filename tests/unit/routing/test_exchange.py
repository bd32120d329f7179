"""HTTP with an instance, good and bad."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from clary.routing.connections import IDLE_S, Connections, NotBegun
from clary.routing.exchange import Call, Died, Exchange, Heard, TimedOut, TooLarge
from tests.model_program import ModelProgram


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections()
    yield made
    made.close()


@pytest.fixture
def program() -> Iterator[ModelProgram]:
    with ModelProgram() as running:
        yield running


class Scripted:
    """Accepts connections one after the other and says to each the same bytes once a request has come in."""

    def __init__(self, answer: bytes, *, then_close: bool = True) -> None:
        self._answer, self._close = answer, then_close
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.accepted += 1
                connection.settimeout(5)
                with connection:
                    connection.recv(1 << 20)
                    connection.sendall(self._answer)
                    if not self._close:
                        connection.recv(1)

    def __enter__(self) -> Scripted:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def call(body: bytes = b"hello", *, timeout_s: float = 10.0, most: int = 1 << 30, **headers: str) -> Call:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("/invocations", sent, body, timeout_s, most)


def ask(connections: Connections, address: str, wanted: Call) -> tuple[Heard, bytes]:
    exchange = Exchange(connections, address, wanted)
    heard = exchange.begin()
    return heard, b"".join(exchange.pieces())


def test_what_is_sent_and_what_comes_back(connections: Connections, program: ModelProgram) -> None:
    for body in (b"", b"x", b"y" * 100_000, b"z" * 5_000_000):
        heard, answer = ask(
            connections, program.address, call(body, Content_Type="text/x", X_Odd="a\r\nEvil: 1")
        )
        assert (heard.status, answer) == (200, body)
        assert heard.headers["content-type"] == "text/x"
    assert program.headers["x-odd"] == "a  Evil: 1"
    assert program.connections == 1


def test_a_connection_that_was_idle_for_long_or_was_closed_is_not_used_again(program: ModelProgram) -> None:
    clock = [0.0]
    connections = Connections(lambda: clock[0])
    ask(connections, program.address, call())
    clock[0] += IDLE_S / 2
    ask(connections, program.address, call())
    assert program.connections == 1
    clock[0] += IDLE_S * 2
    ask(connections, program.address, call())
    assert program.connections == 2
    clock[0] += IDLE_S * 2
    connections.sweep()
    ask(connections, program.address, call())
    assert program.connections == 3
    connections.close()


def test_a_server_that_closes_after_each_answer_is_asked_on_new_connections(connections: Connections) -> None:
    with Scripted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as server:
        for _ in range(3):
            assert ask(connections, server.address, call())[1] == b"ok"
            (kept,) = connections._idle[server.address]
            while kept.is_fresh(0.0):  # its end is still under way
                time.sleep(0.001)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nto the end", b"to the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", b"a"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
    ],
)
def test_ways_to_tell_a_length(connections: Connections, answer: bytes, body: bytes) -> None:
    with Scripted(answer) as server:
        assert ask(connections, server.address, call())[1] == body


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"this is no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: nine\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 80_000,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    ],
)
def test_half_an_answer_and_no_http_are_a_death(connections: Connections, answer: bytes) -> None:
    with Scripted(answer) as server, pytest.raises(Died):
        ask(connections, server.address, call())


def test_what_comes_after_the_last_chunk_is_no_header(connections: Connections) -> None:
    chunked = b"Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
    with Scripted(
        b"HTTP/1.1 200 OK\r\n" + chunked + b"Content-Type: c/d\r\nX-Clary-Note: e\r\n\r\n"
    ) as server:
        heard, body = ask(connections, server.address, call())
    assert body == b"a"
    assert heard.headers == {"content-type": "a/b", "transfer-encoding": "chunked"}


def test_nobody_there_is_told_apart_from_somebody_who_went(
    connections: Connections, program: ModelProgram
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(NotBegun):
        Exchange(connections, address, call())
    with pytest.raises(Died):
        ask(connections, program.address, call(b'{"do": "die"}'))


def test_a_silent_server_is_waited_for_no_longer_than_asked(connections: Connections) -> None:
    with Scripted(b"", then_close=False) as server, pytest.raises(TimedOut):
        ask(connections, server.address, call(timeout_s=0.1))
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
    with Scripted(slow, then_close=False) as server, pytest.raises(TimedOut):
        ask(connections, server.address, call(timeout_s=0.1))


def test_an_answer_that_is_too_large_is_cut_off(connections: Connections, program: ModelProgram) -> None:
    large = call(b'{"do": "large", "bytes": 2000}', most=2000)
    assert len(ask(connections, program.address, large)[1]) == 2000
    with pytest.raises(TooLarge, match="1999 bytes"):
        ask(connections, program.address, call(large.body, most=1999))


def test_an_answer_before_the_whole_request_was_read_counts(connections: Connections) -> None:
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with Scripted(answer, then_close=False) as server:
        exchange = Exchange(connections, server.address, call(b"x" * 900_000))
        assert exchange.begin().status == 413
        exchange.close()


def test_an_exchange_is_ended_from_another_thread(connections: Connections) -> None:
    with Scripted(b"", then_close=False) as server:
        exchange = Exchange(connections, server.address, call())
        timer = threading.Timer(0.05, exchange.abort)
        timer.start()
        with pytest.raises(Died):
            exchange.begin()
        timer.join()


def test_the_end_of_an_exchange_cannot_end_the_next_on_its_connection(
    connections: Connections, program: ModelProgram
) -> None:
    exchange = Exchange(connections, program.address, call())
    exchange.begin()
    assert b"".join(exchange.pieces()) == b"hello"
    other = Exchange(connections, program.address, call(b"second"))
    exchange.abort()
    exchange.close()
    other.begin()
    assert b"".join(other.pieces()) == b"second"
    assert program.connections == 1


def test_a_connection_on_which_a_body_may_still_come_is_not_kept(connections: Connections) -> None:
    with Scripted(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", then_close=False) as server:
        assert ask(connections, server.address, call())[1] == b""
        assert not connections._idle


def test_what_was_said_unasked_ends_a_connection(connections: Connections) -> None:
    two = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"
    with Scripted(two, then_close=False) as server:
        assert ask(connections, server.address, call())[1] == b"a"
        assert ask(connections, server.address, call())[1] == b"a"
        assert server.accepted == 2
