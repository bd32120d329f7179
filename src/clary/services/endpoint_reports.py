"""What a model server says of itself, in one sentence for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# the members that are told without their names, in this order
KNOWN = ("way", "task", "precision")
UNTOLD = frozenset({*KNOWN, "device", "workers", "agreement", "advice"})


def told(report: Mapping[str, Any]) -> str:
    """Such as "padding-free, text-classification, int8, on cpu, 2 workers: 99.4 % of 500 answers as in fp32".

    `report` is the JSON that the server answered /ping with; of what is not known here, `name value` is told.
    """
    parts = [str(report[name]) for name in KNOWN if _is_plain(report.get(name))]
    if _is_plain(report.get("device")):
        parts.append(f"on {report['device']}")
    if _is_plain(report.get("workers")):
        parts.append(f"{report['workers']} worker{'' if report['workers'] == 1 else 's'}")
    others = {name: value for name, value in report.items() if name not in UNTOLD and _is_plain(value)}
    parts += [f"{name} {value}" for name, value in others.items()]
    text = ", ".join(parts)
    if agreement := _agreement(report.get("agreement")):
        text = f"{text}: {agreement}" if text else agreement
    advice = report.get("advice")
    return f"{text}; {advice}" if _is_plain(advice) else text


def _agreement(found: Any) -> str:
    """How far a cheaper number format agrees with fp32: the figures of Clary's model server, or another's own words."""
    if not isinstance(found, Mapping):
        return str(found) if _is_plain(found) else ""
    figures = (found.get(name) for name in ("texts", "labels_equal", "largest_change"))
    match tuple(figures):
        case (int(texts), int() | float() as equal, int() | float() as change):
            return f"{100 * equal:.1f} % of {texts} answers as in fp32, largest change {change:.2g}"
    return ", ".join(f"{name} {value}" for name, value in found.items() if _is_plain(value))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""
