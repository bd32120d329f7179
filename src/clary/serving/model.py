"""The handler of a transformers model without code of the user."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from clary.serving import content, responses
from clary.serving.calls import Answer, Predictor, call_of
from clary.serving.handler import Request, Response


class Asked:
    """A request, read: its calls and the type of the answer. Raises RequestFault."""

    def __init__(self, request: Request, *, readable: Sequence[str], accept: str) -> None:
        lines = content.media_type(request.content_type) == content.LINES
        self.accept = content.wanted(request.accept, default=content.LINES if lines else accept)
        document = content.decoded(request.body, request.content_type, readable=readable)
        document = document.tolist() if isinstance(document, np.ndarray) else document
        self.calls = [call_of(record) for record in document] if lines else [call_of(document)]
        self.lines = lines


class ModelHandler:
    """`shared`, `batch`, `report`: as a Handler has them. `readable`: content types; `accept`: the usual answer's."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        shared: bool,
        batch: int,
        report: Mapping[str, Any],
        readable: Sequence[str] = content.TEXTS,
        accept: str = content.JSON,
    ) -> None:
        self.shared, self.batch, self.report = shared, batch, report
        self._predictor, self._readable, self._accept = predictor, readable, accept

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        asked = [self._asked(request) for request in requests]
        calls = [call for one in asked if isinstance(one, Asked) for call in one.calls]
        results = iter(self._predictor.several(calls) if calls else [])
        return [
            responses.of_fault(one)
            if isinstance(one, Exception)
            else _response(one, [next(results) for _ in one.calls])
            for one in asked
        ]

    def stream(self, request: Request) -> Iterator[bytes | Response]:
        asked = self._asked(request)
        streamed = getattr(self._predictor, "stream", None)
        if isinstance(asked, Exception) or streamed is None or len(asked.calls) != 1:
            (response,) = self.answer([request])
            yield response.body if response.status == 200 else response
            return
        try:
            yield from streamed(asked.calls[0])
        except Exception as error:  # noqa: BLE001 - the boundary of the model
            yield responses.of_fault(error)

    def _asked(self, request: Request) -> Asked | Exception:
        try:
            return Asked(request, readable=self._readable, accept=self._accept)
        except Exception as error:  # noqa: BLE001 - the boundary of the request
            return error


def _response(asked: Asked, results: Sequence[Answer | Exception]) -> Response:
    failed = [(number, result) for number, result in enumerate(results, 1) if isinstance(result, Exception)]
    if failed:
        number, error = failed[0]
        if asked.lines:
            error.args = (f"record {number}: {error}",)
        return responses.of_fault(error)
    try:
        return responses.of_answers(cast(list[Answer], results), asked.accept, lines=asked.lines)
    except Exception as error:  # noqa: BLE001 - an answer without a form in the type asked for
        return responses.of_fault(error)
