"""Bodies to Python objects and back: which content types a model reads and writes, and what is wrong with a body."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from clary.serving.faults import AnswerFault, NotAcceptable, RequestFault, UnsupportedType

JSON, CSV, LINES, NPY, TEXT = (
    "application/json",
    "text/csv",
    "application/jsonlines",
    "application/x-npy",
    "text/plain",
)
SPELLINGS = {
    "application/jsonl": LINES,
    "application/x-jsonlines": LINES,
    "application/x-ndjson": LINES,
    "text/json": JSON,
    "application/csv": CSV,
    "application/x-csv": CSV,
    "application/npy": NPY,
    "application/x-numpy": NPY,
}
TEXTS = (JSON, LINES, CSV, NPY, TEXT)
IMAGES = tuple(f"image/{kind}" for kind in ("jpeg", "png", "tiff", "bmp", "gif", "webp", "x-image"))
SOUNDS = tuple(
    f"audio/{kind}" for kind in ("x-flac", "flac", "mpeg", "wave", "wav", "x-wav", "ogg", "x-audio")
)
COLUMNS = ("inputs", "question", "context", "text", "text_pair")


def media_type(header: str) -> str:
    """The type of a Content-Type header, without its parameters, in its usual spelling; JSON where there is none."""
    named = header.partition(";")[0].strip().lower()
    return SPELLINGS.get(named, named) or JSON


def decoded(body: bytes, content_type: str, *, readable: Sequence[str] = TEXTS) -> Any:
    """What the body says: for CSV {"inputs": [...]} by the names of its columns, for JSON lines a list of records.

    Raises UnsupportedType, and RequestFault with the place of what cannot be read.
    """
    kind = media_type(content_type)
    if kind not in readable:
        raise UnsupportedType(
            f"Content-Type {content_type!r} is not read by this model; it reads {', '.join(readable)}"
        )
    return _reader(kind)(body)


def _reader(kind: str) -> Callable[[bytes], Any]:
    if kind in IMAGES:
        return _image
    if kind in SOUNDS:
        return bytes
    return {JSON: _json, CSV: _csv, LINES: _lines, NPY: array_of_npy, TEXT: _text}[kind]


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")  # tables often begin with a mark
    except UnicodeDecodeError as error:
        raise RequestFault(
            f"the body is not UTF-8: byte {error.start} is {body[error.start]:#04x}"
        ) from error


def _json(body: bytes) -> Any:
    try:
        return json.loads(_text(body), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise RequestFault(
            f"the body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise RequestFault("the body is not JSON that can be read: it is nested too deeply") from error
    except ValueError as error:  # a number of thousands of digits
        raise RequestFault(f"the body is not JSON that can be read: {error}") from error


def _no_constant(name: str) -> Any:
    raise RequestFault(f"the body is not JSON: {name} is no number there")


def _lines(body: bytes) -> list[Any]:
    records = []
    for number, line in enumerate(_text(body).split("\n"), 1):
        if not line.strip():
            continue
        try:
            records.append(json.loads(line, parse_constant=_no_constant))
        except (ValueError, RecursionError) as error:
            raise RequestFault(f"line {number} is not JSON: {error}") from error
    if not records:
        raise RequestFault("the body has no line; a JSON record a line is expected")
    return records


def _csv(body: bytes) -> dict[str, Any]:
    rows = rows_of_csv(body)
    if not rows:
        raise RequestFault(f"the CSV is empty; a header row with {' or '.join(COLUMNS)} is expected")
    header = [name.strip().lower() for name in rows[0]]
    if not set(header) & set(COLUMNS):
        raise RequestFault(
            f"the CSV's first row must name its columns: inputs, or question and context, or text (and text_pair); "
            f"it is {','.join(rows[0])[:200]}"
        )
    records = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise RequestFault(f"row {number} of the CSV has {len(row)} fields, the header has {len(header)}")
        records.append(dict(zip(header, row, strict=True)))
    if not records:
        raise RequestFault("the CSV has a header and no row")
    if "inputs" in header:
        return {"inputs": [record["inputs"] for record in records]}
    return {"inputs": records}


def rows_of_csv(body: bytes) -> list[list[str]]:
    """Rows of fields; empty lines are left out. Raises RequestFault."""
    csv.field_size_limit(1 << 30)
    try:
        return [row for row in csv.reader(io.StringIO(_text(body), newline=""), strict=True) if row]
    except csv.Error as error:
        raise RequestFault(f"the body is not CSV: {error}") from error


def array_of_npy(body: bytes) -> Any:
    """A numpy array; one of Python objects is refused (reading it would run code). Raises RequestFault."""
    import numpy as np

    try:
        return np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RequestFault(f"the body is not an array in numpy's .npy format: {error}") from error


def _image(body: bytes) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(body))
        image.load()
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise RequestFault("the body is not an image that can be read") from error
    return image


def wanted(accept: str, *, default: str = JSON) -> str:
    """The type to answer in: the first that an Accept header names and that can be written. Raises NotAcceptable."""
    asked = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    for name in asked:
        kind = SPELLINGS.get(name, name)
        if kind in ("", "*/*", "application/*"):
            return default
        if kind in TEXTS or kind.startswith("image/"):
            return kind
    raise NotAcceptable(f"Accept {accept!r}: this model answers in {', '.join(TEXTS)}")


def encoded(value: Any, kind: str) -> bytes:
    """The value as a body. Raises NotAcceptable where it has no such form, AnswerFault for NaN in JSON."""
    if kind == CSV:
        return _to_csv(value)
    if kind == NPY:
        return _to_npy(value)
    if kind == LINES:
        return b"".join(to_json(record) + b"\n" for record in (value if isinstance(value, list) else [value]))
    if kind == TEXT:
        return _to_text(value)
    if kind.startswith("image/"):
        return _to_image(value, kind)
    return to_json(value)


def to_json(value: Any) -> bytes:
    """Compact JSON in UTF-8; arrays, tensors and their numbers as lists and numbers, images as PNG in base64.

    Raises AnswerFault.
    """
    try:
        return _json_text(value, ascii_only=False).encode()
    except UnicodeEncodeError:  # half of a character has no form in UTF-8
        return _json_text(value, ascii_only=True).encode()
    except ValueError as error:
        raise AnswerFault(f"the answer has no form in JSON: {error}") from error


def _json_text(value: Any, *, ascii_only: bool) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, separators=(",", ":"), default=_plain)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # arrays, tensors, numpy's numbers
        return value.tolist()
    if hasattr(value, "save") and hasattr(value, "mode"):
        return base64.b64encode(_to_image(value, "image/png")).decode()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Iterable):
        return list(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _to_csv(value: Any) -> bytes:
    stream = io.StringIO()
    records = value if isinstance(value, list) else [value]
    if records and all(isinstance(record, dict) for record in records):
        columns = list(dict.fromkeys(name for record in records for name in record))
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(records)
        return stream.getvalue().encode()
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        raise NotAcceptable("this result is not a table; ask for application/json") from error
    if array.ndim > 2 or array.dtype == object:
        raise NotAcceptable("this result is not a table; ask for application/json")
    csv.writer(stream).writerows(
        np.atleast_2d(array).tolist() if array.ndim == 2 else [[x] for x in array.ravel()]
    )
    return stream.getvalue().encode()


def _to_npy(value: Any) -> bytes:
    import numpy as np

    try:
        array = np.asarray(value)
    except ValueError as error:
        raise NotAcceptable("this result is not a regular array; ask for application/json") from error
    if array.dtype == object:
        raise NotAcceptable("this result is not an array of numbers or texts; ask for application/json")
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _to_text(value: Any) -> bytes:
    """Texts as they are, one a line; what a generator made without its wrapping; everything else as JSON."""
    values = value if isinstance(value, list) else [value]
    texts = [_only_text(item) for item in values]
    if values and all(text is not None for text in texts):
        return "\n".join(text for text in texts if text is not None).encode("utf-8", "surrogatepass")
    return to_json(value)


def _only_text(value: Any) -> str | None:
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    return value if isinstance(value, str) else None


def _to_image(value: Any, kind: str) -> bytes:
    if not hasattr(value, "save"):
        raise NotAcceptable("this result is not an image; ask for application/json")
    stream = io.BytesIO()
    value.save(stream, format="PNG" if kind == "image/x-image" else kind.partition("/")[2].upper())
    return stream.getvalue()
