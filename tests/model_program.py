"""A small HTTP program in the place of a model's server: the request's body says what it shall do."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from clary.domain.endpoints import generation_of
from clary.store.base import Resource


class ModelProgram:
    """Answers at `address` until it is closed. `seen` holds the bodies it was sent, `headers` those of the last.

    Bodies: a JSON document {"do": ..., ...}; any other is given back as it is. A header of the answer has `name`.
    """

    def __init__(self, name: str = "one") -> None:
        self.name = name
        self.seen: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.connections = 0
        self.left = threading.Event()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler, self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody listens any more; connections end."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handler: Any, program: ModelProgram) -> None:
        self.program = program
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.program.connections += 1
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        program = self.server.program
        body = self.rfile.read(int(self.headers["Content-Length"]))
        program.headers = {name.lower(): value for name, value in self.headers.items()}
        program.seen.append(body)
        try:
            task = json.loads(body)
        except ValueError:
            task = None
        if not isinstance(task, dict) or "do" not in task:
            self._answer(200, body)
            return
        getattr(self, f"_{task['do']}")(task)

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", self.headers.get("Content-Type") or "text/plain")
        self.send_header("X-Program", self.server.program.name)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _status(self, task: dict[str, Any]) -> None:
        self._answer(task["status"], task.get("text", "").encode(), **task.get("headers", {}))

    def _sleep(self, task: dict[str, Any]) -> None:
        time.sleep(task["s"])
        self._answer(200, b"slept")

    def _until_left(self, task: dict[str, Any]) -> None:
        """Nothing is answered; tells when the client has gone."""
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        self.server.program.left.set()
        self.close_connection = True

    def _die(self, task: dict[str, Any]) -> None:
        """The connection ends in a reset, as when a process is killed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _large(self, task: dict[str, Any]) -> None:
        self._answer(200, b"x" * task["bytes"])

    def _refuse(self, task: dict[str, Any]) -> None:
        if self.server.program.name in task["who"]:
            self._answer(503, b'{"message": "ask later"}', X_Clary_Refused=task.get("why", "queue"))
        else:
            self._answer(200, b"taken")

    def _close_after(self, task: dict[str, Any]) -> None:
        """An answer whose length is known only by its end."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"to the end")
        self.close_connection = True

    def _stream(self, task: dict[str, Any]) -> None:
        """`pieces`, each after `s` seconds; `then`: "end", "break" or "hang"."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for piece in task["pieces"]:
                time.sleep(task.get("s", 0.0))
                self.wfile.write(f"{len(piece.encode()):x}\r\n{piece}\r\n".encode())
            if task.get("then", "end") == "end":
                self.wfile.write(b"0\r\n\r\n")
                return
            if task["then"] == "hang":
                self.connection.recv(1)
        except OSError:
            pass
        self.server.program.left.set()
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


def endpoint_row(
    name: str,
    programs: dict[str, list[str]],
    *,
    status: str = "InService",
    config: dict[str, Any] | None = None,
    variant: dict[str, Any] | None = None,
    weights: dict[str, float] | None = None,
    reason: str | None = None,
    mode: str = "SingleModel",
) -> Resource:
    """An endpoint as its controller leaves it: `programs` are the addresses of each variant's instances."""
    document = {
        "ProductionVariants": [
            {
                "VariantName": key,
                "ModelName": "model",
                "InitialInstanceCount": len(addresses),
                "InitialVariantWeight": (weights or {}).get(key, 1.0),
                **(variant or {}),
            }
            for key, addresses in programs.items()
        ],
        **(config or {}),
    }
    state = {
        "generations": {
            "g1": generation_of("config", document, {"model": {"PrimaryContainer": {"Mode": mode}}}, now=1.0)
        },
        "live": None if status == "Creating" else "g1",
        "target": "g1",
        "traffic": [] if status == "Creating" else [{"generation": "g1", "share": 1.0}],
        "instances": [
            {"id": f"{key}-{number}", "generation": "g1", "variant": key, "address": address}
            for key, addresses in programs.items()
            for number, address in enumerate(addresses)
        ],
        "reports": {},
        **({"reason": reason} if reason else {}),
    }
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name.lower()}"
    return Resource("endpoint", name, arn, status, {"EndpointName": name}, state, created=1.0, modified=1.0)
