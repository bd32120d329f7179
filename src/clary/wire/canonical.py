"""The canonical request of Signature Version 4: the one text that client and server both sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote_to_bytes

from clary.wire.http import HttpRequest


def canonical_requests(request: HttpRequest, *, service: str, signed: str, payload: str) -> Iterator[str]:
    """What the client may have signed: path and query as it sent them, or in their normal encoding.

    Clients that encode otherwise than they sign (a lower-case %2f, an unescaped brace) are served by the second.
    `service` is that of the credential scope, `signed` the list of headers, `payload` the payload's line.
    """
    headers = "".join(f"{name}:{_folded(request.headers.get(name, ''))}\n" for name in signed.split(";"))
    tail = f"{headers}\n{signed}\n{payload}"
    sent = f"{_sent_path(request, service)}\n{_sorted(pairs(request.query))}"
    yield f"{request.method}\n{sent}\n{tail}"
    normal = f"{_normal_path(request, service)}\n{_normal_query(request.query)}"
    if normal != sent:
        yield f"{request.method}\n{normal}\n{tail}"


def _sent_path(request: HttpRequest, service: str) -> str:
    if service == "s3":
        return request.path or "/"
    return _tidied(request.path)


def _normal_path(request: HttpRequest, service: str) -> str:
    if service != "s3":
        return _tidied(request.path)
    return quote(unquote_to_bytes(request.path), safe="/-_.~") or "/"


def _tidied(path: str) -> str:
    """Every service but S3 signs the path without empty and dot segments, and encoded once more."""
    if path in ("", "/"):
        return "/"
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return quote(f"/{'/'.join(kept)}{'/' if kept and path.endswith('/') else ''}", safe="/~")


def pairs(query: str) -> Sequence[tuple[str, str]]:
    if not query:
        return ()
    return [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&"))]


def _sorted(pairs: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs) if name != "X-Amz-Signature")


def _normal_query(query: str) -> str:
    # A bare "+" is a space to some and a plus to others: it is taken only as sent.
    if "+" in query or not query:
        return _sorted(pairs(query))
    return _sorted(
        [
            (quote(unquote_to_bytes(name), safe="-_.~"), quote(unquote_to_bytes(value), safe="-_.~"))
            for name, value in pairs(query)
        ]
    )


def _folded(value: str) -> str:
    return " ".join(value.split()) if "  " in value or "\t" in value else value.strip()
