"""Where a model comes from: a folder, a model.tar.gz, or a name that transformers resolves."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clary.inference.faults import ModelFault


@contextmanager
def opened(source: str | Path) -> Iterator[str]:
    """The folder (or hub name) to load from. An archive is unpacked to a folder that is gone at the end.

    A folder, or an archive's root, that has no config.json but exactly one folder below it that does, means that one.
    Raises ModelFault.
    """
    path = Path(source)
    if path.is_dir():
        yield str(_model_folder(path, named=str(source)))
    elif path.is_file():
        with tempfile.TemporaryDirectory(prefix="clary-model-") as folder:
            _unpack(path, Path(folder))
            yield str(_model_folder(Path(folder), named=str(source)))
    elif isinstance(source, Path) or _looks_local(str(source)):
        raise ModelFault(f"{source}: there is no such folder or file")
    else:
        yield str(source)


def _looks_local(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.endswith((".tar.gz", ".tgz")) or source.count("/") > 1


def _unpack(archive: Path, folder: Path) -> None:
    """Only plain files and folders that stay inside: the data filter refuses the rest."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except tarfile.FilterError as error:
        raise ModelFault(f"{archive} is not safe to unpack: {error}") from error
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ModelFault(
            f"{archive} is neither a model's folder nor a readable tar archive: {error}"
        ) from error


def _model_folder(folder: Path, *, named: str) -> Path:
    if (folder / "config.json").is_file():
        return folder
    below = sorted(path.parent for path in folder.glob("*/config.json"))
    if len(below) == 1:
        return below[0]
    found = f"several folders with one ({', '.join(path.name for path in below)})" if below else "none"
    raise ModelFault(
        f"{named}: config.json of a transformers model expected, found {found}; "
        "save the model with model.save_pretrained(folder) and tokenizer.save_pretrained(folder)"
    )
