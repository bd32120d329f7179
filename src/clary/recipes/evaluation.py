"""What an evaluation found, and the files it becomes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from clary.analytics.draw import CannotDraw, draw
from clary.analytics.looks import View, specification
from clary.recipes.report import Example, Row, page

VERSION = 1  # of evaluation.json


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`document` is evaluation.json, `predictions` a table with a row an example, in the order of the data.

    `charts` are views by the name of their file; `rows`, `classes` and `hardest` are what the report shows of the rest.
    """

    headline: str
    document: Mapping[str, Any]
    predictions: pyarrow.Table
    charts: Mapping[str, View]
    rows: Sequence[Row]
    hardest: Sequence[Example]
    classes: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @property
    def metrics(self) -> dict[str, float]:
        """Each metric's value by name."""
        return {name: entry["value"] for name, entry in self.document["metrics"].items()}

    def write(self, folder: Path) -> list[Path]:
        """Writes evaluation.json, predictions.parquet, the charts as PNG, and report.html; the files written.

        Without vl-convert-python the charts are left out, and the report says so.
        """
        folder.mkdir(parents=True, exist_ok=True)
        written = [folder / "evaluation.json", folder / "predictions.parquet"]
        text = json.dumps(self.document, indent=1, ensure_ascii=False, allow_nan=False)
        written[0].write_text(text + "\n", encoding="utf-8")
        pyarrow.parquet.write_table(self.predictions, written[1], compression="zstd")
        try:
            for name, view in self.charts.items():
                picture = folder / f"{name}.png"
                picture.write_bytes(draw(specification(view), "png"))
                written.append(picture)
        except CannotDraw:
            pass
        report = folder / "report.html"
        report.write_text(self.report(), encoding="utf-8")
        return [*written, report]

    def report(self) -> str:
        """The page: one file of HTML without scripts, which loads nothing."""
        return page(self.headline, self.document, self.charts, self.rows, self.classes, self.hardest)
