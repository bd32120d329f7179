"""A model server as a process of its own, and what tests ask of it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[3] / "src"
PROGRAM = Path(__file__).with_name("program.py")
PATIENCE_S = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    folder: Path
    port: int = 0
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64))

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)

    def ask(
        self, body: str | bytes = b"", *, method: str = "POST", path: str = "/invocations", **headers: str
    ) -> Answer:
        connection = self.connect()
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            data = body.encode() if isinstance(body, str) else body
            connection.request(method, path, data, named)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.ask(method="GET", path=path)

    def asking(self, body: str, **headers: str) -> Future[Answer]:
        return self.threads.submit(self.ask, body, **headers)

    def begin(self, name: str) -> tuple[Path, Future[Answer]]:
        """A worker is held up until the file is there."""
        gate = self.folder / name
        future = self.asking(f"wait {gate}; echo {name}")
        wait_until(Path(f"{gate}.begun").exists)
        return gate, future

    def wait_until_ready(self, workers: int) -> None:
        wait_until(lambda: f'"workers": {workers}'.encode() in self.get("/ping").body)

    def take_notice(self) -> None:
        """What has been sent or closed before has been seen by the server when this returns."""
        for _ in range(3):
            self.get("/ping")

    def log(self) -> str:
        return (self.folder / "server.log").read_text()

    def loads(self, name: str = "") -> int:
        path = self.folder / f"loads{name}"
        return path.stat().st_size if path.exists() else 0

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@contextmanager
def serving(folder: Path, *, start: str = "", **environment: Any) -> Iterator[Server]:
    """Listening, not yet ready: `program`, or Clary's own (`MAIN`). Nothing of it is left at the end."""
    settings = {"SAGEMAKER_BIND_TO_PORT": 0, "TEST_FOLDER": folder, "CLARY_MODEL_DIR": folder} | environment
    told = {name: str(value) for name, value in settings.items()}
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", start or _START, str(SOURCE), str(PROGRAM)],
            env={"PATH": os.environ["PATH"]} | told,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(process, folder)
    try:
        wait_until(lambda: "listening at" in server.log() or process.poll() is not None)
        if found := re.search(r"listening at http://127.0.0.1:(\d+)", server.log()):
            server.port = int(found[1])
        yield server
    finally:
        server.threads.shutdown(wait=False, cancel_futures=True)
        for pid in group(process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        server.threads.shutdown()
        wait_until(lambda: not group(process.pid))


MAIN = "import sys; sys.path.append(sys.argv[1]); from clary.serving.main import main; main()"
_START = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"


def group(leader: int) -> list[int]:
    """The processes of that session that are alive."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(entry.name))
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it never came to that")
        time.sleep(0.01)
