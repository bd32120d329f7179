"""Writing S3 objects as a stream: one PUT for what is small, parts sent while more is being produced for the rest."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue
from types import TracebackType

from clary.agent.download import CHUNK
from clary.agent.faults import ClientFault, Fault
from clary.agent.places import open_own
from clary.agent.s3 import S3, Location, tag

PART = 16 << 20
"""Parts grow by half this much every thousand, so that the 10,000 allowed reach 5 TB and more."""


def put(s3: S3, place: Location, path: Path) -> None:
    """Uploads a plain file (`places.open_own`). Raises OSError when it cannot be read, else what `S3.ask` raises."""
    with open_own(path) as source, Upload(s3, place) as target:
        while chunk := source.read(CHUNK):
            target.write(chunk)


class Upload:
    """A file-like object. The S3 object appears when it is left without an exception; after one, nothing does.

    Memory: at most three parts.
    """

    def __init__(self, s3: S3, place: Location, *, part_size: int = PART) -> None:
        self._s3 = s3
        self._place = place
        self._part_size = part_size
        self._buffer = bytearray()
        self._sender: _Sender | None = None
        self._position = 0

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._finish()
        elif self._sender:
            self._sender.abort()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        self._buffer += data
        self._position += len(data)
        # a full part waits for the next byte, so that an object of one part needs one request
        while len(self._buffer) > self._part_size:
            self._send(bytes(self._buffer[: self._part_size]))
            del self._buffer[: self._part_size]
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """A part goes when it is full."""

    def _send(self, part: bytes) -> None:
        if self._sender is None:
            self._sender = _Sender(self._s3, self._place)
        sent = self._sender.send(part)
        if sent % 1000 == 0:
            self._part_size += PART // 2

    def _finish(self) -> None:
        rest = bytes(self._buffer)
        if self._sender is None:
            self._s3.ask("PUT", self._place, body=rest)
            return
        self._sender.complete(rest)


class _Sender:
    """One multipart upload, its parts sent in order by a thread."""

    def __init__(self, s3: S3, place: Location) -> None:
        self._s3 = s3
        self._place = place
        self._id = tag(s3.ask("POST", place, query={"uploads": ""}).body.decode(), "UploadId")
        self._queue: Queue[tuple[int, bytes] | None] = Queue(maxsize=1)
        self._etags: list[str] = []
        self._number = 0
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="upload", daemon=True)
        self._thread.start()

    def send(self, part: bytes) -> int:
        """Returns how many were sent. Raises what sending an earlier part raised."""
        if self._fault:
            raise self._fault
        self._number += 1
        self._queue.put((self._number, part))
        return self._number

    def complete(self, last: bytes) -> None:
        """Raises what sending any part raised; then nothing of the upload is left."""
        if self._fault is None:
            self.send(last)
        self._join()
        if self._fault:
            self._abort()
            raise self._fault
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(self._etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        answer = self._s3.ask("POST", self._place, query={"uploadId": self._id}, body=body, allowed=(404,))
        # 404 after a lost answer: the upload was completed by the request before
        if answer.status == 404 and not self._s3.exists(self._place):
            raise ClientFault(f"the upload of {self._place} was ended by someone else")

    def abort(self) -> None:
        self._join()
        self._abort()

    def _join(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _abort(self) -> None:
        with suppress(Fault):
            self._s3.ask("DELETE", self._place, query={"uploadId": self._id}, allowed=(404,))

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._fault is None:
                try:
                    self._etags.append(self._send_part(*item))
                except Exception as fault:  # noqa: BLE001 - raised again in the thread that produces the parts
                    self._fault = fault
        self._s3.close()

    def _send_part(self, number: int, part: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": self._id}
        return self._s3.ask("PUT", self._place, query=query, body=part).headers.get("etag", "")
