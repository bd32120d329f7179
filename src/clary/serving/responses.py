"""Answers and faults as responses."""

from __future__ import annotations

import json
import sys
import traceback

from clary.serving import content
from clary.serving.calls import Answer
from clary.serving.faults import AnswerFault, NotAcceptable, RequestFault, UnsupportedType, last_line
from clary.serving.handler import Response

NOTE = "X-Clary-Note"
KINDS = (
    (UnsupportedType, "UnsupportedContentType"),
    (NotAcceptable, "NotAcceptable"),
    (RequestFault, "InvalidInput"),
)


def of_answers(answers: list[Answer], accept: str, *, lines: bool) -> Response:
    """One answer, or one a line. Raises NotAcceptable, and AnswerFault where JSON has no form for it."""
    notes = list(dict.fromkeys(answer.note for answer in answers if answer.note))
    headers = {NOTE: "; ".join(notes)} if notes else {}
    value = [answer.value for answer in answers] if lines else answers[0].value
    return Response(content.encoded(value, accept), accept, headers=headers)


def of_fault(error: Exception) -> Response:
    """A fault of the request says what to mend. One of the model gives its last line; the log has the traceback."""
    if isinstance(error, RequestFault):
        kind = next(name for known, name in KINDS if isinstance(error, known))
        return _error(error.status, kind, str(error))
    log(error)
    message = str(error) if isinstance(error, AnswerFault) else f"the model failed: {last_line(error)}"
    return _error(500, "PredictionFailed", message)


def of_status(status: int, message: str) -> Response:
    """An error with the status that the user's own code gives it."""
    return _error(status, "InvalidInput" if status < 500 else "PredictionFailed", message)


def log(error: Exception) -> None:
    """The traceback goes to the standard error stream, which is the log."""
    traceback.print_exception(error, file=sys.stderr)
    sys.stderr.flush()


def _error(status: int, kind: str, message: str) -> Response:
    document = {"code": status, "type": kind, "message": message}
    return Response(json.dumps(document).encode(), content.JSON, status)
