"""Who signed a request: AWS Signature Version 4, in the Authorization header or in a presigned query.

claim       read (`wire.claim`) what the request says of itself: key, date, scope, signed headers, signature
check       the date is fresh, the key is known, its session token is the one sent, all that must be signed is
recompute   the canonical request and its signature, compared in constant time
wrap        the body is held to what was signed while it is read (`wire.payload`)
"""

from __future__ import annotations

import hmac
from calendar import timegm
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Protocol

from clary.wire import sigv2
from clary.wire.canonical import canonical_requests
from clary.wire.chunked import Seal
from clary.wire.claim import ALGORITHM, Claim, read_claim
from clary.wire.http import Headers, HttpRequest
from clary.wire.payload import DOCUMENT_LIMIT, announced, verified
from clary.wire.refusals import Reason, refusal

CACHED_KEYS = 256


class Key(Protocol):
    """What is known of an access key; `expires` in seconds since the epoch."""

    @property
    def secret(self) -> str: ...
    @property
    def session_token(self) -> str | None: ...
    @property
    def expires(self) -> float | None: ...


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
        limit: int = DOCUMENT_LIMIT,
    ) -> tuple[str, HttpRequest]:
        """The access key's id, and the request with a body that is verified while it is read.

        `service` is botocore's name of the service the request is routed to ("query" when only its form tells),
        `now` seconds since the epoch. A body whose hash is not sent is read, up to `limit` bytes.
        Raises ClientFault with the code and status that service would answer with.
        """
        if service == "s3" and "authorization" not in request.headers and sigv2.is_presigned(request):
            return _older_presigned(request, find, now)
        claim = read_claim(request, service)
        _check_date(claim, service=service, now=now, max_skew_s=max_skew_s)
        key = find(claim.key_id)
        if key is None:
            raise refusal(service, "unknown key", extra={"AWSAccessKeyId": claim.key_id})
        _check_token(claim, key, service=service, now=now)
        _check_signed_headers(claim, request.headers, service)
        payload, body = announced(request, service=service, presigned=claim.payload, limit=limit)
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

    def _signing_key(self, secret: str, claim: Claim) -> bytes:
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


def _check_date(claim: Claim, *, service: str, now: float, max_skew_s: float) -> None:
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


def _check_token(claim: Claim, key: Key, *, service: str, now: float) -> None:
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


def _check_signed_headers(claim: Claim, headers: Headers, service: str) -> None:
    signed = set(claim.signed.split(";"))
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in signed]
    if "host" not in signed:
        unsigned.append("host")
    if unsigned:
        names = ", ".join(unsigned)
        message = None if service == "s3" else f"These headers must be signed: {names}."
        raise refusal(service, "unsigned header", message, extra={"HeadersNotSigned": names})


def _signature(key: bytes, claim: Claim, canonical: str) -> str:
    try:
        raw = canonical.encode("latin-1")  # as the bytes came over the wire
    except UnicodeEncodeError:
        raw = canonical.encode()
    text = f"{ALGORITHM}\n{claim.stamp}\n{claim.scope}\n{sha256(raw).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
