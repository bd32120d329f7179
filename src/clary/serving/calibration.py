"""Eight-bit integers are used only after their agreement with float32 was measured on texts of the user's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from clary.inference import Encoder, agreement
from clary.serving import content
from clary.serving.calls import call_of
from clary.serving.contract import Contract
from clary.serving.faults import LoadFault, RequestFault

FORMS = {".jsonl": content.LINES, ".ndjson": content.LINES, ".csv": content.CSV, ".json": content.JSON}
FEWEST, MOST = 20, 256  # texts that are compared
PAIRS = (("text", "text_pair"), ("question", "context"))


def measured(exact: Encoder, fast: Encoder, asked: Contract, folders: Iterable[Path]) -> dict[str, Any]:
    """How far `fast` agrees with `exact` on the texts of CLARY_CALIBRATION.

    {"texts", "labels_equal" (a share), "largest_change" (of a probability)}. Raises LoadFault where that is not enough.
    """
    path = _file(asked, folders)
    try:
        given = list(_texts(path))
    except (RequestFault, OSError) as error:
        raise LoadFault(f"CLARY_CALIBRATION={asked.calibration} cannot be read: {error}") from error
    if len(given) < FEWEST:
        raise LoadFault(
            f"CLARY_CALIBRATION={asked.calibration} has {len(given)} texts; to tell how far int8 agrees with fp32, "
            f"at least {FEWEST} are needed, better some hundreds"
        )
    texts, pairs = zip(*given[:MOST], strict=True)
    try:
        found = agreement(exact, fast, texts, None if None in pairs else pairs)
    except ValueError as error:
        raise LoadFault(f"CLARY_CALIBRATION={asked.calibration}: {error}") from error
    if found.labels_equal < asked.least_agreement:
        raise LoadFault(
            f"int8 gives the same answer as fp32 for {found.labels_equal:.1%} of the {found.texts} texts of "
            f"{asked.calibration}; CLARY_LEAST_AGREEMENT asks for {asked.least_agreement:.1%}. "
            "Use CLARY_PRECISION=bf16 or fp32, or lower CLARY_LEAST_AGREEMENT"
        )
    return {"texts": found.texts, "labels_equal": found.labels_equal, "largest_change": found.largest_change}


def _file(asked: Contract, folders: Iterable[Path]) -> Path:
    if asked.calibration is None:
        raise LoadFault(
            "CLARY_PRECISION=int8 needs CLARY_CALIBRATION: the name of a file in the model's archive with texts such "
            "as the model will get, a text a line, or CSV or JSON lines with inputs (or text and text_pair, or "
            "question and context). The server measures on them how far int8 agrees with fp32"
        )
    for folder in folders:
        path = (folder / asked.calibration).resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            return path
    raise LoadFault(f"CLARY_CALIBRATION={asked.calibration}: there is no such file in the model's folder")


def _texts(path: Path) -> Iterator[tuple[str, str | None]]:
    """Texts, or pairs of texts. Raises RequestFault."""
    body, form = path.read_bytes(), FORMS.get(path.suffix.lower())
    if form is None:
        body_lines = content.decoded(body, content.TEXT).splitlines()
        yield from ((line, None) for line in body_lines if line.strip())
        return
    document = content.decoded(body, form)
    records = call_of(document).inputs if isinstance(document, dict) else document
    for number, record in enumerate(records if isinstance(records, list) else [records], 1):
        yield _text(record, number)


def _text(record: Any, number: int) -> tuple[str, str | None]:
    given = call_of(record).inputs
    if isinstance(given, str):
        return given, None
    for first, second in PAIRS:
        if isinstance(given, dict) and isinstance(given.get(first), str):
            other = given.get(second)
            return given[first], other if isinstance(other, str) else None
    raise RequestFault(f"record {number} has neither inputs, nor text, nor question and context")
