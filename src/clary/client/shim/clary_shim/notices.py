"""Ask the server whether anything changed: `GET /_clary/changes?since=<version>&timeout=<seconds>`, signed.

It answers `{"version": int, "statuses": int}` as soon as `version` is beyond `since`, or when the time is over.
"""

from __future__ import annotations

import json
from typing import NamedTuple
from urllib.parse import urlsplit

from . import Target

ANSWER_WITHIN_S = 5.0


class Version(NamedTuple):
    """`changes` grows with every change, new log lines included; `statuses` with changes of a status alone."""

    changes: int
    statuses: int


def ask(target: Target, since: int, timeout_s: float) -> Version:
    """The server's version, waiting up to `timeout_s` for one beyond `since`. Raises OSError, ValueError."""
    import http.client

    path = f"/_clary/changes?since={since}&timeout={timeout_s:.3f}"
    connection = _connect(target, timeout_s + ANSWER_WITHIN_S)
    try:
        connection.request("GET", path, headers=_sign(target, path))
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"the server answered {answer.status} to {path}")
        document = json.loads(body)
        return Version(int(document["version"]), int(document["statuses"]))
    except (http.client.HTTPException, ImportError, AttributeError, KeyError, TypeError) as problem:
        raise ValueError(f"not an answer to {path}: {problem!r}") from problem
    finally:
        connection.close()


def _connect(target: Target, timeout_s: float):  # type: ignore[no-untyped-def]
    import http.client

    url = urlsplit(target.endpoint)
    host = url.hostname or ""
    if url.scheme == "https":
        import ssl

        context = ssl.create_default_context(cafile=target.ca_bundle)
        return http.client.HTTPSConnection(host, url.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, url.port, timeout=timeout_s)


def _sign(target: Target, path: str) -> dict[str, str]:
    """Headers signed by the botocore that the program brought along."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest("GET", target.endpoint.rstrip("/") + path)
    credentials = Credentials(target.access_key_id, target.secret_access_key)
    SigV4Auth(credentials, "clary", target.region).add_auth(request)
    return dict(request.headers.items())
