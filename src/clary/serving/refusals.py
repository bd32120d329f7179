"""Answers that say no: JSON with the status, a word for programs and a sentence for people."""

from __future__ import annotations

import json
from collections.abc import Mapping

from clary.serving.handler import Response

REFUSED = "X-Clary-Refused"
"""Names why a request was turned away before anything was done for it; whoever sent it may send it elsewhere."""


def refusal(status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps({"code": status, "type": kind, "message": message}, ensure_ascii=False)
    return Response(body.encode("utf-8", "replace"), "application/json", status, headers or {})


def turned_away(why: str, kind: str, message: str) -> Response:
    """503: nothing was done for it."""
    return refusal(503, kind, message, {REFUSED: why})
