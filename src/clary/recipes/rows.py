"""Labelled data as rows, from the files people have: CSV, TSV, JSON Lines, JSON, Parquet, SQuAD's JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clary.recipes.refusal import CannotEvaluate

ENCODING = "utf-8-sig"  # UTF-8, with or without a byte order mark
TABLES = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SEPARATORS = (";", "\t", "|", ",")  # what a header of one column may have been meant to be cut at
LINES = (".jsonl", ".ndjson", ".json")
COLUMNAR = (".parquet",)
_UNREADABLE = "JSON that Python does not read"  # a number of thousands of digits, endless nesting
SUFFIXES = (*TABLES, *LINES, *COLUMNAR)


@dataclass(frozen=True, slots=True)
class Row:
    """A row's values by column, and where it stands: `place` is "test.csv, line 17" (rows of Parquet count from 1)."""

    place: str
    values: Mapping[str, Any]


def read_rows(path: Path, *, encoding: str | None = None) -> list[Row]:
    """Every row of a file, or of all data files below a folder in the order of their names.

    Raises CannotEvaluate with file, line and cause where something cannot be read, or where nothing is found.
    """
    files = data_files(path)
    rows = [row for file in files for row in _rows_of(file, encoding or ENCODING)]
    if not rows:
        raise CannotEvaluate(f"{_names(files)}: no rows")
    return rows


def data_files(path: Path) -> list[Path]:
    if path.is_file():
        if _suffix(path) not in SUFFIXES:
            raise CannotEvaluate(f"{path.name}: data files end in {', '.join(SUFFIXES)} (or those and .gz)")
        return [path]
    if not path.is_dir():
        raise CannotEvaluate(f"{path}: no such file or folder")
    found = [
        each
        for each in sorted(path.rglob("*"))
        if each.is_file()
        and _suffix(each) in SUFFIXES
        and not any(part.startswith(".") for part in each.relative_to(path).parts)
    ]
    if not found:
        raise CannotEvaluate(f"{path}: holds no data file ({', '.join(SUFFIXES)})")
    return found


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _names(files: Iterable[Path]) -> str:
    return ", ".join(file.name for file in files)


def _rows_of(path: Path, encoding: str) -> Iterator[Row]:
    suffix = _suffix(path)
    if suffix in COLUMNAR:
        return _parquet(path)
    text = _text(path, encoding)
    if suffix in TABLES:
        return _table(path.name, text, TABLES[suffix])
    return _json(path.name, text)


def _text(path: Path, encoding: str) -> str:
    content = path.read_bytes()
    if path.suffix.lower() == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError) as broken:
            raise CannotEvaluate(f"{path.name}: not a whole gzip file ({broken})") from broken
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as broken:
        line = content.count(b"\n", 0, broken.start) + 1
        raise CannotEvaluate(
            f"{path.name}, line {line}: byte 0x{content[broken.start]:02x} is not {encoding.removesuffix('-sig')}; "
            "save the file as UTF-8 or name its encoding (--encoding latin-1, say)"
        ) from broken
    except LookupError as unknown:
        raise CannotEvaluate(f"--encoding: Python knows no encoding {encoding!r}") from unknown


def _table(name: str, text: str, delimiter: str) -> Iterator[Row]:
    """Quoted as CSV is; a file whose quotes are part of the text (many a .tsv) is read without quoting."""
    if delimiter == "\t" and '"' in text and not _is_even(text, delimiter, csv.QUOTE_MINIMAL):
        return _records(name, text, delimiter, csv.QUOTE_NONE)
    return _records(name, text, delimiter, csv.QUOTE_MINIMAL)


def _is_even(text: str, delimiter: str, quoting: Any) -> bool:
    """Whether every record has as many fields as the header."""
    try:
        lengths = {len(record) for record in _reader(text, delimiter, quoting) if record}
    except csv.Error:
        return False
    return len(lengths) <= 1


def _reader(text: str, delimiter: str, quoting: Any) -> Any:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default, 128 KiB, is less than a long document
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=quoting != csv.QUOTE_NONE
    )


def _records(name: str, text: str, delimiter: str, quoting: Any) -> Iterator[Row]:
    reader = _reader(text, delimiter, quoting)
    header: list[str] = []
    start = 1
    try:
        for record in reader:
            place, start = f"{name}, line {start}", reader.line_num + 1
            if not record:
                continue
            if not header:
                header = _header(name, record)
            elif len(record) != len(header):
                raise CannotEvaluate(
                    f"{place}: {len(record)} fields, but the header has {len(header)} ({', '.join(header)}); "
                    "put a field that holds the separator in double quotes"
                )
            else:
                yield Row(place, dict(zip(header, record, strict=True)))
    except csv.Error as broken:
        raise CannotEvaluate(f"{name}, line {start}: {broken}") from broken


def _header(name: str, record: list[str]) -> list[str]:
    header = [field.strip() for field in record]
    if len(header) == 1 and (other := next((mark for mark in SEPARATORS if mark in header[0]), None)):
        raise CannotEvaluate(
            f"{name}, line 1: the only column is {header[0]!r}; a .csv is separated by commas and a .tsv by tabs, "
            f"not by {other!r}"
        )
    twice = sorted({field for field in header if header.count(field) > 1})
    if twice:
        raise CannotEvaluate(f"{name}, line 1: the header names {', '.join(map(repr, twice))} more than once")
    return header


def _json(name: str, text: str) -> Iterator[Row]:
    """One document (a list of objects, or SQuAD's), or an object a line."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError:
        return _json_lines(name, text)
    except (ValueError, RecursionError) as beyond:
        raise CannotEvaluate(f"{name}: {_UNREADABLE} ({beyond})") from beyond
    if isinstance(document, list):
        return (_object(f"{name}, item {n}", item) for n, item in enumerate(document, 1))
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        return _squad(name, document["data"])
    return iter([_object(f"{name}, line 1", document)])


def _json_lines(name: str, text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield _object(f"{name}, line {number}", json.loads(line))
            except json.JSONDecodeError as broken:
                raise CannotEvaluate(
                    f"{name}, line {number}: not JSON ({broken.msg}, column {broken.colno})"
                ) from broken
            except (ValueError, RecursionError) as beyond:
                raise CannotEvaluate(f"{name}, line {number}: {_UNREADABLE} ({beyond})") from beyond


def _object(place: str, item: Any) -> Row:
    if not isinstance(item, dict):
        raise CannotEvaluate(f"{place}: {type(item).__name__} where an object with the columns belongs")
    return Row(place, item)


def _squad(name: str, articles: list[Any]) -> Iterator[Row]:
    """A row a question. Raises CannotEvaluate where the nesting is not SQuAD's."""
    place = name
    try:
        for article in articles:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    place = f"{name}, question {question['id']}"
                    yield Row(
                        place,
                        {
                            "id": str(question["id"]),
                            "title": article.get("title", ""),
                            "context": paragraph["context"],
                            "question": question["question"],
                            "answers": {"text": [each["text"] for each in question["answers"]]},
                        },
                    )
    except (KeyError, TypeError, AttributeError) as broken:
        raise CannotEvaluate(f"{place}: not as SQuAD's files are: {broken!r}") from broken


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        # its threads may abort a process that ends soon after they began, as one does that refuses the data
        table = pyarrow.parquet.read_table(path, use_threads=False, pre_buffer=False)
    except (pyarrow.ArrowInvalid, OSError) as broken:
        raise CannotEvaluate(f"{path.name}: not a Parquet file ({broken})") from broken
    return (Row(f"{path.name}, row {n}", values) for n, values in enumerate(table.to_pylist(), 1))
