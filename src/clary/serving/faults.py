"""What can go wrong between a model folder and an answer, said so that the reader can mend it."""

from __future__ import annotations

import traceback


class LoadFault(Exception):
    """The model cannot be served; the message says what is missing or wrong, and what to do."""


class AnswerFault(Exception):
    """What the model made cannot be written. Not the client's doing."""


class RequestFault(Exception):
    """The request cannot be answered; the message is the client's. `status` is 4xx."""

    status = 400


class UnsupportedType(RequestFault):
    """A content type that the model does not read, or cannot write."""

    status = 415


class NotAcceptable(RequestFault):
    """The answer has no form in the type that Accept asks for."""

    status = 406


def last_line(error: BaseException) -> str:
    """What stands last in its traceback."""
    return traceback.format_exception_only(error)[-1].strip()
