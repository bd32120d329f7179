"""What a model server says of itself, in one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = ("way", "precision")
UNTOLD = frozenset({*HEAD, "agreement", "workers", "device"})


def told(report: Mapping[str, Any]) -> str:
    """Such as "padding-free, int8, 2 workers, on cpu: 99.4 % of 500 labels as in fp32".

    `report` is the JSON that the server answered /ping with; what is not known here is told as `name value`.
    """
    parts = [str(report[name]) for name in HEAD if _is_plain(report.get(name))]
    if _is_plain(report.get("workers")):
        count = report["workers"]
        parts.append(f"{count} worker{'' if count == 1 else 's'}")
    if _is_plain(report.get("device")):
        parts.append(f"on {report['device']}")
    others = {name: value for name, value in report.items() if name not in UNTOLD and _is_plain(value)}
    parts += [f"{name} {value}" for name, value in others.items()]
    text = ", ".join(parts)
    agreement = _agreement(report.get("agreement"))
    return f"{text}: {agreement}" if text and agreement else text or agreement


def _agreement(agreement: Any) -> str:
    """How far a cheaper number format agrees with fp32: a sentence of the server's own, or its figures."""
    if isinstance(agreement, Mapping):
        return ", ".join(f"{name} {value}" for name, value in agreement.items() if _is_plain(value))
    return str(agreement) if _is_plain(agreement) else ""


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""
