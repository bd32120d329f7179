"""Unpacking archives that others made."""

from __future__ import annotations

import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clary.agent.faults import ClientFault

MOST_ENTRIES = 1_000_000

_GZIP = b"\x1f\x8b"
_LARGE = 1 << 23


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpacks a tar archive (gzip, bzip2, xz or plain) into `folder`. `name` is what messages call it.

    Raises ClientFault for what is no tar archive, or one with an entry that would leave the folder or is a device.
    """
    try:
        with _open(archive) as tar:
            room = shutil.disk_usage(folder).free
            for number, member in enumerate(tar):
                room -= member.size
                if number >= MOST_ENTRIES or room < 0:
                    raise ClientFault(f"{name} is too large to unpack (entry {number + 1}, {member.name!r}).")
                if member.name.startswith("/"):
                    raise ClientFault(f"{name} holds an absolute path: {member.name!r}.")
                _extract(tar, member, folder, name)
    except RecursionError:
        raise ClientFault(f"{name} holds an entry in too many folders.") from None
    except (tarfile.TarError, zlib.error, EOFError, OSError) as fault:
        raise ClientFault(f"{name} cannot be unpacked as a tar archive: {fault}") from fault


@contextmanager
def _open(archive: Path) -> Iterator[tarfile.TarFile]:
    """Large ones unpack half as fast again where the package isal can be had."""
    with open(archive, "rb") as file:
        magic = file.read(len(_GZIP))
        igzip = _fast_gzip() if magic == _GZIP and os.fstat(file.fileno()).st_size >= _LARGE else None
    if igzip is None:
        with tarfile.open(archive) as tar:
            yield tar
        return
    with igzip.IGzipFile(archive, "rb") as data, tarfile.open(fileobj=data) as tar:
        try:
            yield tar
        except igzip.isal_zlib.error as fault:
            raise tarfile.ReadError(str(fault)) from fault


def _fast_gzip() -> Any:
    try:
        from isal import igzip
    except ImportError:
        return None
    return igzip


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> None:
    if hasattr(tarfile, "data_filter"):
        try:
            tar.extract(member, folder, filter="data")
        except tarfile.FilterError as fault:
            raise ClientFault(f"{name} holds an entry that is not safe to unpack: {fault}") from fault
        return
    # Python before 3.11.4 has no filters: without links, and with no way up, nothing can leave the folder
    if not (member.isfile() or member.isdir()) or ".." in Path(member.name).parts:
        raise ClientFault(
            f"{name} holds an entry that is not safe to unpack: {member.name!r} is a link or leads out"
        )
    tar.extract(member, folder, set_attrs=False)
    (folder / member.name).chmod(0o755 if member.isdir() else 0o644 | member.mode & 0o111)
