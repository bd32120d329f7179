"""The JSONPath of InputFilter and OutputFilter: `$`, `.name`, `.*`, `['a','b']`, `[*]`, `[0,-1]`, `[1:]`. Pure.

A path that can meet one value only gives that value; one with a wildcard, a slice or several indices gives the list
of all it meets; several names, which can only come last, give an object with these members.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"\w[\w-]*")
_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\"")
_RANGE = re.compile(r"(-?\d+)?\s*:\s*(-?\d+)?")
_INDEX = re.compile(r"-?\d+")
_BLANK = re.compile(r"\s*")
_LONGEST_TOLD = 80


class PathFault(ValueError):
    """The text is no path that is understood. `position` counts characters from 1."""

    def __init__(self, position: int, words: str) -> None:
        super().__init__(f"{words} (at character {position})")
        self.position = position


class NoMatch(ValueError):
    """A value has not what the path names."""


@dataclass(frozen=True, slots=True)
class Names:
    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Picks:
    """Elements of a list, or a row of CSV."""

    picks: Sequence[int | slice]


@dataclass(frozen=True, slots=True)
class Everything:
    """Every element, or the value of every member."""


Step = Names | Picks | Everything


@dataclass(frozen=True, slots=True)
class Path:
    text: str
    steps: Sequence[Step]

    @property
    def is_whole(self) -> bool:
        return not self.steps

    @property
    def has_names(self) -> bool:
        """Whether it names members of objects, which rows of CSV do not have."""
        return any(isinstance(step, Names) for step in self.steps)

    def select(self, value: Any) -> Any:
        """Raises NoMatch."""
        found, is_one = [value], True
        for step in self.steps:
            found = [each for one in found for each in _taken(step, one, self.text)]
            is_one = is_one and _gives_one(step)
        return found[0] if is_one else found


def parse(text: str) -> Path:
    """Raises PathFault, which says where and why."""
    if not text.startswith("$"):
        raise PathFault(1, f"{text!r} must begin with $, which stands for the whole record")
    steps: list[Step] = []
    position = 1
    while position < len(text):
        if steps and isinstance(steps[-1], Names) and len(steps[-1].names) > 1:
            raise PathFault(position + 1, "nothing can follow several names")
        step, position = _step(text, position)
        steps.append(step)
    return Path(text, tuple(steps))


def _step(text: str, position: int) -> tuple[Step, int]:
    if text.startswith("..", position):
        raise PathFault(position + 1, "`..` (any depth) is not supported: name each level")
    if text[position] == ".":
        position += 1
        if text.startswith("*", position):
            return Everything(), position + 1
        if name := _NAME.match(text, position):
            return Names((name[0],)), name.end()
        if not text.startswith("[", position):
            raise PathFault(position + 1, "a name must follow the dot; write other names as ['a name']")
    if text[position] != "[":
        raise PathFault(position + 1, "expected `.name` or `[...]`")
    return _bracket(text, position + 1)


def _bracket(text: str, position: int) -> tuple[Step, int]:
    position = _skip(text, position)
    if text.startswith(("?", "("), position):
        raise PathFault(position + 1, "conditions and scripts in brackets are not supported")
    if text.startswith("*", position):
        return Everything(), _close(text, position + 1)
    if text.startswith(("'", '"'), position):
        names, position = _several(text, position, _name)
        return Names(tuple(names)), _close(text, position)
    picks, position = _several(text, position, _pick)
    return Picks(tuple(picks)), _close(text, position)


def _several(text: str, position: int, one: Any) -> tuple[list[Any], int]:
    found = []
    while True:
        each, position = one(text, _skip(text, position))
        found.append(each)
        position = _skip(text, position)
        if not text.startswith(",", position):
            return found, position
        position += 1


def _name(text: str, position: int) -> tuple[str, int]:
    match = _QUOTED.match(text, position)
    if not match:
        raise PathFault(position + 1, "expected a name in quotes")
    name = match[1] if match[1] is not None else match[2]
    return re.sub(r"\\(.)", r"\1", name), match.end()


def _pick(text: str, position: int) -> tuple[int | slice, int]:
    if match := _RANGE.match(text, position):
        if text.startswith(":", _skip(text, match.end())):
            raise PathFault(match.end() + 1, "a slice has no step: write [start:end]")
        return slice(*(int(part) if part else None for part in match.groups())), match.end()
    if match := _INDEX.match(text, position):
        return int(match[0]), match.end()
    raise PathFault(position + 1, "expected a name in quotes, an index, a slice or *")


def _skip(text: str, position: int) -> int:
    match = _BLANK.match(text, position)
    return match.end() if match else position


def _close(text: str, position: int) -> int:
    position = _skip(text, position)
    if not text.startswith("]", position):
        raise PathFault(position + 1, "expected `]`")
    return position + 1


def _gives_one(step: Step) -> bool:
    if isinstance(step, Picks):
        return len(step.picks) == 1 and isinstance(step.picks[0], int)
    return isinstance(step, Names)


def _taken(step: Step, value: Any, text: str) -> Iterator[Any]:
    if isinstance(step, Everything):
        yield from _all(value, text)
    elif isinstance(step, Picks):
        if not isinstance(value, list):
            raise NoMatch(f"{text}: {_told(value)} is no list")
        for pick in step.picks:
            yield from _picked(value, pick, text)
    elif len(step.names) == 1:
        yield _member(value, step.names[0], text)
    else:
        yield {name: _member(value, name, text) for name in step.names}


def _all(value: Any, text: str) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    else:
        raise NoMatch(f"{text}: {_told(value)} has no members")


def _picked(value: list[Any], pick: int | slice, text: str) -> Iterator[Any]:
    if isinstance(pick, slice):
        yield from value[pick]
    elif -len(value) <= pick < len(value):
        yield value[pick]
    else:
        raise NoMatch(f"{text}: there is no element {pick} among {len(value)}")


def _member(value: Any, name: str, text: str) -> Any:
    if not isinstance(value, Mapping):
        raise NoMatch(f"{text}: {_told(value)} is no object, and so has no {name!r}")
    if name not in value:
        raise NoMatch(f"{text}: there is no {name!r} in {_told(value)}")
    return value[name]


def _told(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}..."
