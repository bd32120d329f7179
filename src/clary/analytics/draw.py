"""From a specification to a file's bytes. Pictures need the extra `plots`; the specification itself needs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

FORMATS = ("png", "svg", "html", "json")
SCALE = 2.0  # pixels of a PNG for each pixel of the layout


class CannotDraw(Exception):
    """The picture cannot be made here; the message says what to do."""


def draw(specification: Mapping[str, Any], kind: str) -> bytes:
    """The specification as one of FORMATS. HTML brings its own JavaScript and works offline.

    Raises CannotDraw when the library for it is missing, ValueError for another kind.
    """
    if kind not in FORMATS:
        raise ValueError(f"{kind!r} is none of {', '.join(FORMATS)}")
    if kind == "json":
        return (json.dumps(specification, indent=1) + "\n").encode()
    try:
        import vl_convert
    except ImportError as missing:
        raise CannotDraw(
            f"drawing {kind} needs a library: pip install 'clary[plots]' (or write .json, which needs none)"
        ) from missing
    given, version = _drawable(specification), _version(vl_convert.get_vegalite_versions())
    if kind == "png":
        return vl_convert.vegalite_to_png(given, vl_version=version, scale=SCALE, show_warnings=True)
    if kind == "svg":
        return vl_convert.vegalite_to_svg(given, vl_version=version, show_warnings=True).encode()
    return vl_convert.vegalite_to_html(given, vl_version=version, bundle=True).encode()


def _drawable(value: Any) -> Any:
    """The same without characters that XML has no place for: the library ends the whole process over one of them."""
    match value:
        case str():
            return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value)
        case Mapping():
            return {_drawable(name): _drawable(each) for name, each in value.items()}
        case list() | tuple():
            return [_drawable(each) for each in value]
        case _:
            return value


_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def _version(offered: list[str]) -> str | None:
    """The newest version 5, which the specifications are written for; None, the newest of all, where there is none."""
    fives = [each for each in offered if each.split(".")[0] == "5"]
    return max(fives, key=lambda each: int(each.split(".")[1]), default=None)
