"""The ASGI application: Clary's own few pages under /_clary, and the AWS API everywhere else."""

from __future__ import annotations

import math
import secrets
import time
from contextlib import aclosing
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import clary
from clary.errors import ClientFault, Fault
from clary.server.bodies import IncompleteBody, ReceivedBody, discard, pieces
from clary.server.changes import Changes
from clary.server.gateway import Gateway
from clary.services import tuning_belief
from clary.wire.faults import encode_fault
from clary.wire.http import Body, Hangup, Headers, HttpRequest, HttpResponse

THREADS = 128
INVOCATIONS = 512  # each may wait for a model: with threads of their own they keep nothing else waiting
TAKEN_EARLY = 1 << 18  # bytes of a request to a model that are taken in before a thread is
LONGEST_WAIT_S = 60.0
LONGEST_DRAIN = 8 << 20  # bytes


def make_app(gateway: Gateway, changes: Changes) -> ASGIApp:
    app = Starlette(
        routes=[
            Route("/_clary/health", health),
            Route("/_clary/changes", _changes_page(gateway, changes)),
            Route("/_clary/tuning/{name}", _tuning_page(gateway)),
        ]
    )
    # not a Mount: no pattern of paths may stand between us and the keys of S3, which can hold line breaks
    app.router.default = Edge(gateway)
    return app


async def health(request: Request) -> Response:  # noqa: ARG001
    """Unsigned: says only that a server is here, and which."""
    return JSONResponse({"status": "ok", "version": clary.__version__})


class Edge:
    """From ASGI to a blocking gateway and back."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._limiters: tuple[anyio.CapacityLimiter, anyio.CapacityLimiter] | None = None
        self._at_work = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._limiters is None:
            self._limiters = anyio.CapacityLimiter(THREADS), anyio.CapacityLimiter(INVOCATIONS)
        body = ReceivedBody(receive)
        request = request_of(scope, body)
        is_invocation = asks_a_model(request)
        limiter = self._limiters[is_invocation]
        if not is_invocation:
            response = await anyio.to_thread.run_sync(self._gateway.answer, request, limiter=limiter)
        elif limiter.available_tokens < 1:
            response = too_many()
        else:
            try:
                response = await self._invoke(request, body, receive, limiter)
            except IncompleteBody:
                return  # the client went in the middle of its request
        if not await is_spent(request, body):
            response.headers.append(("Connection", "close"))
        head = request.method == "HEAD"
        await transmit(response, receive, send, head=head, limiter=limiter, hangup=request.hangup)

    async def _invoke(
        self, request: HttpRequest, body: ReceivedBody, receive: Receive, limiter: anyio.CapacityLimiter
    ) -> HttpResponse:
        """The gateway's answer; a client that goes meanwhile is told to whoever works for it."""
        if _length(request) <= TAKEN_EARLY:
            await body.take()
        if self._at_work >= INVOCATIONS:  # others came while this one came in
            return too_many()
        self._at_work += 1
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_listen, body, receive, request.hangup)
                response = await anyio.to_thread.run_sync(self._gateway.answer, request, limiter=limiter)
                group.cancel_scope.cancel()
        finally:
            self._at_work -= 1
        return response


def asks_a_model(request: HttpRequest) -> bool:
    """Whether the answer may have to wait for a model."""
    path = request.path
    return path.startswith("/endpoints/") and path.endswith(("/invocations", "/invocations-response-stream"))


def too_many() -> HttpResponse:
    message = f"{INVOCATIONS} requests to endpoints are under way. Try again when some of them are answered."
    return encode_fault(
        "rest-json",
        ClientFault(message, code="ServiceUnavailable", status=503),
        request_id=secrets.token_hex(8),
    )


async def _listen(body: ReceivedBody, receive: Receive, hangup: Hangup) -> None:
    await body.ended()
    while (await receive())["type"] != "http.disconnect":
        pass
    hangup.come()


async def is_spent(request: HttpRequest, body: ReceivedBody) -> bool:
    """True when nothing of the request is still to come, so that the next one may use the connection.

    An answer can be ready before the body was read. A client that waits for our "100 Continue" will then not send
    it; one that sends all the same is heard out for a while, since a closed ear could cost it the answer.
    """
    if body.complete or not ("transfer-encoding" in request.headers or _announced(request)):
        return True
    if not body.begun and "100-continue" in request.headers.get("expect", "").lower():
        return False
    return await body.drain(LONGEST_DRAIN)


def _length(request: HttpRequest) -> float:
    """Bytes that a request says it has; of one that does not say, as many as there may be."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdecimal() else math.inf


def _announced(request: HttpRequest) -> bool:
    return request.headers.get("content-length", "0") != "0"


def request_of(scope: Scope, body: Body) -> HttpRequest:
    """The request as it came over the wire: path and query still percent-encoded."""
    return HttpRequest(
        method=scope["method"],
        path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=Headers((k.decode("latin-1"), v.decode("latin-1")) for k, v in scope["headers"]),
        body=body,
        secure=scope["scheme"] == "https",
        came=time.perf_counter(),
    )


async def transmit(
    response: HttpResponse,
    receive: Receive,
    send: Send,
    *,
    head: bool,
    limiter: anyio.CapacityLimiter | None = None,
    hangup: Hangup | None = None,
) -> None:
    """Send a response. `limiter`: the threads that may wait for pieces of it; `hangup` is told when the client goes."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    rest = response.body
    if head or isinstance(rest, bytes):
        discard(rest)
        body = rest if isinstance(rest, bytes) and not head else b""
        await send({"type": "http.response.body", "body": body})
        return
    async with anyio.create_task_group() as group, aclosing(pieces(rest, limiter)) as parts:
        group.start_soon(_until_gone, receive, group.cancel_scope, hangup)
        async for piece in parts:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        group.cancel_scope.cancel()


async def _until_gone(receive: Receive, scope: anyio.CancelScope, hangup: Hangup | None) -> None:
    """The server swallows what is sent to a client that has gone: the rest of a large file would be read for nobody."""
    while (await receive())["type"] != "http.disconnect":
        pass
    if hangup is not None:
        hangup.come()
    scope.cancel()


def _changes_page(gateway: Gateway, changes: Changes) -> ASGIApp:
    async def wait_for_change(request: Request) -> Response:
        """Signed with service name `clary`. ?since=<version>&timeout=<s>: answers once there is a newer version."""
        signed = request_of(request.scope, ReceivedBody(request.receive))
        try:
            await anyio.to_thread.run_sync(lambda: gateway.authenticate(signed, service="clary"))
            since = int(request.query_params.get("since", "0"))
            timeout_s = float(request.query_params.get("timeout", "0"))
            if math.isnan(timeout_s):
                raise ValueError(timeout_s)
        except Fault as fault:
            return _refusal(fault)
        except ValueError:
            message = "since must be a whole number and timeout a number of seconds"
            return JSONResponse({"__type": "ValidationException", "message": message}, 400)
        version = await changes.wait(since, min(timeout_s, LONGEST_WAIT_S))
        return JSONResponse({"version": version.changes, "statuses": version.statuses})

    return wait_for_change  # type: ignore[return-value]


def _tuning_page(gateway: Gateway) -> ASGIApp:
    async def tell(request: Request) -> Response:
        """Signed with service name `clary`: what the study believes, and why it stopped what it stopped."""
        signed = request_of(request.scope, ReceivedBody(request.receive))

        def read() -> Any:
            gateway.authenticate(signed, service="clary")
            return tuning_belief.read(gateway.store, request.path_params["name"])

        try:
            return JSONResponse(await anyio.to_thread.run_sync(read))
        except Fault as fault:
            return _refusal(fault)

    return tell  # type: ignore[return-value]


def _refusal(fault: Fault) -> Response:
    return JSONResponse({"__type": fault.code, "message": fault.message}, fault.status)
