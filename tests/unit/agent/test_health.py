"""Pings of a server in a thread that answers as it is told."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from clary.agent.health import Health, Port


class Program:
    """`status` and `body` of its next answers; `wait` holds them up until it is set."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"way": "here"}'
        self.wait = threading.Event()
        self.wait.set()
        self.reports: list[Mapping[str, Any]] = []
        self.trouble: OSError | None = None
        program = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                program.wait.wait(20)
                self.send_response(program.status if self.path == "/ping" else 404)
                self.send_header("content-length", str(len(program.body)))
                self.end_headers()
                self.wfile.write(program.body)

            def log_message(self, *args: Any) -> None:
                pass

        port = Port()
        self.server = ThreadingHTTPServer(("127.0.0.1", port.number), Handler)
        port.close()
        self.server.daemon_threads = True

    def ready(self, report: Mapping[str, Any]) -> None:
        if self.trouble:
            raise self.trouble
        self.reports.append(report)

    def health(self, **changes: float) -> Health:
        settings = {"startup_s": 30.0, "period_s": 0.01, "patience_s": 0.3, **changes}
        return Health(self.server.server_port, self.ready, **settings)


@pytest.fixture
def program() -> Iterator[Program]:
    program = Program()
    thread = threading.Thread(target=program.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield program
    program.wait.set()
    program.server.shutdown()
    thread.join()
    program.server.server_close()


def until(holds: Any) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("body", "report"),
    [
        (b'{"way": "here"}', {"way": "here"}),
        (b"", {}),
        (b"ready", {}),
        (b"[1]", {}),
        (b"\xff{", {}),
        (b"[" * 60_000, {}),
    ],
)
def test_what_a_program_says_of_itself_is_told_once(program: Program, body: bytes, report: Any) -> None:
    program.body = body
    health = program.health()
    health.start()
    until(lambda: program.reports)
    time.sleep(0.05)
    health.finish()
    assert program.reports == [report] and health.fault == ""


def test_a_program_that_says_no_gets_its_time_to_start(program: Program) -> None:
    program.status = 503
    health = program.health()
    health.start()
    time.sleep(0.2)
    assert program.reports == [] and health.fault == ""
    program.status = 200
    until(lambda: program.reports)
    health.finish()


def test_a_program_that_never_says_yes(program: Program) -> None:
    program.status, program.body = 500, "größer als".encode() + b"!" * 1000
    health = program.health(startup_s=0.2)
    health.start()
    until(lambda: health.fault)
    assert (
        "not answered with status 200 within 0.2 s: the last answer had status 500 (größer als!!"
        in health.fault
    )
    assert len(health.fault) < 500 and program.reports == []
    health.finish()


def test_a_program_that_falls_silent(program: Program) -> None:
    health = program.health()
    health.start()
    until(lambda: program.reports)
    program.wait.clear()
    until(lambda: health.fault)
    assert "was not answered with status 200 for 0.3 s: no answer came in 0.3 s." in health.fault
    health.finish()


def test_a_program_that_only_has_much_to_do_is_left_alone(program: Program) -> None:
    health = program.health(patience_s=20.0)
    health.start()
    until(lambda: program.reports)
    program.wait.clear()
    time.sleep(0.2)
    program.wait.set()
    program.status = 503
    time.sleep(0.1)
    assert health.fault == ""
    health.finish()


def test_a_program_that_is_gone(program: Program) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        health = Health(nobody.getsockname()[1], program.ready, startup_s=0.1)
        health.start()
        until(lambda: health.fault)
    assert "nothing listens there" in health.fault


def test_an_answer_that_is_not_http(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0\r\n")
                connection.recv(1000)

        thread = threading.Thread(target=talk)
        thread.start()
        health = Health(listener.getsockname()[1], program.ready, startup_s=0.01)
        health.start()
        until(lambda: health.fault)
        thread.join()
    assert "the answer was broken (BadStatusLine: SSH-2.0" in health.fault


def test_an_address_that_cannot_be_written_down_yet_is_tried_again(program: Program) -> None:
    program.trouble = OSError(28, "No space left on device")
    health = program.health()
    health.start()
    time.sleep(0.15)
    program.trouble = None
    until(lambda: program.reports)
    health.finish()
    assert program.reports == [{"way": "here"}] and health.fault == ""


def test_after_the_end_nothing_is_told(program: Program) -> None:
    program.status = 503
    health = program.health()
    health.start()
    health.finish()
    program.status = 200
    time.sleep(0.1)
    assert program.reports == []
    program.health().finish()


def test_ports_are_free_and_below_those_of_outgoing_connections() -> None:
    ports = [Port() for _ in range(50)]
    found = {port.number for port in ports}
    assert len(found) == 50 and all(20_000 <= number < 32_000 for number in found)
    for port in ports:
        port.close()


def test_a_port_is_nobody_elses_before_its_program_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two instances whose models take long to come do not get the same port."""
    draws = iter([7, 7, 8, 7])
    monkeypatch.setattr("clary.agent.health.os.urandom", lambda size: next(draws).to_bytes(size, "big"))
    first, second = Port(), Port()
    assert second.number == first.number + 1
    first.close()
    third = Port()
    assert third.number == first.number
    second.close()
    third.close()
