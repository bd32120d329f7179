"""Texts of users on a terminal: they show, and do nothing."""

from __future__ import annotations

import re

from rich.markup import escape

# C0 and C1 controls but for the line's end: a terminal would take them as commands
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """The text without control characters: each is shown as a replacement character."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def cell(text: str) -> str:
    """The text for a table that reads rich's markup: it is shown as it is."""
    return escape(plain(text))
