"""A worker: one process that answers, one message after another, on the socket that the front gave it.

    front -> worker    {"do": "answer", "job", "requests": [[content type, accept, headers], ...]} and their bodies
                       {"do": "stream", ...} with one request
                       {"do": "cancel", "job"}: nobody wants the rest of that stream
    worker -> front    {"do": "ready"} once
                       {"do": "answers", "job", "responses": [[status, content type, headers], ...]} and their bodies
                       {"do": "piece", "job"} and its bytes; {"do": "end", "job"} after the last
A stream that cannot begin, or breaks, is answered with "answers". The worker ends when the socket is closed.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress

from clary.serving.frames import Frame, encode, receive
from clary.serving.handler import Handler, Request, Response
from clary.serving.refusals import refusal


class Worker:
    def __init__(self, handler: Handler, channel: socket.socket) -> None:
        self._handler = handler
        self._channel = channel
        self._pid = os.getpid()
        self._closed = select.poll()
        self._closed.register(channel, select.POLLIN)

    def run(self) -> None:
        """Until the front closes the socket, or is no more."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._send({"do": "ready"})
            while (frame := receive(self._channel)) is not None:
                if frame.head["do"] == "answer":
                    self._answer(frame)
                elif frame.head["do"] == "stream":
                    self._stream(frame)

    def _answer(self, frame: Frame) -> None:
        self._send_responses(frame.head["job"], answers(self._handler, _requests(frame)))

    def _stream(self, frame: Frame) -> None:
        job = frame.head["job"]
        try:
            if not self._send_pieces(job, self._handler.stream(_requests(frame)[0])):
                return
        except (BrokenPipeError, ConnectionResetError):
            raise
        except BaseException as error:  # noqa: BLE001 - user code: whatever it raises, the worker goes on
            self._send_responses(job, [_failed(error)])
            return
        self._send({"do": "end", "job": job})

    def _send_pieces(self, job: int, pieces: Iterator[bytes | Response]) -> bool:
        """Whether it came to its end, or to where nobody wanted more of it; not so after a Response."""
        try:
            for piece in pieces:
                if isinstance(piece, Response):
                    self._send_responses(job, [piece])
                    return False
                self._send({"do": "piece", "job": job}, [piece])
                if self._is_cancelled(job):
                    return True
            return True
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def _is_cancelled(self, job: int) -> bool:
        while self._closed.poll(0):
            frame = receive(self._channel)
            if frame is None:
                raise BrokenPipeError
            if frame.head["do"] == "cancel" and frame.head["job"] == job:
                return True
        return False

    def _send_responses(self, job: int, responses: Sequence[Response]) -> None:
        heads = [_head(one) for one in responses]
        self._send({"do": "answers", "job": job, "responses": heads}, [bytes(one.body) for one in responses])

    def _send(self, head: dict[str, object], bodies: Sequence[bytes] = ()) -> None:
        leave_if_forked(self._pid)
        self._channel.sendall(encode(head, bodies))


def _head(response: Response) -> list[object]:
    """As the front can rely on it, whatever a script has set."""
    headers = {str(name): str(value) for name, value in response.headers.items()}
    return [int(response.status), str(response.content_type or ""), headers]


def leave_if_forked(pid: int) -> None:
    """Ends a process that code of the user forked and that came back from there: the worker `pid` answers, not both."""
    if os.getpid() != pid:
        os._exit(0)


def answers(handler: Handler, requests: Sequence[Request]) -> Sequence[Response]:
    """What the handler answers; a handler that raises, against its promise, has failed for all of them."""
    try:
        responses = handler.answer(requests)
    except BaseException as error:  # noqa: BLE001 - user code: whatever it raises, the worker goes on
        return [_failed(error)] * len(requests)
    if len(responses) != len(requests):
        fault = f"the handler gave {len(responses)} answers to {len(requests)} requests"
        return [refusal(500, "InternalServerException", fault)] * len(requests)
    return responses


def _failed(error: BaseException) -> Response:
    traceback.print_exception(error, file=sys.stderr)
    return refusal(500, "InternalServerException", f"{type(error).__name__}: {error}")


def _requests(frame: Frame) -> list[Request]:
    heads = frame.head["requests"]
    return [Request(body, *head) for body, head in zip(frame.bodies, heads, strict=True)]
