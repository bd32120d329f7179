"""The ways in which a request's proof of identity is refused, in each service's own words.

S3, the services that speak JSON, and those that speak the query protocol name the same fault differently. None is
called AccessDeniedException: the SageMaker SDK retries that one silently for minutes. No message holds a secret or a
signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from clary.errors import AccessFault, ClientFault, S3Fault

Reason = Literal[
    "no signature",
    "malformed header",
    "malformed query",
    "unknown key",
    "wrong signature",
    "stale date",
    "expired url",
    "wrong token",
    "expired token",
    "unsigned header",
    "wrong body",
    "too large",
]
Named = tuple[str, int]

_QUERY = frozenset({"sts", "iam", "query"})
_REST_JSON = frozenset({"sagemaker-runtime", "sagemaker-metrics"})

_INVALID: Named = ("InvalidSignatureException", 400)
_MISMATCH: Named = ("SignatureDoesNotMatch", 403)

# reason: S3's name for it, that of the JSON services, that of the query services
_NAMES: Mapping[Reason, tuple[Named, Named, Named]] = {
    "no signature": (
        ("AccessDenied", 403),
        ("MissingAuthenticationTokenException", 400),
        ("MissingAuthenticationToken", 403),
    ),
    "malformed header": (
        ("AuthorizationHeaderMalformed", 400),
        ("IncompleteSignatureException", 400),
        ("IncompleteSignature", 400),
    ),
    "malformed query": (
        ("AuthorizationQueryParametersError", 400),
        ("IncompleteSignatureException", 400),
        ("IncompleteSignature", 400),
    ),
    "unknown key": (
        ("InvalidAccessKeyId", 403),
        ("UnrecognizedClientException", 400),
        ("InvalidClientTokenId", 403),
    ),
    "wrong signature": (_MISMATCH, _INVALID, _MISMATCH),
    "stale date": (("RequestTimeTooSkewed", 403), _INVALID, _MISMATCH),
    "expired url": (("AccessDenied", 403), _INVALID, _MISMATCH),
    "wrong token": (
        ("InvalidToken", 400),
        ("UnrecognizedClientException", 400),
        ("InvalidClientTokenId", 403),
    ),
    "expired token": (("ExpiredToken", 400), ("ExpiredTokenException", 400), ("ExpiredToken", 403)),
    "unsigned header": (("AccessDenied", 403), _INVALID, _MISMATCH),
    "wrong body": (("XAmzContentSHA256Mismatch", 400), _INVALID, _MISMATCH),
    "too large": (("EntityTooLarge", 400), ("RequestEntityTooLarge", 413), ("RequestEntityTooLarge", 413)),
}

_CALCULATED = "The request signature we calculated does not match the signature you provided."
_TOKEN = "The security token included in the request is invalid."
_S3_WORDS: Mapping[Reason, str] = {
    "no signature": "Access Denied",
    "unknown key": "The AWS Access Key Id you provided does not exist in our records.",
    "wrong signature": f"{_CALCULATED} Check your key and signing method.",
    "stale date": "The difference between the request time and the current time is too large.",
    "expired url": "Request has expired",
    "wrong token": "The provided token is malformed or otherwise invalid.",
    "expired token": "The provided token has expired.",
    "unsigned header": "There were headers present in the request which were not signed",
    "wrong body": "The provided 'x-amz-content-sha256' header does not match what was computed.",
}
_WORDS: Mapping[Reason, str] = {
    "no signature": "Request is missing Authentication Token",
    "unknown key": _TOKEN,
    "wrong signature": f"{_CALCULATED} Check your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details.",
    "stale date": "Signature expired: the request's date differs too much from the server's time.",
    "expired url": "Signature expired: the time given in X-Amz-Expires is over.",
    "wrong token": _TOKEN,
    "expired token": "The security token included in the request is expired",
    "unsigned header": "Headers of the request that must be signed were not.",
    "wrong body": f"{_CALCULATED} The body is not the one that was signed.",
}


def refusal(
    service: str,
    reason: Reason,
    message: str | None = None,
    *,
    extra: Mapping[str, str] | None = None,
) -> ClientFault:
    """The fault that a service, named as botocore or a credential scope names it, answers with.

    `extra` holds further members of S3's error document; the other services have none.
    """
    s3, json, query = _NAMES[reason]
    if service == "s3":
        return S3Fault(message or _S3_WORDS[reason], code=s3[0], status=s3[1], extra=extra)
    code, status = query if service in _QUERY else json
    if service in _REST_JSON and status == 400:
        status = 403
    return AccessFault(message or _WORDS[reason], code=code, status=status)
