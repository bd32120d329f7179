"""What of a record goes to the model, and what of the record and the model's answer is kept (DataProcessing). Pure.

A JSON object gets the answer as its member SageMakerOutput; any other JSON becomes an object of SageMakerInput and
SageMakerOutput; the cells of a CSV answer are put behind those of its row. Every fault is a ValueError, worded for the
user.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from clary.agent.transform_filter import Path, parse

Format = Literal["csv", "json", "lines"]

OUTPUT = "SageMakerOutput"
INPUT = "SageMakerInput"
ANSWER = "the answer"

FORMATS: dict[str, Format] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/json": "json",
    "application/jsonlines": "lines",
    "application/x-jsonlines": "lines",
    "application/jsonl": "lines",
    "application/x-ndjson": "lines",
}

_LONGEST_CELL = (1 << 31) - 1


def format_of(media_type: str) -> Format | None:
    """None for one whose content is not looked into."""
    return FORMATS.get(media_type.partition(";")[0].strip().lower())


@dataclass(frozen=True, slots=True)
class Association:
    """`content` and `accept` are the formats of records and of answers, needed where something is looked into."""

    input_filter: Path
    output_filter: Path
    joins: bool
    content: Format | None
    accept: Format | None

    @property
    def changes_input(self) -> bool:
        return not self.input_filter.is_whole

    @property
    def changes_output(self) -> bool:
        return self.joins or not self.output_filter.is_whole

    def sent(self, data: bytes) -> bytes:
        """What of a record the model is given."""
        values = _read(data, self.content, "the record")
        return _write([self.input_filter.select(value) for value in values], self.content)

    def kept(self, answer: bytes, *, count: int, originals: Sequence[bytes] = ()) -> bytes:
        """What the output has of an answer to `count` records, the `originals`, which a join needs."""
        if self.joins:
            asked = [value for data in originals for value in _read(data, self.content, "the record")]
            values = self._joined(asked, answer)
        else:
            several = self.accept == "json" and count > 1
            values = _read(answer, "lines" if several else self.accept, ANSWER)
        return _write([self.output_filter.select(value) for value in values], self.accept)

    def _joined(self, asked: Sequence[Any], answer: bytes) -> list[Any]:
        form = self.accept
        if form != "csv":
            form = "json" if len(asked) == 1 else "lines"
        answered = _read(answer, form, ANSWER)
        if len(answered) != len(asked):
            raise ValueError(
                f"{ANSWER} has {len(answered)} lines for {len(asked)} records, so that they cannot be joined: use "
                "BatchStrategy SingleRecord, or a model that answers each record with one line"
            )
        return [_together(one, other) for one, other in zip(asked, answered, strict=True)]


def association(
    *, input_filter: str, output_filter: str, joins: bool, content_type: str, accept: str
) -> Association:
    """`accept` is the answers' type; that of the records where it is empty. Raises PathFault."""
    return Association(
        parse(input_filter),
        parse(output_filter),
        joins,
        format_of(content_type),
        format_of(accept or content_type),
    )


def _together(asked: Any, answered: Any) -> Any:
    if isinstance(asked, dict):
        return {**asked, OUTPUT: answered}
    if isinstance(asked, _Row):
        return _Row([*asked, *answered])
    return {INPUT: asked, OUTPUT: answered}


class _Row(list[str]):
    """A row of CSV, told apart from a list in JSON."""


class _Lines(list[str]):
    """Takes the rows of a writer of CSV, which quotes all that it must only if its rows end with both \\r and \\n."""

    def write(self, row: str) -> None:
        self.append(row)


def _read(data: bytes, form: Format | None, whose: str) -> list[Any]:
    try:
        text = data.decode("utf-8-sig")
        if form == "csv":
            return _rows(text)
        if form == "lines":
            return [json.loads(line) for line in text.split("\n") if line.strip()]
        return [json.loads(text)]
    except RecursionError:
        raise ValueError(f"{whose} has more levels of JSON than can be read") from None
    except (ValueError, csv.Error) as fault:
        kind = "CSV" if form == "csv" else "JSON"
        raise ValueError(f"{whose} is not {kind}: {fault}") from None


def _rows(text: str) -> list[Any]:
    csv.field_size_limit(_LONGEST_CELL)
    return [_Row(row) for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]


def _write(values: Sequence[Any], form: Format | None) -> bytes:
    """Rows end with a newline each, and so do documents where there can be several; one alone does not."""
    if form == "csv":
        rows = _Lines()
        csv.writer(rows).writerows(value if isinstance(value, list) else [value] for value in values)
        return "".join(row.removesuffix("\r\n") + "\n" for row in rows).encode()
    if form == "json" and len(values) == 1:
        return _encoded(values[0])
    return b"".join(_encoded(value) + b"\n" for value in values)


def _encoded(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(value, separators=(",", ":")).encode()
