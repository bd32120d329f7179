"""What is in a source archive, without unpacking it."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from hashlib import sha256

MOST_FILES = 2000
MOST_BYTES = 256 * 1024 * 1024


def file_digests(archive: bytes) -> dict[str, str]:
    """A short digest of each file of a tar archive, by path; nothing for what is no archive, or too large a one."""
    digests: dict[str, str] = {}
    left = MOST_BYTES
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                left -= member.size
                if left < 0 or len(digests) >= MOST_FILES:
                    return {}
                if member.isreg() and (file := tar.extractfile(member)):
                    digests[member.name.removeprefix("./")] = sha256(file.read()).hexdigest()[:8]
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError):
        return {}
    return digests
