"""AWS Signature Version 4 in headers, for S3."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping

from clary.agent.contract import Access

_NOTHING = hashlib.sha256(b"").hexdigest()


def signed(
    access: Access,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes | memoryview,
    *,
    now: float,
) -> dict[str, str]:
    """The headers with those of the signature added.

    `path` and `query` are as they go over the wire (encoded, parameters sorted); header names are lower case,
    `host` among them; `now` is seconds since the epoch.
    """
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    digest = hashlib.sha256(body).hexdigest() if len(body) else _NOTHING
    full = {**headers, "x-amz-date": moment, "x-amz-content-sha256": digest}
    if access.session_token:
        full["x-amz-security-token"] = access.session_token
    names = ";".join(sorted(full))
    lines = "".join(f"{name}:{full[name].strip()}\n" for name in sorted(full))
    request = "\n".join([method, path, query, lines, names, digest])
    scope = f"{moment[:8]}/{access.region}/s3/aws4_request"
    statement = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{access.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, statement.encode(), "sha256").hex()
    full["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return full
