"""Every runner keeps the protocol's laws: the fake one, and the local one with the agent and with a stand-in for it."""

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clary.agent.contract import Plan
from clary.runners.base import Runner
from clary.runners.local import LocalRunner
from clary.runners.sandbox import Sandbox
from clary.testing import FakeRunner
from clary.testing.contracts import RunnerContract, sample_plan

STAND_IN = Path(__file__).parents[1] / "unit" / "runners" / "stand_in.py"


class TestFakeRunner(RunnerContract):
    def make_runner(self, home: Path) -> FakeRunner:
        return FakeRunner()

    def let_end(self, runner: Runner, folder: Path) -> None:
        assert isinstance(runner, FakeRunner)
        runner.end(folder)

    def kill_agent(self, runner: Runner, folder: Path) -> None:
        assert isinstance(runner, FakeRunner)
        runner.kill(folder)

    def starts(self, runner: Runner, folder: Path) -> int:
        assert isinstance(runner, FakeRunner)
        return runner.launched.count(folder)


class TestLocalRunnerAlone(RunnerContract):
    """With an agent that does the least it must."""

    def make_runner(self, home: Path) -> LocalRunner:
        return LocalRunner(Sandbox(home, isolation="none"), agent=(sys.executable, str(STAND_IN)))


class TestLocalRunner(RunnerContract):
    """With the real agent, and a server that takes every object it uploads."""

    isolation = "none"

    @pytest.fixture(autouse=True)
    def _serve(self) -> Iterator[None]:
        with ThreadingHTTPServer(("127.0.0.1", 0), TakeAll) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            self.endpoint = f"http://127.0.0.1:{server.server_port}"
            yield
            server.shutdown()
            thread.join()

    def make_runner(self, home: Path) -> LocalRunner:
        return LocalRunner(Sandbox(home, isolation=self.isolation))

    def waiting_plan(self) -> Plan:
        command = ("sh", "-c", "echo started; exec sleep 600")
        return sample_plan(*command, python=sys.executable, endpoint=self.endpoint)

    def ending_plan(self) -> Plan:
        return sample_plan("sh", "-c", "echo started", python=sys.executable, endpoint=self.endpoint)


class TestLocalRunnerConfined(TestLocalRunner):
    isolation = "auto"

    def make_runner(self, home: Path) -> LocalRunner:
        sandbox = Sandbox(home)
        if sandbox.why_not:
            pytest.skip(sandbox.why_not)
        return LocalRunner(sandbox)


class TakeAll(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("ETag", '"etag"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        pass
