"""HTTP on a connection: uvicorn's own, with a bound on what a request's head may take."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 1 << 20
"""Bytes; what AWS clients send is below a hundredth of it."""


class BoundedProtocol(HttpToolsProtocol):
    """The parser would gather headers without end, from clients that nobody has authenticated yet."""

    _head: int | None = 0
    """Bytes of the head under way; None while a body is coming in."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > LONGEST_HEAD and not self.transport.is_closing():
                self.send_400_response(f"The request's headers are longer than {LONGEST_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._head = 0
        super().on_message_complete()
