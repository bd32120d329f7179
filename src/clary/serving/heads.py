"""The head of a request, and how long what follows it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

HEAD_BYTES = 65_536
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_NUMBER = 18  # digits


class Malformed(Exception):
    """What came is not a request that can be read."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """Header names are lower case; several of one name are joined with ", "."""

    method: str
    target: str
    headers: Mapping[str, str]
    version: str

    @property
    def keeps_alive(self) -> bool:
        asked = self.headers.get("connection", "").lower()
        return "keep-alive" in asked if self.version == "HTTP/1.0" else "close" not in asked


def parse_head(data: bytes) -> Head:
    """Without the empty line. Raises Malformed."""
    first, *lines = data.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Malformed(400, "the request line is not METHOD target HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not NAME.fullmatch(name):
            raise Malformed(400, f"a header that is no `name: value`: {line[:100]!r}")
        name, value = name.lower(), value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(words[0], words[1], headers, words[2])


def body_length(head: Head) -> int | None:
    """In bytes; None for one that comes in chunks. Raises Malformed."""
    coding, length = head.headers.get("transfer-encoding"), head.headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise Malformed(400, "Transfer-Encoding may be chunked, without Content-Length, and nothing else")
        return None
    if length is None:
        return 0
    if not (length.isascii() and length.isdigit() and len(length) <= _LONGEST_NUMBER):
        raise Malformed(400, f"Content-Length is no number: {length[:40]!r}")
    return int(length)


def chunk_size(line: bytes) -> int:
    """Of the line before a chunk. Raises Malformed."""
    text = line.partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9a-fA-F]{1,15}", text):
        raise Malformed(400, f"a chunk whose size is no hexadecimal number: {text[:20]!r}")
    return int(text, 16)
