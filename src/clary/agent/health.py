"""Whether a program that serves HTTP answers: asked on /ping until it does, and from then on."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

HOST = "127.0.0.1"

_FIRST_PORT, _LAST_PORT = 20_000, 32_000
_ATTEMPTS = 200
_KNOCK_S = 0.05
_ANSWER_S = 2.0
_PERIOD_S = 5.0
PATIENCE_S = 60.0
_REPORT_BYTES = 1 << 16
_SHOWN = 200

Ready = Callable[[Mapping[str, Any]], None]
"""Called once, with what the program said of itself: the JSON object of its answer, empty if it was none."""


class Port:
    """A port of the loopback for a program that starts soon: its `number` is nobody else's until `close`.

    Not one of those that the kernel gives to outgoing connections: it might give it away before the program listens.
    """

    def __init__(self) -> None:
        self._mark = socket.socket(socket.AF_UNIX)
        for _ in range(_ATTEMPTS):
            self.number = _FIRST_PORT + int.from_bytes(os.urandom(4), "big") % (_LAST_PORT - _FIRST_PORT)
            if self._is_mine() and _is_free(self.number):
                return
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.number = int(probe.getsockname()[1])

    def close(self) -> None:
        self._mark.close()

    def _is_mine(self) -> bool:
        """A name in the kernel, which nobody else has and which goes with this process: a model may take long to come,
        and meanwhile nothing listens on its port."""
        self._mark.close()
        self._mark = socket.socket(socket.AF_UNIX)
        try:
            self._mark.bind(f"\0clary/port/{self.number}")
        except OSError:
            return False
        return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


class Health:
    """Pings in a thread of its own between `start` and `finish`. `fault` says what is wrong, empty while nothing is.

    A program that never answered gets `startup_s`; one that has answered may be silent for `patience_s`. It may answer
    one request at a time: a later ping waits in its queue that long.
    """

    def __init__(
        self,
        port: int,
        ready: Ready,
        *,
        startup_s: float,
        period_s: float = _PERIOD_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.fault = ""
        self._port = port
        self._ready = ready
        self._startup_s = startup_s
        self._period_s = period_s
        self._patience_s = patience_s
        self._over = threading.Event()
        self._trouble = "it was not asked yet"
        self._thread = threading.Thread(target=self._work, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """To be called when the program is gone, or has been asked to go."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join(_ANSWER_S)

    def _work(self) -> None:
        if self._wait_until_ready():
            self._watch()

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + self._startup_s
        while not self._over.wait(_KNOCK_S):
            report = self._ping(_ANSWER_S)
            if report is not None and self._tell(report):
                return True
            if time.monotonic() >= deadline:
                self.fault = (
                    f"did not pass the ping health check: GET /ping on {HOST}:{self._port} was not answered with "
                    f"status 200 within {self._startup_s:g} s: {self._trouble}."
                )
                return False
        return False

    def _watch(self) -> None:
        answered = time.monotonic()
        while not self._over.wait(self._period_s):
            if self._ping(self._patience_s) is not None:
                answered = time.monotonic()
            elif time.monotonic() - answered >= self._patience_s and not self._over.is_set():
                self.fault = (
                    f"stopped passing the ping health check: GET /ping on {HOST}:{self._port} was not answered with "
                    f"status 200 for {self._patience_s:g} s: {self._trouble}."
                )
                return

    def _tell(self, report: Mapping[str, Any]) -> bool:
        if self._over.is_set():
            return False
        try:
            self._ready(report)
        except OSError as fault:  # a full disk may have room again in a moment
            self._trouble = f"it answered, but that could not be written down ({fault})"
            return False
        return True

    def _ping(self, timeout_s: float) -> Mapping[str, Any] | None:
        """What the program says of itself; None, and the reason in `_trouble`, when all is not well."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=timeout_s)
        try:
            connection.request("GET", "/ping", headers={"Connection": "close"})
            response = connection.getresponse()
            body = response.read(_REPORT_BYTES)
        except ConnectionRefusedError:
            self._trouble = "nothing listens there (the port is in SAGEMAKER_BIND_TO_PORT)"
        except TimeoutError:
            self._trouble = f"no answer came in {timeout_s:g} s"
        except (OSError, http.client.HTTPException) as fault:
            self._trouble = f"the answer was broken ({type(fault).__name__}: {fault})"
        else:
            if response.status == 200:
                return _document(body)
            text = body[: 4 * _SHOWN].decode("utf-8", "replace")[:_SHOWN].strip()
            self._trouble = f"the last answer had status {response.status}" + f" ({text})" * bool(text)
        finally:
            connection.close()
        return None


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
