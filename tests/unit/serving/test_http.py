"""HTTP by the byte: what clients send, well formed and not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from clary.serving.heads import Malformed, body_length, parse_head
from clary.serving.http import STALLED_S, Connection, Exchange

LIMIT = 1000


def echo(exchange: Exchange) -> None:
    exchange.answer(200, "text/plain", {"X-Path": exchange.head.target}, exchange.body)


def talk(*data: bytes, serve: Callable[[Exchange], None] = echo) -> bytes:
    """All that comes back for what is sent, each part after a moment, until the server closes."""

    async def client(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in data:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        return answer

    return asyncio.run(with_server(client, serve))


async def with_server(client: Callable[[int], Awaitable[bytes]], serve: Callable[[Exchange], None]) -> bytes:
    open_ones: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(serve, limit=LIMIT, open_ones=open_ones), "127.0.0.1", 0
    )
    answer = await client(server.sockets[0].getsockname()[1])
    server.close()
    for _ in range(200):
        if not open_ones:
            return answer
        await asyncio.sleep(0.01)
    raise AssertionError("a connection was left open")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


CLOSE = b"Connection: close\r\n"


def test_a_request_may_come_byte_by_byte() -> None:
    request = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n" + CLOSE + b"\r\nabc"
    answer = talk(*[request[i : i + 1] for i in range(len(request))])
    assert status(answer) == 200
    assert b"X-Path: /a\r\n" in answer
    assert answer.endswith(b"\r\n\r\nabc")


def test_chunks_are_put_together() -> None:
    answer = talk(
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n3\r\nabc\r\nA;x=y\r\n0123",
        b"456789\r\n0\r\nTrailer: x\r\n\r\n",
    )
    assert answer.endswith(b"\r\n\r\nabc0123456789")


def test_chunks_without_a_trailer_end() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n"
    assert talk(head + b"1\r\na\r\n0\r\n\r\n").endswith(b"\r\n\r\na")
    assert talk(head + b"0\r\n", b"\r\n").endswith(b"\r\n\r\n")


def test_a_client_that_waits_for_100_gets_it() -> None:
    answer = talk(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n" + CLOSE + b"\r\n", b"a")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")


def test_a_client_that_waits_for_100_with_too_much_is_refused_instead() -> None:
    answer = talk(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    assert status(answer) == 413


def test_after_a_body_that_was_too_long_the_connection_goes_on() -> None:
    answer = talk(
        b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"x" * 500,
        b"x" * 1500 + b"GET /next HTTP/1.1\r\n" + CLOSE + b"\r\n",
    )
    assert status(answer) == 413
    assert b"X-Path: /next" in answer


def test_http_1_0_closes_after_the_answer() -> None:
    answer = talk(b"GET / HTTP/1.0\r\n\r\n")
    assert status(answer) == 200
    assert b"Connection: close" in answer


def test_head_has_no_body() -> None:
    answer = talk(b"HEAD / HTTP/1.1\r\nContent-Length: 1\r\n" + CLOSE + b"\r\na")
    assert b"Content-Length: 1\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_no_content_has_none_and_the_connection_goes_on() -> None:
    def serve(exchange: Exchange) -> None:
        exchange.answer(204 if exchange.head.target == "/none" else 200, "text/plain", {}, b"abc")

    answer = talk(b"GET /none HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n", serve=serve)
    none, _, rest = answer.partition(b"\r\n\r\n")
    assert b"Content-Length" not in none
    assert rest.startswith(b"HTTP/1.1 200 OK\r\n") and rest.endswith(b"abc")


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 70_000, 431),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, 431),
    ],
)
def test_what_cannot_be_read_is_refused_and_the_connection_closed(request_: bytes, expected: int) -> None:
    answer = talk(request_)
    assert status(answer) == expected
    assert b'"code": %d' % expected in answer


def test_nothing_that_a_handler_says_can_make_a_second_header() -> None:
    def serve(exchange: Exchange) -> None:
        headers = {"X-Note": "a\r\nX-Evil: b", "X-Bad: c\r\nX-Worse": "d", "content-length": "7"}
        exchange.answer(200, "text/plain", headers, b"")

    answer = talk(b"GET / HTTP/1.0\r\n\r\n", serve=serve)
    assert b"X-Note: a  X-Evil: b\r\n" in answer
    assert b"Worse" not in answer
    assert b"7" not in answer


def test_a_client_that_goes_is_told_of_once() -> None:
    gone = []

    def serve(exchange: Exchange) -> None:
        exchange.on_gone = lambda: gone.append(exchange)

    async def client(port: int) -> bytes:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()
        return b""

    asyncio.run(with_server(client, serve))
    assert len(gone) == 1
    gone[0].answer(200, "text/plain", {}, b"nobody hears this")


def test_heads_are_read_into_lower_case_names() -> None:
    head = parse_head(b"GET /a?b HTTP/1.1\r\nAccept: x\r\nACCEPT:y \r\nEmpty:")
    assert head.headers == {"accept": "x, y", "empty": ""}
    assert head.target == "/a?b"
    assert body_length(head) == 0
    with pytest.raises(Malformed):
        parse_head(b"GET /")


async def connected(
    serve: Callable[[Exchange], None],
) -> tuple[asyncio.Server, socket.socket, set[Connection]]:
    """A client that reads only when it is told to."""
    open_ones: set[Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(serve, limit=LIMIT, open_ones=open_ones), "127.0.0.1", 0
    )
    client = socket.socket()
    client.setblocking(False)
    await loop.sock_connect(client, server.sockets[0].getsockname())
    while not open_ones:
        await asyncio.sleep(0.005)
    return server, client, open_ones


def test_who_takes_no_answers_gets_no_more_of_them_until_it_does() -> None:
    served = []

    def serve(exchange: Exchange) -> None:
        served.append(exchange)
        exchange.answer(200, "text/plain", {}, b"x" * 1_000_000)

    async def run() -> int:
        loop = asyncio.get_running_loop()
        server, client, _ = await connected(serve)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n" * 99 + b"GET / HTTP/1.0\r\n\r\n")
        await asyncio.sleep(0.2)
        begun, got = len(served), 0
        while data := await loop.sock_recv(client, 1 << 20):
            got += len(data)
        client.close()
        server.close()
        assert got > 100 * 1_000_000
        return begun

    assert asyncio.run(run()) < 50
    assert len(served) == 100


@pytest.mark.parametrize(
    "sent", [b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc", b"GET /unread HTTP/1.0\r\n\r\n"]
)
def test_a_client_that_stops_half_way_is_let_go(sent: bytes) -> None:
    def serve(exchange: Exchange) -> None:
        exchange.answer(200, "text/plain", {}, b"x" * 50_000_000)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server, client, open_ones = await connected(serve)
        await loop.sock_sendall(client, sent)
        await asyncio.sleep(0.1)
        (connection,) = open_ones
        connection.check(0.0)
        connection.check(STALLED_S - 1)
        await asyncio.sleep(0.02)
        assert open_ones
        connection.check(STALLED_S + 1)
        await asyncio.sleep(0.02)
        assert not open_ones
        client.close()
        server.close()

    asyncio.run(run())


def test_a_client_that_is_waited_for_by_the_model_is_not_let_go() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server, client, open_ones = await connected(lambda _: None)
        await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        (connection,) = open_ones
        for now in (0.0, STALLED_S + 1, 3 * STALLED_S):
            connection.check(now)
        await asyncio.sleep(0.02)
        assert open_ones
        client.close()
        server.close()

    asyncio.run(run())
