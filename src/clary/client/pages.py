"""Read Clary's own pages, `/_clary/...`, which are signed like AWS's operations, for the service `clary`."""

from __future__ import annotations

import json
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ConnectionError as NotReached
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session

from clary.server.home import Connection

ANSWER_WITHIN_S = 120.0


class Refused(Exception):
    """The server's answer was no; `code` is its error's name."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_page(connection: Connection, path: str) -> Any:
    """The JSON document at a path (percent-encoded by the caller). Raises Refused, OSError when nobody answers."""
    request = AWSRequest("GET", connection.endpoint.rstrip("/") + path)
    credentials = Credentials(connection.access_key_id, connection.secret_access_key)
    SigV4Auth(credentials, "clary", connection.region).add_auth(request)
    session = URLLib3Session(verify=connection.ca_bundle or True, timeout=ANSWER_WITHIN_S)
    try:
        answer = session.send(request.prepare())
    except (HTTPClientError, NotReached) as problem:
        raise OSError(f"no answer from {connection.endpoint}: {problem}") from problem
    finally:
        session.close()
    try:
        document = json.loads(answer.content)
    except ValueError:
        raise Refused("NotClary", f"{connection.endpoint} answered {answer.status_code}, not JSON") from None
    if answer.status_code != 200:
        raise Refused(document.get("__type", str(answer.status_code)), document.get("message", ""))
    return document
