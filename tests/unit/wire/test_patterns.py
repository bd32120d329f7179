"""The models' Java patterns as Python's."""

from __future__ import annotations

import re

import pytest

from clary.wire.models import SERVICES, service_model
from clary.wire.patterns import compile_pattern, matches


@pytest.mark.parametrize("service", SERVICES)
def test_every_published_pattern_compiles(service: str) -> None:
    model = service_model(service)
    shapes = [model.shape_for(name) for name in model.shape_names]
    patterns = {shape.metadata["pattern"] for shape in shapes if "pattern" in shape.metadata}

    for pattern in patterns:
        compile_pattern(pattern)
        compile_pattern(pattern, for_ascii=True)

    assert patterns or service == "sagemaker-metrics"


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{N}]+", ["aé日9٣"], ["", "a b", "a_", "😀", "e\u0301"]),
        (r"[\p{L}\p{M}\p{S}\p{N}\p{P}]+", ["e\u0301€!9"], ["a b", "\t"]),
        (r"\p{Lu}\p{Ll}+", ["Émile"], ["émile", "E"]),
        (r"\P{L}+", ["123"], ["12a"]),
        (r"[\p{Alnum}\-]+", ["aZ-9"], ["é", "a_"]),
        (r"\p{ASCII}*", ["", "a\0\x7f"], ["é"]),
        (r"\A\S[\p{Print}]*\z", ["a b~"], [" a", "a\n", "aé"]),
        (r"[\w-_]*", ["a-_9"], ["é", "a b"]),
        (r"[\d-z]*", ["1-z"], ["a"]),
        (r"\w+", ["a_9"], ["é"]),
        (r"([\p{L}_]*)${1,128}", ["a_"], ["a_\n", "1"]),
        (
            r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*",
            ["a\té\ue000😀\U0010ffff"],
            ["\n", "\x00", "\uffff"],
        ),
        (r"^a|b$", ["a", "b"], ["ab", "a\n"]),
        (r"[^a\]]+", ["b["], ["]", "a"]),
        (r"a{1,2}", ["a", "aa"], ["aaa"]),
        (r"\${1,2}", ["$", "$$"], [""]),
        (r".+", ["a"], ["", "a\nb"]),
    ],
)
def test_meaning(pattern: str, good: list[str], bad: list[str]) -> None:
    assert [value for value in good if not matches(pattern, value)] == []
    assert [value for value in bad if matches(pattern, value)] == []


@pytest.mark.parametrize("pattern", [r"\p{Nonsense}", r"[\P{L}]", "(", "[a[bc]]"])
def test_what_cannot_be_said_is_an_error(pattern: str) -> None:
    with pytest.raises(re.error):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    "pattern", [r"[\p{L}\p{Z}\p{N}_.:/=+\-@]", r"[^\p{P}]", r"\P{Lu}", r"\p{M}?.", r"[\p{S}\s]"]
)
def test_the_quick_form_for_ascii_is_the_same_on_ascii(pattern: str) -> None:
    every = [chr(code) for code in range(128)]
    quick, full = compile_pattern(pattern, for_ascii=True), compile_pattern(pattern)

    assert [c for c in every if quick.fullmatch(c)] == [c for c in every if full.fullmatch(c)]
