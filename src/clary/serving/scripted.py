"""The handler of a model with code of the user: model_fn, then input_fn, predict_fn and output_fn, or transform_fn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clary.serving import content, responses
from clary.serving.context import Context
from clary.serving.faults import AnswerFault, LoadFault, RequestFault, last_line
from clary.serving.handler import Request, Response
from clary.serving.toolkits import Toolkit
from clary.serving.user_code import Functions

DECODED = ("application/json", "text/csv")  # bodies that functions get as text; others are bytes
LONGEST_ANSWER = 1 << 30  # bytes; a generator that never ends must not take all memory of the machine
OF_READING = (ValueError, TypeError, LookupError, AttributeError)  # what a request can make an input_fn raise


class ScriptHandler:
    """A Handler; see there. One request at a time: the script does not know of batches."""

    shared = False
    batch = 1

    def __init__(
        self,
        functions: Functions,
        usual: Toolkit,
        context: Context,
        *,
        model_dir: Path,
        accept: str,
        report: Mapping[str, Any],
    ) -> None:
        """Loads the model. Raises what model_fn raises."""
        self.report = report
        self._functions, self._usual, self._context, self._accept = functions, usual, context, accept
        load = functions.model_fn
        self._model = usual.model(model_dir) if load is None else load(str(model_dir))

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        return [self._answered(request) for request in requests]

    def stream(self, request: Request) -> Iterator[bytes | Response]:
        """Piece by piece where the script gives an iterator, else at once."""
        try:
            body, content_type = self._result(request)
            if not isinstance(body, Iterator):
                response = self._response(body, content_type)
                yield response.body if response.status == 200 else response
                return
            for piece in body:
                yield _bytes(piece, content_type)
        except Exception as error:  # noqa: BLE001 - the boundary of the script
            yield _refused(error)

    def _answered(self, request: Request) -> Response:
        try:
            body, content_type = self._result(request)
            if isinstance(body, Iterator):
                body = _gathered(body, content_type)
            return self._response(body, content_type)
        except Exception as error:  # noqa: BLE001 - the boundary of the script
            return _refused(error)

    def _response(self, body: Any, content_type: str) -> Response:
        headers = dict(self._context.response_headers)
        content_type = headers.pop("Content-Type", content_type)
        return Response(_bytes(body, content_type), content_type, self._context.status or 200, headers)

    def _result(self, request: Request) -> tuple[Any, str]:
        """What the script gives as the body, and its content type."""
        types = {"content-type": request.content_type, "accept": request.accept}
        self._context.begin({**request.headers, **types})
        content_type = request.content_type.partition(";")[0].strip().lower() or content.JSON
        accept = _first(request.accept) or self._accept
        if self._functions.transform_fn is not None:
            body = _as_given(request.body, content_type)
            return _pair(self._functions.transform_fn(self._model, body, content_type, accept), accept)
        data = self._read(request.body, content_type)
        predict = self._functions.predict_fn or self._usual.predict
        prediction = predict(data, self._model)
        if self._functions.output_fn is not None:
            return _pair(self._functions.output_fn(prediction, accept), accept)
        if isinstance(prediction, Iterator):
            return prediction, accept
        kind = content.wanted(accept)
        return self._usual.output(prediction, kind), kind

    def _read(self, body: bytes, content_type: str) -> Any:
        read = self._functions.input_fn
        if read is None:
            return self._usual.input(body, content_type)
        given = _as_given(body, content_type)
        try:
            return read(given, content_type)
        except RequestFault:
            raise
        except OF_READING as error:
            if hasattr(error, "status_code"):
                raise
            responses.log(error)
            raise RequestFault(f"input_fn cannot read the request: {last_line(error)}") from error


def _first(accept: str) -> str:
    """The type that comes first in an Accept header; "" where any will do."""
    named = accept.partition(",")[0].partition(";")[0].strip().lower()
    return "" if named == "*/*" else named


def _as_given(body: bytes, content_type: str) -> str | bytes:
    if content_type not in DECODED:
        return body
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise RequestFault(f"the body is not UTF-8: byte {error.start}") from error


def _pair(result: Any, accept: str) -> tuple[Any, str]:
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):
        return result
    if hasattr(result, "get_data") and hasattr(result, "mimetype"):  # a response of werkzeug's
        return result.get_data(), result.mimetype
    return result, accept


def _gathered(pieces: Iterator[Any], content_type: str) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += _bytes(piece, content_type)
        if len(body) > LONGEST_ANSWER:
            raise AnswerFault(f"the model's iterator goes on beyond {LONGEST_ANSWER} bytes: ask for a stream")
    return bytes(body)


def _bytes(body: Any, content_type: str) -> bytes:
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    kind = content.media_type(content_type)
    return content.encoded(body, kind if kind in content.TEXTS else content.JSON)


def _refused(error: Exception) -> Response:
    """ValueError is how a script says that it cannot take a request; an exception may also bring a status."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and 400 <= status < 600:
        responses.log(error)
        return responses.of_status(status, str(error))
    if isinstance(error, ValueError) and not isinstance(error, RequestFault | LoadFault):
        responses.log(error)
        return responses.of_fault(RequestFault(f"the model's code refuses the request: {last_line(error)}"))
    return responses.of_fault(error)
