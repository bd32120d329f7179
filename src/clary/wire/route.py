"""Which service, protocol and operation a request is for.

    route(request)          looks at the head only; never reads the body, never raises
    settle(route, request)  for the query protocol, whose operation is named in the form: reads the body and gives
                            back the finished route and the same request with the body to be read again

Authentication belongs between the two.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote

from botocore.model import OperationModel

from clary.errors import ClientFault
from clary.wire.http import Body, Headers, HttpRequest
from clary.wire.models import (
    SERVICES,
    SIGNING_NAMES,
    TARGET_PREFIXES,
    Protocol,
    operation_model,
    rest_rules,
)

DOCUMENT_LIMIT_BYTES = 16 * 1024 * 1024

_API_VERSIONS = {"2011-06-15": "sts", "2010-05-08": "iam", "2010-08-01": "cloudwatch"}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    service     botocore's name of the service; of an unknown one, its name in the credential scope
    action      the operation as the client named it, for messages; empty if it named none
    operation   None: nobody has published an operation for such a request (or settle() has not run yet)
    labels      the parts of the path by label name, still percent-encoded
    query_mode  JSON from a client that wants its errors under their older query names, too
    """

    service: str
    protocol: Protocol
    operation: OperationModel | None = None
    action: str = ""
    json_version: str = "1.1"
    query_mode: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """How the table of operations names this one."""
        return self.service, self.operation.name if self.operation else self.action


def route(request: HttpRequest, *, virtual_hosts: Sequence[str] = ()) -> Route:
    """Tell where a request goes. `virtual_hosts` are host suffixes (".s3.localhost") that follow a bucket's name."""
    target = request.headers.get("x-amz-target")
    scope = credential_scope(request)
    if target is not None:
        return _json_route(request, target, scope)
    service = SIGNING_NAMES.get(scope, scope)
    if service == "sagemaker":
        return _sagemaker_rest_route(request)
    if service == "s3" or (not service and not _is_form_post(request)):
        return _s3_route(request, virtual_hosts)
    if not service or SERVICES.get(service) == "query" or service not in SERVICES:
        return Route(service or "query", "query")
    return Route(service, SERVICES[service], action=f"{request.method} {request.path}")


def credential_scope(request: HttpRequest) -> str:
    """The service in the credential scope of the signature, wherever that is; empty without one."""
    authorization = request.headers.get("authorization", "")
    if "Credential=" in authorization:
        return _scope_service(authorization.partition("Credential=")[2].partition(",")[0])
    if "X-Amz-Credential=" in request.query:
        return _scope_service(dict(parse_qsl(request.query)).get("X-Amz-Credential", ""))
    return ""


def _scope_service(credential: str) -> str:
    parts = credential.strip().rsplit("/", 4)
    return parts[3] if len(parts) == 5 and parts[4] == "aws4_request" else ""


def settle(found: Route, request: HttpRequest) -> tuple[Route, HttpRequest]:
    """Finish a query-protocol route by the Action of its form; any other comes back as it is.

    Raises ClientFault (413) for a form over the size limit, and whatever the body's own checks raise.
    """
    if found.protocol != "query":
        return found, request
    body = read_document(request.body)
    form = dict(
        parse_qsl(
            unpacked(body, request.headers).decode("utf-8", "replace"), keep_blank_values=True, separator="&"
        )
    )
    form = {**dict(parse_qsl(request.query, keep_blank_values=True)), **form}
    action = form.get("Action", "")
    service = (
        found.service if found.service != "query" else _API_VERSIONS.get(form.get("Version", ""), "query")
    )
    operation = operation_model(service, action) if SERVICES.get(service) == "query" else None
    settled = replace(found, service=service, action=action, operation=operation)
    return settled, replace(request, body=io.BytesIO(body))


def read_document(body: Body, limit: int = DOCUMENT_LIMIT_BYTES) -> bytes:
    """All of a body that is held in memory. Raises ClientFault 413 beyond `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    while part := body.read(min(65536, limit + 1)):
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def unpacked(body: bytes, headers: Headers, limit: int = DOCUMENT_LIMIT_BYTES) -> bytes:
    """A document that was sent compressed (metric data is, from 10 KiB on), as it was before.

    Raises ClientFault for what is not gzip, and 413 for what grows beyond `limit` bytes.
    """
    if headers.get("content-encoding", "").strip().lower() != "gzip":
        return body
    inflater = zlib.decompressobj(wbits=31)
    try:
        document = inflater.decompress(body, limit + 1)
    except zlib.error as error:
        message = f"The request says Content-Encoding: gzip, but its body is not: {error}."
        raise ClientFault(message, code="SerializationException") from None
    if len(document) > limit:
        raise _too_large(limit)
    if not inflater.eof:
        raise ClientFault("The request's compressed document is cut short.", code="SerializationException")
    return document


def _too_large(limit: int) -> ClientFault:
    message = f"The request document is larger than {limit} bytes. Send it in smaller parts."
    return ClientFault(message, code="RequestEntityTooLarge", status=413)


def _json_route(request: HttpRequest, target: str, scope: str) -> Route:
    prefix, _, action = target.rpartition(".")
    service = TARGET_PREFIXES.get(prefix, scope or "unknown")
    known = service if prefix in TARGET_PREFIXES else ""
    content_type = request.headers.get("content-type", "")
    return Route(
        service,
        "json",
        operation=operation_model(known, action),
        action=action,
        json_version="1.0" if "json-1.0" in content_type else "1.1",
        query_mode=request.headers.get("x-amzn-query-mode", "").lower() == "true",
    )


def _is_form_post(request: HttpRequest) -> bool:
    form = request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")
    return request.path in ("", "/") and (form or request.query.startswith("Action="))


def _sagemaker_rest_route(request: HttpRequest) -> Route:
    segments = tuple(part for part in request.path.split("/") if part)
    for service in ("sagemaker-runtime", "sagemaker-metrics"):
        for rule in rest_rules(service).get(request.method, ()):
            labels = _match(rule.segments, segments)
            if labels is not None:
                operation = operation_model(service, rule.operation)
                return Route(service, "rest-json", operation, rule.operation, labels=labels)
    action = f"{request.method} {unquote(request.path)}"
    return Route("sagemaker-runtime", "rest-json", action=action)


def _match(template: Sequence[str], segments: Sequence[str]) -> dict[str, str] | None:
    if len(template) != len(segments):
        return None
    labels = {}
    for want, got in zip(template, segments, strict=True):
        if want.startswith("{"):
            labels[want.strip("{}")] = got
        elif want != got:
            return None
    return labels


def _s3_route(request: HttpRequest, virtual_hosts: Sequence[str]) -> Route:
    labels = _bucket_and_key(request.path, _host_bucket(request.headers, virtual_hosts))
    template = tuple(("{Bucket}", "{Key+}")[: len(labels)])
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    fitting = [
        rule
        for rule in rest_rules("s3").get(request.method, ())
        if rule.segments == template and rule.asks(query)
    ]
    if not fitting:
        return Route("s3", "rest-xml", action=f"{request.method} {'/'.join(template) or '/'}", labels=labels)
    chosen = max(fitting, key=lambda rule: rule.weight(request.headers))
    return Route("s3", "rest-xml", operation_model("s3", chosen.operation), chosen.operation, labels=labels)


def _bucket_and_key(path: str, host_bucket: str) -> dict[str, str]:
    # A key is whatever follows: "//", "." and ".." are ordinary parts of it and nothing may tidy them.
    rest = path.removeprefix("/")
    if host_bucket:
        bucket, key = host_bucket, rest
    else:
        bucket, slash, key = rest.partition("/")
        if not bucket and not slash:
            return {}
    return {"Bucket": bucket, "Key": key} if key else {"Bucket": bucket}


def _host_bucket(headers: Headers, suffixes: Sequence[str]) -> str:
    host = headers.get("host", "").rsplit(":", 1)[0]
    for suffix in suffixes:
        if host.endswith(suffix):
            return host.removesuffix(suffix)
    return ""
