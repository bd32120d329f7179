"""Unpacking archives that others made."""

from __future__ import annotations

import shutil
import tarfile
import zlib
from pathlib import Path

from clary.agent.faults import ClientFault

MOST_ENTRIES = 1_000_000


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpacks a tar archive (gzip, bzip2, xz or plain) into `folder`. `name` is what messages call it.

    Raises ClientFault for what is no tar archive, or one with an entry that would leave the folder or is a device.
    """
    try:
        with tarfile.open(archive) as tar:
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
