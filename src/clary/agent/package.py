"""Uploads what the program left: the model, and the other output.

Archives are made like SageMaker's (entries named relative to the folder) but in the order of their names and without
owners, and go to S3 while they are being compressed. The model's is written even when the folder is empty.
"""

from __future__ import annotations

import gzip
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Literal, cast

from clary.agent.places import is_text
from clary.agent.s3 import S3, Location
from clary.agent.upload import Upload, put

Note = Callable[[str], None]
_BUFFER = 1 << 20


def upload_folder(
    s3: S3,
    folder: Path,
    place: Location,
    name: str,
    *,
    compression: Literal["GZIP", "NONE"],
    seen: str,
    note: Note,
) -> str:
    """As `<place>/<name>.tar.gz`, or as single objects below `<place>/<name>/`; returns the S3 URI.

    `seen` is the path the program knew the folder by: links that use it are kept. What cannot be kept is noted.
    """
    entries = list(_entries(folder, seen, note))
    if compression == "NONE":
        target = place.below(name)
        real = folder.resolve()
        for path in entries:
            relative = path.relative_to(folder).as_posix()
            if not is_text(relative):
                note(f"{relative!r} in {folder.name} has a name that is not UTF-8 and was left out.")
            elif path.is_file():
                put(s3, target.below(relative), (real / relative).resolve())
        return f"{target}/"
    target = place.below(f"{name}.tar.gz")
    with Upload(s3, target) as upload, closing(_compressor(upload)) as compressed:
        write_archive(folder, entries, compressed, seen)
    return str(target)


def write_archive(folder: Path, entries: list[Path], file: IO[bytes], seen: str) -> None:
    with tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BUFFER) as tar:
        for path in entries:
            member = tar.gettarinfo(path, path.relative_to(folder).as_posix())
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            if member.issym():
                member.linkname = _link_target(path, folder, seen)
            if member.islnk():
                member.type, member.linkname, member.size = tarfile.REGTYPE, "", path.stat().st_size
            if member.isreg():
                with open(path, "rb") as source:
                    tar.addfile(member, source)
            else:
                tar.addfile(member)


def _entries(folder: Path, seen: str, note: Note) -> Iterator[Path]:
    for top, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(top) / name
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode) and not _link_target(path, folder, seen):
                note(
                    f"{path.relative_to(folder).as_posix()} in {folder.name} links out of the folder and was left out."
                )
            elif stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode):
                yield path
            else:
                note(
                    f"{path.relative_to(folder).as_posix()} in {folder.name} is no file or folder and was left out."
                )


def _link_target(path: Path, folder: Path, seen: str) -> str:
    """Relative, for a link to something in the folder; empty for any other."""
    target = str(path.readlink())
    if target == seen or target.startswith(seen + "/"):
        target = str(folder) + target[len(seen) :]
    full = os.path.realpath(path.parent / target)
    root = os.path.realpath(folder)
    if not full.startswith(root + os.sep) or not Path(full).exists():
        return ""
    return os.path.relpath(full, os.path.realpath(path.parent))


def _compressor(target: Upload) -> IO[bytes]:
    """gzip at its fastest level; ten times faster yet where the package isal can be had."""
    file = cast(Any, target)
    try:
        from isal import igzip
    except ImportError:
        return cast(IO[bytes], gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0))
    return cast(
        IO[bytes],
        igzip.IGzipFile(  # type: ignore[no-untyped-call]
            filename="", mode="wb", compresslevel=1, fileobj=file, mtime=0
        ),
    )
