"""The front's end of a template (see `template`): asks for children, hears of their deaths."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from clary.serving.template import MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class Death:
    signal: int = 0
    exit: int = 0
    why: str = ""

    def __str__(self) -> str:
        if self.why:
            return self.why
        if not self.signal:
            return f"ended with exit code {self.exit}"
        try:
            name = signal.Signals(self.signal).name
        except ValueError:
            name = f"signal {self.signal}"
        hint = ", as the system does when memory runs out" if self.signal == signal.SIGKILL else ""
        return f"killed by {name}{hint}"


class Forker:
    """`on_news` gets what the template says of itself, `on_gone` is called once, when it is no more."""

    def __init__(
        self,
        control: socket.socket,
        *,
        on_gone: Callable[[], None],
        on_news: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._control = control
        self._on_gone = on_gone
        self._on_news = on_news
        self._deaths: dict[int, Callable[[Death], None]] = {}
        self._last = 0
        self._loop = asyncio.get_running_loop()
        control.setblocking(False)
        self._loop.add_reader(control, self._read)

    def fork(
        self, order: Mapping[str, Any], *sockets: socket.socket, on_death: Callable[[Death], None]
    ) -> int:
        """The child's number. The sockets are the child's: they are closed here."""
        self._last += 1
        child = self._last
        self._deaths[child] = on_death
        message = json.dumps({"do": "fork", "child": child, "order": order}).encode()
        try:
            socket.send_fds(self._control, [message], [one.fileno() for one in sockets])
        except OSError as error:
            self._loop.call_soon(self._died, child, Death(why=f"could not be forked: {error}"))
        for one in sockets:
            one.close()
        return child

    def kill(self, child: int) -> None:
        if child in self._deaths:
            self._send({"do": "kill", "child": child})

    def drain(self) -> None:
        """Hears what has already been said."""
        self._read()

    def close(self) -> None:
        """The template ends, and what it has forked."""
        if self._control.fileno() >= 0:
            self._loop.remove_reader(self._control)
            self._control.close()

    def _send(self, order: Mapping[str, Any]) -> None:
        try:
            self._control.send(json.dumps(order).encode())
        except OSError:
            self._gone()

    def _read(self) -> None:
        while self._control.fileno() >= 0:
            try:
                message = self._control.recv(MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._gone()
                return
            news = json.loads(message)
            if news["say"] == "died":
                self._died(
                    news["child"], Death(news.get("signal", 0), news.get("exit", 0), news.get("why", ""))
                )
            else:
                self._on_news(news)

    def _died(self, child: int, death: Death) -> None:
        on_death = self._deaths.pop(child, None)
        if on_death is not None:
            on_death(death)

    def _gone(self) -> None:
        if self._control.fileno() >= 0:
            self.close()
            self._on_gone()
