"""The models' patterns, which are written for Java, as Python regular expressions.

What differs: `\\p{..}` classes, `\\z`, surrogate pairs written as two `\\u` escapes, a hyphen after a class
shorthand, a quantifier after an anchor. Classes inside classes are refused; no published pattern has one so far.
A pattern speaks about the whole value.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby

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
_CATEGORY = re.compile("[LMNPSZC][a-z]?")
_NOBODY = 0x10FFFF  # never assigned: what a class that would be empty holds
# Beyond plane 3 there are no letters, marks, digits, symbols or punctuation, but for a few variation selectors.
_ALL = range(0x40000)
_ASCII = range(0x80)
_ANCHOR_COUNT = re.compile(r"(?<!\\)\$\{\d+,?\d*\}")


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str, *, for_ascii: bool = False) -> re.Pattern[str]:
    """The Python form of a model's pattern, to be used with fullmatch. Raises re.error if there is none.

    `for_ascii` gives a form that is right for ASCII values only, and made in no time.
    """
    pattern = _ANCHOR_COUNT.sub("$", pattern)
    return re.compile("".join(_translate(pattern, _ASCII if for_ascii else _ALL)), re.ASCII)


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value is as the pattern says."""
    return compile_pattern(pattern, for_ascii=value.isascii()).fullmatch(value) is not None


def _translate(pattern: str, known: range) -> Iterator[str]:
    position, depth = 0, 0
    after_shorthand = False
    while position < len(pattern):
        found = _ESCAPED.match(pattern, position)
        if found:
            text, position = _escape(found, known, in_class=depth > 0), found.end()
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


def _escape(found: re.Match[str], known: range, *, in_class: bool) -> str:
    high, low, category = found.groups()
    if high:
        code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
        return f"\\U{code:08x}"
    if category:
        ranges = _POSIX.get(category) or category_ranges(category, known)
        negated = found.group()[1] == "P"
        if in_class and negated:
            raise re.error(f"a negated category inside a class: {found.group()}")
        return ranges if in_class else f"[{'^' if negated else ''}{ranges}]"
    if found.group()[1] in "zZ":
        return r"\Z"
    return found.group()


@cache
def category_ranges(category: str, known: range) -> str:
    """A Unicode general category (`L`, `Lu`, ...) among the known characters, as the inside of a class."""
    if not _CATEGORY.fullmatch(category):
        raise re.error(f"an unknown category: {category}")
    found = [run for name, run in _runs(known) if name.startswith(category)] or [(_NOBODY, _NOBODY)]
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in found)


@cache
def _runs(known: range) -> tuple[tuple[str, tuple[int, int]], ...]:
    """The characters in order, as stretches of one category: (category, (first, last))."""
    categories = list(map(unicodedata.category, map(chr, known)))
    first = 0
    runs = []
    for name, run in groupby(categories):
        last = first + sum(1 for _ in run) - 1
        runs.append((name, (known[first], known[last])))
        first = last + 1
    return tuple(runs)
