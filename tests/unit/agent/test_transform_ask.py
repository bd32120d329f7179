"""Asking a model's server: answers, refusals, retries, and being called off. The server is a real one."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clary.agent.faults import Interrupted
from clary.agent.transform_ask import Asker, NoAnswer, Refused

Act = Callable[[BaseHTTPRequestHandler, bytes], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Model:
    """Answers as `act` does; `asked` are the bodies that came, `connections` how many times one was made."""

    def __init__(self) -> None:
        self.act: Act = echo
        self.asked: list[bytes] = []
        self.connections = 0
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                model.connections += 1
                super().setup()

            def do_GET(self) -> None:
                model.act(self, b"")

            def do_POST(self) -> None:
                body = chunked(self) if "chunked" in self.headers.get("transfer-encoding", "") else None
                if body is None:
                    body = self.rfile.read(int(self.headers["content-length"]))
                model.asked.append(body)
                model.act(self, body)

            def log_message(self, *args: Any) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


def chunked(handler: BaseHTTPRequestHandler) -> bytes:
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


def reply(handler: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def echo(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    reply(handler, 200, body)


def statuses(*given: int) -> Act:
    left = list(given)

    def act(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        reply(handler, left.pop(0) if left else 200, b'{"code": 500, "message": "out of luck"}')

    return act


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    thread = threading.Thread(target=model.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield model
    model.server.shutdown()
    thread.join()
    model.server.server_close()


Make = Callable[..., Asker]


@pytest.fixture
def asker(model: Model) -> Iterator[Make]:
    """Makes askers, and closes them."""
    made: list[Asker] = []

    def make(**changes: Any) -> Asker:
        settings: dict[str, Any] = {
            "headers": {"Content-Type": "text/plain", "Accept": "text/csv"},
            "timeout_s": 20.0,
            "most_retries": 3,
            "first_pause_s": 0.0,
            "last_wait_s": 0.0,
        }
        made.append(Asker(model.address, **{**settings, **changes}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_answers_come_over_one_connection_with_the_types_asked_for(model: Model, asker: Make) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def act(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append((handler.headers["content-type"], handler.headers["accept"]))
        echo(handler, body)

    model.act = act
    own = asker()
    assert [own.ask(b"%d" % number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert model.connections == 1
    assert set(seen) == {("text/plain", "text/csv")}


def test_what_may_pass_is_tried_again(model: Model, asker: Make) -> None:
    model.act = statuses(500, 503, 429)
    assert b"out of luck" in asker().ask(b"x")
    assert len(model.asked) == 4


def test_a_status_that_stays_is_told_with_the_servers_words(model: Model, asker: Make) -> None:
    model.act = statuses(*[500] * 9)
    with pytest.raises(Refused, match=r"^the model answered 500: out of luck$") as caught:
        asker(most_retries=2).ask(b"x")
    assert not caught.value.is_final
    assert len(model.asked) == 3


def test_a_refusal_is_not_tried_again(model: Model, asker: Make) -> None:
    model.act = statuses(400)
    with pytest.raises(Refused, match="400") as caught:
        asker().ask(b"x")
    assert caught.value.is_final
    assert len(model.asked) == 1


def test_a_connection_closed_while_it_was_idle_is_no_failed_try(model: Model, asker: Make) -> None:
    def once(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        echo(handler, body)
        handler.close_connection = True  # though nothing in the answer says so

    model.act = once
    own = asker(most_retries=0)
    assert [own.ask(b"a"), own.ask(b"b"), own.ask(b"c")] == [b"a", b"b", b"c"]


def test_an_answer_broken_off_is_none(model: Model, asker: Make) -> None:
    def cut(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    model.act = cut
    with pytest.raises(NoAnswer, match="gave no answer: IncompleteRead"):
        asker(most_retries=1).ask(b"x")
    assert len(model.asked) == 2


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
        own = Asker(nobody, headers={}, timeout_s=1, most_retries=0, first_pause_s=0, last_wait_s=0)
        with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
            own.ask(b"x")
        assert own.parameters() == {}


def test_time_runs_out_also_for_an_answer_that_trickles(model: Model, asker: Make) -> None:
    over = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        while not over.wait(0.02):
            handler.wfile.write(b"x")

    model.act = trickle
    with pytest.raises(NoAnswer, match=r"no answer within 0\.2 s \(InvocationsTimeoutInSeconds\)"):
        asker(timeout_s=0.2, most_retries=0).ask(b"x")
    over.set()


def test_who_waits_is_called_off(model: Model, asker: Make) -> None:
    asked, over = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked.set()
        over.wait(20)

    model.act = hang
    own = asker(first_pause_s=20.0)
    ended: list[BaseException] = []

    def wait() -> None:
        try:
            own.ask(b"x")
        except Interrupted as fault:
            ended.append(fault)

    thread = threading.Thread(target=wait)
    thread.start()
    assert asked.wait(20)
    own.end()
    thread.join(10)
    over.set()
    assert len(ended) == 1
    assert len(model.asked) == 1


def test_nothing_is_asked_once_it_is_over(model: Model, asker: Make) -> None:
    with pytest.raises(Interrupted):
        asker(is_over=lambda: True).ask(b"x")
    assert model.asked == []


def test_a_stream_of_any_length_goes_in_pieces_and_begins_again_at_each_try(
    model: Model, asker: Make
) -> None:
    data = bytes(range(256)) * 4096
    answers = [503]

    def act(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if answers:
            reply(handler, answers.pop(), b"later")
        else:
            reply(handler, 200, body[::-1])

    model.act = act
    target = io.BytesIO(b"left from before")
    asker().stream(io.BytesIO(data), target)
    assert target.getvalue() == data[::-1]
    assert model.asked == [data, data]


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"MaxPayloadInMB": 2}', {"MaxPayloadInMB": 2}),
        (404, b'{"code": 404}', {}),
        (200, b"[1]", {}),
        (200, b"<html>", {}),
    ],
)
def test_what_the_server_wants(
    model: Model, asker: Make, status: int, body: bytes, found: dict[str, int]
) -> None:
    model.act = lambda handler, _: reply(handler, status, body)
    assert asker().parameters() == found


def test_a_refusal_before_all_was_sent_is_heard(model: Model, asker: Make) -> None:
    large = b"x" * (8 << 20)

    class Early(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply(self, 413, b"too large")
            self.connection.shutdown(socket.SHUT_RD)
            time.sleep(0.05)

        def log_message(self, *args: Any) -> None:
            pass

    model.server.RequestHandlerClass = Early
    with pytest.raises((Refused, NoAnswer)) as caught:
        asker(most_retries=0).ask(large)
    assert "413" in str(caught.value) or "Reset" in str(caught.value)
