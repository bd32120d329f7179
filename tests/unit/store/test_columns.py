from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from clary.store.columns import escape, unescape

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None))
TRICKY = st.text(alphabet=st.sampled_from("\\u0dabf\x00\ud800\udfff1"))


@settings(deadline=None)
@given(ANY_TEXT | TRICKY)
@example("\\u0000")
def test_comes_back(text: str) -> None:
    assert unescape(escape(text)) == text


@settings(deadline=None)
@given(ANY_TEXT | TRICKY)
def test_can_be_stored(text: str) -> None:
    assert b"\x00" not in escape(text).encode("utf-8")


@settings(deadline=None)
@given(TRICKY, TRICKY)
def test_different_texts_stay_different(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="\\\x00", exclude_categories=["Cs"])))
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert escape(text) is text
