"""The HTTP face: which path is answered how. What a model answers, and who computes it, is others' business."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import inf
from typing import Any
from urllib.parse import unquote

from clary.serving.configuration import Configuration
from clary.serving.handler import Request, Response
from clary.serving.http import Exchange
from clary.serving.models import Models
from clary.serving.pool import Pool
from clary.serving.refusals import refusal, turned_away
from clary.serving.waiting import Asked

TARGET = "x-amzn-sagemaker-target-model"
STREAM = "x-clary-stream"
TIMEOUT = "x-clary-timeout"
"""Seconds that the client waits: for the answer, or for each piece of a stream."""
_TEXT = "text/plain; charset=utf-8"
_PAYLOAD_MB = 6


class HttpReply:
    """A `Reply` on an exchange."""

    def __init__(self, exchange: Exchange, accept: str) -> None:
        self._exchange = exchange
        self._accept = accept
        self._has_begun = False

    @property
    def is_slow(self) -> bool:
        return self._exchange.is_slow

    def answer(self, response: Response) -> None:
        if not 200 <= response.status < 600:
            fault = f"the model's code gave its answer the status {response.status}: 200 to 599 there are"
            response = refusal(500, "InternalServerException", fault)
        self._exchange.answer(response.status, response.content_type, response.headers, response.body)

    def piece(self, data: bytes) -> None:
        self._begin()
        self._exchange.piece(data)

    def end(self) -> None:
        self._begin()
        self._exchange.end()

    def break_off(self) -> None:
        self._exchange.abort()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            names_one_type = self._accept and "*" not in self._accept and "," not in self._accept
            self._exchange.begin(self._accept if names_one_type else _TEXT)


class Front:
    """`served` is the pool of the one model, or many models."""

    def __init__(
        self, served: Pool | Models, configuration: Configuration, *, clock: Callable[[], float]
    ) -> None:
        self._served = served
        self._configuration = configuration
        self._clock = clock

    def serve(self, exchange: Exchange) -> None:
        method, path = exchange.head.method, exchange.head.target.partition("?")[0]
        if path == "/invocations":
            self._invoke(exchange, exchange.head.headers.get(TARGET, ""))
        elif path == "/ping":
            self._ping(exchange)
        elif path == "/execution-parameters":
            self._answer(exchange, self._execution_parameters(), needs="GET")
        elif isinstance(self._served, Models) and (path == "/models" or path.startswith("/models/")):
            self._serve_models(exchange, self._served, method, path)
        else:
            _refuse(exchange, 404, "NotFound", f"there is no {path}: POST /invocations asks the model")

    def _invoke(self, exchange: Exchange, model: str) -> None:
        if exchange.head.method != "POST":
            _refuse(exchange, 405, "MethodNotAllowed", "the model is asked with POST /invocations")
            return
        headers = exchange.head.headers
        request = Request(exchange.body, headers.get("content-type", ""), headers.get("accept", ""), headers)
        asked = Asked(
            request,
            HttpReply(exchange, request.accept),
            self._clock(),
            streams=headers.get(STREAM, "").lower() == "true",
            patience_s=_seconds(headers.get(TIMEOUT, "")),
        )
        exchange.on_gone = asked.client_gone
        exchange.on_ready = asked.client_ready
        if isinstance(self._served, Pool):
            self._served.ask(asked)
        elif model:
            self._served.ask(model, asked)
        else:
            message = "this endpoint has several models: name one in TargetModel"
            _refuse(
                exchange,
                400,
                "TargetModelMissing",
                f"{message} ({TARGET} for those who ask the server itself)",
            )

    def _ping(self, exchange: Exchange) -> None:
        served = self._served
        if isinstance(served, Models):
            self._answer(exchange, served.report, needs="GET")
        elif served.has_served or exchange.head.method != "GET":
            self._answer(exchange, {"workers": served.workers, **served.report}, needs="GET")
        else:
            _send(exchange, turned_away("loading", "Loading", "the model is being loaded"))

    def _execution_parameters(self) -> Mapping[str, Any]:
        """What a transform job asks: enough at once that no worker waits, and SageMaker's own default of a payload."""
        most = min(self._configuration.max_body >> 20, _PAYLOAD_MB)
        concurrency = 2 * self._configuration.workers
        return {
            "MaxConcurrentTransforms": concurrency,
            "BatchStrategy": "SINGLE_RECORD",
            "MaxPayloadInMB": most,
        }

    def _serve_models(self, exchange: Exchange, models: Models, method: str, path: str) -> None:
        name = unquote(path.removeprefix("/models").removeprefix("/"))
        if name.endswith("/invoke") and method == "POST":
            self._invoke(exchange, name.removesuffix("/invoke"))
        elif not name and method == "GET":
            self._answer(
                exchange, {"models": [_described(models, one) for one in models.names()]}, needs="GET"
            )
        elif not name and method == "POST":
            self._load(exchange, models)
        elif name and method in ("GET", "DELETE"):
            self._describe_or_unload(exchange, models, method, name)
        else:
            _refuse(exchange, 405, "MethodNotAllowed", f"{method} {path} is nothing that this server does")

    def _load(self, exchange: Exchange, models: Models) -> None:
        try:
            name = json.loads(exchange.body)["model_name"]
        except (ValueError, TypeError, KeyError):
            name = None
        if not isinstance(name, str) or not name:
            _refuse(exchange, 400, "BadRequest", 'the body is to be {"model_name": "path/of/a/model.tar.gz"}')
        elif not models.load(name, lambda pool: _send_loaded(exchange, name, pool)):
            _refuse(exchange, 409, "ModelAlreadyLoaded", f"the model {name!r} is loaded already")

    def _describe_or_unload(self, exchange: Exchange, models: Models, method: str, name: str) -> None:
        if method == "GET" and models.url(name):
            self._answer(exchange, _described(models, name), needs="GET")
        elif method == "DELETE" and models.unload(name):
            self._answer(exchange, {"status": f"the model {name!r} is unloaded"}, needs="DELETE")
        else:
            _refuse(exchange, 404, "ModelNotFound", f"the model {name!r} is not loaded")

    def _answer(self, exchange: Exchange, document: Mapping[str, Any], *, needs: str) -> None:
        if exchange.head.method not in (needs, "HEAD"):
            _refuse(exchange, 405, "MethodNotAllowed", f"{needs} is what this path answers")
            return
        _send(exchange, Response(json.dumps(document).encode(), "application/json"))


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        return inf
    return seconds if seconds > 0 else inf


def _described(models: Models, name: str) -> Mapping[str, Any]:
    return {"modelName": name, "modelUrl": models.url(name)}


def _send_loaded(exchange: Exchange, name: str, pool: Pool) -> None:
    if pool.failure is None:
        _send(
            exchange,
            Response(json.dumps({"status": f"the model {name!r} is loaded"}).encode(), "application/json"),
        )
    else:
        _send(exchange, pool.failure.response())


def _refuse(exchange: Exchange, status: int, kind: str, message: str) -> None:
    _send(exchange, refusal(status, kind, message))


def _send(exchange: Exchange, response: Response) -> None:
    exchange.answer(response.status, response.content_type, response.headers, response.body)
