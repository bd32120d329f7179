"""What a signed request says of itself, in the Authorization header or a presigned query. None of it is proved yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from clary.errors import ClientFault, S3Fault
from clary.wire.canonical import pairs
from clary.wire.http import Headers, HttpRequest
from clary.wire.refusals import Reason, refusal

ALGORITHM = "AWS4-HMAC-SHA256"
LONGEST_URL_S = 7 * 24 * 3600
DEFAULT_URL_S = 900  # for services whose presigned queries need not say

_SIGNED_AS = {"sagemaker-runtime": "sagemaker", "sagemaker-metrics": "sagemaker", "cloudwatch": "monitoring"}
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_QUERY_NAMES = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of itself. `payload` and `url_s` (lifetime in seconds) only in a presigned query."""

    key_id: str
    date: str
    region: str
    service: str
    signed: str
    signature: str = field(repr=False)
    stamp: str = ""
    token: str | None = field(default=None, repr=False)
    payload: str | None = None
    url_s: int | None = None

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_claim(request: HttpRequest, service: str) -> Claim:
    """Raises ClientFault with the code and status that the service would answer with."""
    header = request.headers.get("authorization")
    in_query = "X-Amz-Signature=" in request.query or "X-Amz-Algorithm=" in request.query
    if header is not None and in_query:
        message = "Only one auth mechanism allowed: the Authorization header or the X-Amz-Algorithm query parameter."
        raise ClientFault(message, code="InvalidArgument" if service == "s3" else "InvalidSignatureException")
    if in_query:
        return _claim_in_query(request, service)
    if not header:
        raise refusal(service, "no signature")
    return _claim_in_header(request.headers, header, service)


def _claim_in_header(headers: Headers, text: str, service: str) -> Claim:
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise _unknown_mechanism(service, "malformed header")
    parts = {name: value for name, _, value in (part.strip().partition("=") for part in rest.split(","))}
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        message = f"Authorization header requires {' and '.join(missing)}."
        raise refusal(service, "malformed header", message)
    claim = _made_claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], service=service)
    return replace(claim, stamp=_stamp(headers, service), token=headers.get("x-amz-security-token"))


def _claim_in_query(request: HttpRequest, service: str) -> Claim:
    given: dict[str, str] = {}
    for name, value in pairs(request.query):
        if name.startswith("X-Amz-"):
            given.setdefault(name, unquote(value))
    if given.get("X-Amz-Algorithm") != ALGORITHM:
        raise _unknown_mechanism(service, "malformed query")
    needed = (*_QUERY_NAMES, "X-Amz-Expires") if service == "s3" else _QUERY_NAMES
    missing = [name for name in needed if not given.get(name)]
    if missing:
        message = f"A presigned query needs {', '.join(missing)}, too."
        raise refusal(service, "malformed query", message)
    stamp = given["X-Amz-Date"]
    if not _STAMP.fullmatch(stamp):
        raise refusal(service, "malformed query", "X-Amz-Date must be of the form 20260131T235959Z.")
    claim = _made_claim(
        given["X-Amz-Credential"],
        given["X-Amz-SignedHeaders"],
        given["X-Amz-Signature"],
        service=service,
        reason="malformed query",
    )
    return replace(
        claim,
        stamp=stamp,
        token=given.get("X-Amz-Security-Token") or request.headers.get("x-amz-security-token"),
        payload=given.get("X-Amz-Content-Sha256", ""),
        url_s=_lifetime(given.get("X-Amz-Expires", str(DEFAULT_URL_S)), service),
    )


def _made_claim(
    credential: str, signed: str, signature: str, *, service: str, reason: Reason = "malformed header"
) -> Claim:
    parts = credential.split("/")
    if len(parts) != 5 or not all(parts) or parts[4] != "aws4_request":
        message = "The credential must be of the form <key id>/<YYYYMMDD>/<region>/<service>/aws4_request."
        raise refusal(service, reason, message)
    key_id, date, region, scope_service, _ = parts
    wanted = _SIGNED_AS.get(service, service)
    if scope_service != wanted and service != "query":
        message = f"Credential should be scoped to correct service: '{wanted}'."
        raise refusal(service, reason if service == "s3" else "wrong signature", message)
    if not _NAMES.fullmatch(signed):
        raise refusal(
            service, reason, "SignedHeaders must be lower-case names with a semicolon between them."
        )
    if not _SIGNATURE.fullmatch(signature):
        raise refusal(service, "wrong signature")
    return Claim(key_id, date, region, scope_service, signed, signature)


def _unknown_mechanism(service: str, reason: Reason) -> ClientFault:
    message = f"The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
    return S3Fault(message) if service == "s3" else refusal(service, reason, message)


def _stamp(headers: Headers, service: str) -> str:
    stamp = headers.get("x-amz-date")
    if stamp is None and "date" in headers:
        stamp = _stamp_of_date(headers["date"])
    if stamp is None or not _STAMP.fullmatch(stamp):
        message = "AWS authentication requires a valid Date or x-amz-date header (20260131T235959Z)."
        if service == "s3":
            raise S3Fault(message, code="AccessDenied", status=403)
        raise refusal(service, "malformed header", message)
    return stamp


def _stamp_of_date(text: str) -> str:
    if _STAMP.fullmatch(text):
        return text
    try:
        when = parsedate_to_datetime(text)
        # "-0000" and "no zone" are universal time here, as HTTP has no other
        when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return ""
    return when.strftime("%Y%m%dT%H%M%SZ")


def _lifetime(text: str, service: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 9 and 0 < int(text) <= LONGEST_URL_S:
        return int(text)
    message = f"X-Amz-Expires must be a number of seconds from 1 to {LONGEST_URL_S} (a week)."
    raise refusal(service, "malformed query", message)
