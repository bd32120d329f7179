"""What can go wrong between a model folder and an answer, said so that the reader can mend it."""

from __future__ import annotations


class LoadFault(Exception):
    """The model cannot be served; the message says what is missing or wrong, and what to do."""


class RequestFault(Exception):
    """The request cannot be answered; the message is the client's. `status` is 4xx."""

    status = 400


class UnsupportedType(RequestFault):
    """A content type that the model does not read, or cannot write."""

    status = 415
