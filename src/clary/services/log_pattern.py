"""CloudWatch's unstructured filter patterns: which log lines contain which terms."""

from __future__ import annotations

import re
from collections.abc import Callable

TERM = re.compile(r'([?-]?)(?:"([^"]*)"|(\S+))')


def read_pattern(pattern: str) -> Callable[[str], bool]:
    """All of `a "b c"`, at least one of `?a ?b`, none of `-a`; case counts; the empty pattern matches all.

    Raises ValueError for the pattern languages that are not spoken here.
    """
    pattern = pattern.strip()
    if pattern[:1] in {"{", "[", "%"}:
        raise ValueError(
            "JSON, space-delimited and regular expression patterns are not supported; "
            'use terms: word, "a phrase", ?either ?or, -not'
        )
    needed: list[str] = []
    optional: list[str] = []
    unwanted: list[str] = []
    for sign, phrase, word in TERM.findall(pattern):
        {"?": optional, "-": unwanted, "": needed}[sign].append(phrase or word)

    def matches(text: str) -> bool:
        return (
            all(term in text for term in needed)
            and (not optional or any(term in text for term in optional))
            and not any(term in text for term in unwanted)
        )

    return matches
