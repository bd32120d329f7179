"""Kept-alive connections to instances."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

CONNECT_S = 1.0  # an instance that accepts no connection in this time is not there
IDLE_S = 1.5  # below the time after which servers close a connection that nobody uses
IDLE_AT_MOST = 64  # for one address


class NotBegun(Exception):
    """No instance can have begun the request: it may be sent to another."""


class Connection:
    """A socket to `address`. `idle_since` is on the monotonic clock."""

    def __init__(self, address: str, sock: socket.socket) -> None:
        self.address = address
        self.sock = sock
        self.idle_since = 0.0

    def is_fresh(self, now: float) -> bool:
        """False where the other side may have closed it, or said what nobody asked."""
        if now - self.idle_since > IDLE_S:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def abort(self) -> None:
        """End it from another thread: who waits for an answer wakes up."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.sock.close()


class Connections:
    """Lends connections; keeps those that come back. May be used by many threads at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: dict[str, list[Connection]] = {}

    def take(self, address: str) -> Connection:
        """A connection that was open a moment ago. Raises NotBegun when there is nobody at the address."""
        while found := self._pop(address):
            if found.is_fresh(self._clock()):
                return found
            found.close()
        return Connection(address, _connect(address))

    def give_back(self, connection: Connection) -> None:
        connection.idle_since = self._clock()
        with self._lock:
            idle = self._idle.setdefault(connection.address, [])
            if len(idle) < IDLE_AT_MOST:
                idle.append(connection)
                return
        connection.close()

    def sweep(self) -> None:
        """Close what has been idle for too long."""
        now = self._clock()
        stale = []
        with self._lock:
            for address, idle in list(self._idle.items()):
                stale += [one for one in idle if now - one.idle_since > IDLE_S]
                self._idle[address] = [one for one in idle if now - one.idle_since <= IDLE_S]
                if not self._idle[address]:
                    del self._idle[address]
        for connection in stale:
            connection.close()

    def close(self) -> None:
        with self._lock:
            idle = [connection for some in self._idle.values() for connection in some]
            self._idle.clear()
        for connection in idle:
            connection.close()

    def _pop(self, address: str) -> Connection | None:
        with self._lock:
            idle = self._idle.get(address)
            return idle.pop() if idle else None


def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        sock = socket.create_connection((host, int(port)), timeout=CONNECT_S)
    except OSError as error:
        raise NotBegun(f"nobody answers at {address}: {error}") from None
    if sock.getsockname() == sock.getpeername():  # two ends of one socket: the port is free, and we took it
        sock.close()
        raise NotBegun(f"nobody answers at {address}")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
