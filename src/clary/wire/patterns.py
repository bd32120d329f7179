"""The models' patterns, which are written for Java, as Python regular expressions.

What differs: `\\p{..}` classes, `\\z`, surrogate pairs written as two `\\u` escapes, a hyphen after a class
shorthand, a quantifier after an anchor. Classes inside classes are refused; no published pattern has one so far.
A pattern speaks about the whole value.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Upper": "A-Z",
    "Lower": "a-z",
    "Punct": r"!-\/:-@\[-`{-~",
    "Print": r"\x20-\x7e",
    "Graph": r"\x21-\x7e",
    "ASCII": r"\x00-\x7f",
    "Space": r"\s",
    "XDigit": "0-9a-fA-F",
}
_ESCAPED = re.compile(
    r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|\\[pP]\{(\w+)\}|\\.", re.DOTALL
)
_ANCHOR_COUNT = re.compile(r"(?<!\\)\$\{\d+,?\d*\}")


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The Python form of a model's pattern, to be used with fullmatch. Raises re.error if there is none."""
    pattern = _ANCHOR_COUNT.sub("$", pattern)
    return re.compile("".join(_translate(pattern)), re.ASCII)


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value is as the pattern says."""
    return compile_pattern(pattern).fullmatch(value) is not None


def _translate(pattern: str) -> Iterator[str]:
    position, depth = 0, 0
    after_shorthand = False
    while position < len(pattern):
        found = _ESCAPED.match(pattern, position)
        if found:
            text, position = _escape(found, in_class=depth > 0), found.end()
            after_shorthand = depth > 0 and (found.group(3) is not None or found.group()[1] in "dDwWsS")
            yield text
            continue
        character = pattern[position]
        position += 1
        if character == "[":
            if depth:
                raise re.error(f"a class inside a class: {pattern}")
            depth = 1
            if pattern[position : position + 1] == "^":
                character, position = character + "^", position + 1
        elif character == "]" and depth:
            depth = 0
        elif depth and (after_shorthand or character != "-"):
            character = "\\" + character if character in "-&|~" else character
        after_shorthand = False
        yield character


def _escape(found: re.Match[str], *, in_class: bool) -> str:
    high, low, category = found.groups()
    if high:
        code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
        return f"\\U{code:08x}"
    if category:
        ranges = _POSIX.get(category) or category_ranges(category)
        negated = found.group()[1] == "P"
        if in_class and negated:
            raise re.error(f"a negated category inside a class: {found.group()}")
        return ranges if in_class else f"[{'^' if negated else ''}{ranges}]"
    if found.group()[1] in "zZ":
        return r"\Z"
    return found.group()


@cache
def category_ranges(category: str) -> str:
    """A Unicode general category (`L`, `Lu`, ...), as the inside of a character class."""
    found: list[list[int]] = []
    for code in _assigned():
        if unicodedata.category(chr(code)).startswith(category):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    if not found:
        raise re.error(f"an unknown category: {category}")
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


def _assigned() -> Iterator[int]:
    # Planes 4 to 13 are empty and the last two are for private use: looking at them would only take time.
    yield from range(0xD800)
    yield from range(0xE000, 0x40000)
    yield from range(0xE0000, min(0xE0200, sys.maxunicode))
