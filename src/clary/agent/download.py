"""A file that fills from S3 over as many requests as it takes."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import BinaryIO

CHUNK = 1 << 20


class DiskTrouble(Exception):
    """The disk, not the network."""


class Download:
    """A file that fills over as many requests as it takes."""

    def __init__(self, file: BinaryIO, check: Callable[[], None]) -> None:
        self._file = file
        self._check = check
        self._etag = ""

    def headers(self) -> dict[str, str]:
        done = self._file.tell()
        return {"range": f"bytes={done}-", "if-match": self._etag} if done else {}

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()

    def receive(self, response: http.client.HTTPResponse) -> None:
        if response.status == 200:
            self.restart()
        self._etag = response.getheader("etag") or ""
        while chunk := response.read(CHUNK):
            self._check()
            try:
                self._file.write(chunk)
            except OSError as fault:
                raise DiskTrouble(str(fault)) from fault
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
