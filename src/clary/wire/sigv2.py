"""Presigned S3 URLs of the older form (Signature Version 2), which boto3 still makes when nobody says otherwise.

Such a query carries AWSAccessKeyId, Expires and Signature, and beside them the x-amz-*, content-type and content-md5
headers that were signed. The body is not signed.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

from clary.wire.canonical import pairs
from clary.wire.http import Headers, HttpRequest
from clary.wire.refusals import refusal

# The parameters that name what a request is about, rather than how it was signed.
_RESOURCE = re.compile(
    "accelerate|acl|analytics|cors|defaultObjectAcl|delete|inventory|lifecycle|location|logging|metrics|notification|"
    "object-lock|partNumber|policy|replication|requestPayment|response-cache-control|response-content-disposition|"
    "response-content-encoding|response-content-language|response-content-type|response-expires|restore|select|"
    "select-type|storageClass|tagging|torrent|uploadId|uploads|versionId|versioning|versions|website"
)
_SECONDS = re.compile(r"\d{1,15}", re.ASCII)
_NEEDED = frozenset({"AWSAccessKeyId", "Expires", "Signature"})


def is_presigned(request: HttpRequest) -> bool:
    return "AWSAccessKeyId=" in request.query and "Signature=" in request.query


def key_id(request: HttpRequest) -> str:
    """The access key's id that a presigned request names."""
    return _given(request).get("AWSAccessKeyId", "")


def verify(request: HttpRequest, *, secret: str, now: float) -> HttpRequest:
    """The request with the headers that its query carries. `now`: seconds since the epoch.

    Raises S3Fault: AuthorizationQueryParametersError, AccessDenied (expired) or SignatureDoesNotMatch.
    """
    given = _given(request)
    if not given.keys() >= _NEEDED or not _SECONDS.fullmatch(given["Expires"]):
        message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        raise refusal("s3", "malformed query", message)
    carried = {name.lower(): value for name, value in given.items() if _is_header(name.lower())}
    headers = Headers({**dict(request.headers), **carried}.items())
    if not any(
        hmac.compare_digest(_signature(secret, text).encode(), given["Signature"].encode())
        for text in _texts(request, headers, carried, given["Expires"])
    ):
        raise refusal("s3", "wrong signature", extra={"AWSAccessKeyId": given["AWSAccessKeyId"]})
    if now > int(given["Expires"]):
        raise refusal("s3", "expired url", extra={"Expires": given["Expires"]})
    return replace(request, headers=headers)


def _given(request: HttpRequest) -> dict[str, str]:
    return {name: unquote(value) for name, value in pairs(request.query)}


def _is_header(name: str) -> bool:
    return name.startswith("x-amz-") or name in ("content-type", "content-md5")


def _texts(request: HttpRequest, headers: Headers, carried: Mapping[str, str], expires: str) -> Iterator[str]:
    """What may have been signed. A Content-Type that the HTTP library added by itself was not known to the signer."""
    amz = "".join(
        f"{name}:{headers[name].strip()}\n" for name in sorted(headers) if name.startswith("x-amz-")
    )
    rest = f"{expires}\n{amz}{_resource(request)}"
    digest, media = headers.get("content-md5", ""), headers.get("content-type", "")
    yield f"{request.method}\n{digest}\n{media}\n{rest}"
    if media and "content-type" not in carried:
        yield f"{request.method}\n{digest}\n\n{rest}"


def _resource(request: HttpRequest) -> str:
    named = sorted(
        pair.split("=", 1) for pair in request.query.split("&") if _RESOURCE.fullmatch(pair.partition("=")[0])
    )
    query = "&".join("=".join([name, *map(unquote, value)]) for name, *value in named)
    # a bucket by itself is signed with a slash behind it, whether one is sent or not
    path = f"{request.path}/" if request.path.rfind("/") == 0 and request.path != "/" else request.path
    return f"{path}?{query}" if query else path


def _signature(secret: str, text: str) -> str:
    return b64encode(hmac.digest(secret.encode(), text.encode(), "sha1")).decode("ascii")
