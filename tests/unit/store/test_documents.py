from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clary.store.documents import dump, load

TEXT = st.text(alphabet=st.characters(codec=None, categories=None))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_comes_back_in_order_and_in_ascii(document: dict[str, Any]) -> None:
    text = dump(document)
    assert text.isascii()
    assert "\x00" not in text
    assert load(text) == _joined(document)
    assert list(load(text)) == list(_joined(document))


def _joined(value: Any) -> Any:
    """Two halves of a pair that stand side by side are one character once they have been through JSON."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        case list():
            return [_joined(one) for one in value]
        case dict():
            return {_joined(key): _joined(one) for key, one in value.items()}
    return value


def test_any_mapping_is_an_object() -> None:
    assert load(dump(MappingProxyType({"a": MappingProxyType({"b": (1, 2)})}))) == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        dump({"a": [value]})


@pytest.mark.parametrize("value", [b"x", {1}, object()])
def test_what_is_no_json_is_refused_by_name(value: object) -> None:
    with pytest.raises(TypeError, match=f"cannot hold a {type(value).__name__}"):
        dump({"a": value})
