"""Who signed a request: AWS Signature Version 4, in the Authorization header or in a presigned query.

claim       read what the request says of itself: key, date, scope, signed headers, signature
check       the date is fresh, the key is known, its session token is the one sent, all that must be signed is
recompute   the canonical request and its signature, compared in constant time
wrap        the body is held to what was signed while it is read (`wire.payload`)
"""

from __future__ import annotations

import hmac
import re
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Protocol
from urllib.parse import unquote

from clary.errors import ClientFault, S3Fault
from clary.wire import sigv2
from clary.wire.canonical import canonical_requests, pairs
from clary.wire.chunked import Seal
from clary.wire.http import Headers, HttpRequest
from clary.wire.payload import announced, verified
from clary.wire.refusals import Reason, refusal

ALGORITHM = "AWS4-HMAC-SHA256"
LONGEST_URL_S = 7 * 24 * 3600
DEFAULT_URL_S = 900  # for services whose presigned queries need not say
CACHED_KEYS = 256

_SIGNED_AS = {"sagemaker-runtime": "sagemaker", "sagemaker-metrics": "sagemaker", "cloudwatch": "monitoring"}
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_NAMES = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+(;[a-z0-9!#$%&'*+.^_`|~-]+)*")
_QUERY_NAMES = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")


class Key(Protocol):
    """What is known of an access key; `expires` in seconds since the epoch."""

    @property
    def secret(self) -> str: ...
    @property
    def session_token(self) -> str | None: ...
    @property
    def expires(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class _Claim:
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


class Verifier:
    """Checks signatures; keeps the last few signing keys. May be used by many threads at once."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def authenticate(
        self,
        request: HttpRequest,
        *,
        service: str,
        find: Callable[[str], Key | None],
        now: float,
        max_skew_s: float = 900.0,
    ) -> tuple[str, HttpRequest]:
        """The access key's id, and the request with a body that is verified while it is read.

        `service` is botocore's name of the service the request is routed to ("query" when only its form tells),
        `now` seconds since the epoch. Raises ClientFault with the code and status that service would answer with.
        """
        if service == "s3" and "authorization" not in request.headers and sigv2.is_presigned(request):
            return _older_presigned(request, find, now)
        claim = _claim(request, service)
        _check_date(claim, service=service, now=now, max_skew_s=max_skew_s)
        key = find(claim.key_id)
        if key is None:
            raise refusal(service, "unknown key", extra={"AWSAccessKeyId": claim.key_id})
        _check_token(claim, key, service=service, now=now)
        _check_signed_headers(claim, request.headers, service)
        payload, body = announced(request, service=service, presigned=claim.payload)
        signing_key = self._signing_key(key.secret, claim)
        for canonical in canonical_requests(
            request, service=claim.service, signed=claim.signed, payload=payload
        ):
            expected = _signature(signing_key, claim, canonical)
            if hmac.compare_digest(expected, claim.signature):
                seal = Seal(key=signing_key, stamp=claim.stamp, scope=claim.scope, seed=expected)
                body = verified(body, request.headers, service=service, payload=payload, seal=seal)
                return claim.key_id, replace(request, body=body)
        raise refusal(service, "wrong signature", extra={"AWSAccessKeyId": claim.key_id})

    def _signing_key(self, secret: str, claim: _Claim) -> bytes:
        name = (secret, claim.date, claim.region, claim.service)
        found = self._keys.get(name)
        if found is None:
            found = f"AWS4{secret}".encode()
            for part in (claim.date, claim.region, claim.service, "aws4_request"):
                found = hmac.digest(found, part.encode(), "sha256")
            if len(self._keys) >= CACHED_KEYS:
                self._keys.clear()
            self._keys[name] = found
        return found


def _older_presigned(
    request: HttpRequest, find: Callable[[str], Key | None], now: float
) -> tuple[str, HttpRequest]:
    key_id = sigv2.key_id(request)
    key = find(key_id)
    if key is None:
        raise refusal("s3", "unknown key", extra={"AWSAccessKeyId": key_id})
    request = sigv2.verify(request, secret=key.secret, now=now)
    _check_given_token(request.headers.get("x-amz-security-token"), key, service="s3", key_id=key_id)
    _check_not_over(key, service="s3", now=now)
    return key_id, request


def _claim(request: HttpRequest, service: str) -> _Claim:
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


def _claim_in_header(headers: Headers, text: str, service: str) -> _Claim:
    algorithm, _, rest = text.partition(" ")
    if algorithm != ALGORITHM:
        raise _unknown_mechanism(service, "malformed header")
    parts = {name: value for name, _, value in (part.strip().partition("=") for part in rest.split(","))}
    missing = [name for name in ("Credential", "SignedHeaders", "Signature") if not parts.get(name)]
    if missing:
        message = f"Authorization header requires {' and '.join(missing)}."
        raise refusal(service, "malformed header", message)
    claim = _read_claim(parts["Credential"], parts["SignedHeaders"], parts["Signature"], service=service)
    return replace(claim, stamp=_stamp(headers, service), token=headers.get("x-amz-security-token"))


def _claim_in_query(request: HttpRequest, service: str) -> _Claim:
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
    claim = _read_claim(
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


def _read_claim(
    credential: str, signed: str, signature: str, *, service: str, reason: Reason = "malformed header"
) -> _Claim:
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
    return _Claim(key_id, date, region, scope_service, signed, signature)


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


def _check_date(claim: _Claim, *, service: str, now: float, max_skew_s: float) -> None:
    malformed: Reason = "malformed header" if claim.url_s is None else "malformed query"
    if claim.stamp[:8] != claim.date:
        message = "The date in the credential scope is not that of the request."
        raise refusal(service, malformed if service == "s3" else "wrong signature", message)
    stamp = claim.stamp
    clock = (stamp[:4], stamp[4:6], stamp[6:8], stamp[9:11], stamp[11:13], stamp[13:15])
    year, month, day, hour, minute, second = map(int, clock)
    if not (1 <= month <= 12 and 1 <= day <= 31 and year):
        raise refusal(service, malformed, "The request's date is not one of the calendar.")
    signed_at = timegm((year, month, day, hour, minute, second))
    if claim.url_s is None:
        if abs(now - signed_at) > max_skew_s:
            raise refusal(service, "stale date", extra={"RequestTime": stamp, "ServerTime": _iso(now)})
    elif now > signed_at + claim.url_s:
        extra = {
            "X-Amz-Expires": str(claim.url_s),
            "Expires": _iso(signed_at + claim.url_s),
            "ServerTime": _iso(now),
        }
        raise refusal(service, "expired url", extra=extra)
    elif signed_at > now + max_skew_s:
        raise refusal(service, "expired url", "Request is not valid yet", extra={"ServerTime": _iso(now)})


def _check_token(claim: _Claim, key: Key, *, service: str, now: float) -> None:
    _check_given_token(claim.token, key, service=service, key_id=claim.key_id)
    _check_not_over(key, service=service, now=now)


def _check_given_token(token: str | None, key: Key, *, service: str, key_id: str) -> None:
    if key.session_token is None and token is None:
        same = True
    elif token is None:
        raise refusal(service, "unknown key", extra={"AWSAccessKeyId": key_id})
    else:
        same = hmac.compare_digest((key.session_token or "").encode(), token.encode())
    if not same:
        raise refusal(service, "wrong token")


def _check_not_over(key: Key, *, service: str, now: float) -> None:
    if key.expires is not None and key.expires <= now:
        raise refusal(service, "expired token")


def _check_signed_headers(claim: _Claim, headers: Headers, service: str) -> None:
    signed = set(claim.signed.split(";"))
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed:
        unsigned.append("host")
    if unsigned:
        names = ", ".join(unsigned)
        message = None if service == "s3" else f"These headers must be signed: {names}."
        raise refusal(service, "unsigned header", message, extra={"HeadersNotSigned": names})


def _signature(key: bytes, claim: _Claim, canonical: str) -> str:
    try:
        raw = canonical.encode("latin-1")  # as the bytes came over the wire
    except UnicodeEncodeError:
        raw = canonical.encode()
    text = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{sha256(raw).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
