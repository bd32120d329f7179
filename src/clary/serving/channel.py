"""The front's end of a worker's socket, in the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clary.serving.frames import Decoder, Frame, encode

_CHUNK = 1 << 18


class Channel:
    """Messages out as fast as the worker reads them, messages in to `on_frame`.

    is_unread: the worker is no more, and has not read all that it was sent.
    """

    def __init__(self, sock: socket.socket, on_frame: Callable[[Frame], None]) -> None:
        self._socket = sock
        self._on_frame = on_frame
        self._decoder = Decoder()
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._reads = False
        self.is_unread = False
        self.resume()

    def send(self, head: Mapping[str, Any], bodies: Sequence[bytes] = ()) -> None:
        """A worker that is no more gets nothing; that it died is told elsewhere."""
        data = encode(head, bodies)
        if not self._unsent:
            sent = self._try_to_send(data)
            if sent == len(data):
                return
            self._unsent += memoryview(data)[sent:]
            self._loop.add_writer(self._socket, self._send_more)
        else:
            self._unsent += data

    def drain(self) -> None:
        """Takes what has already come."""
        while self._socket.fileno() >= 0 and self._read_once():
            pass

    def pause(self) -> None:
        if self._reads:
            self._reads = False
            self._loop.remove_reader(self._socket)

    def resume(self) -> None:
        if not self._reads and self._socket.fileno() >= 0:
            self._reads = True
            self._loop.add_reader(self._socket, self._read_once)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            self.pause()
            self._loop.remove_writer(self._socket)
            self._socket.close()

    def _read_once(self) -> bool:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            self.is_unread |= isinstance(error, ConnectionResetError)
            data = b""
        if not data:
            self.pause()
            return False
        for frame in self._decoder.feed(data):
            self._on_frame(frame)
        return True

    def _send_more(self) -> None:
        sent = self._try_to_send(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _try_to_send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self.is_unread = True
            return len(data)
