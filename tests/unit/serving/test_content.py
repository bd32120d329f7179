"""Bodies in and out: each content type, and what is said of a body that is none of it."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from clary.serving import content
from clary.serving.faults import AnswerFault, NotAcceptable, RequestFault, UnsupportedType


def npy(value, **options):
    stream = io.BytesIO()
    np.save(stream, np.asarray(value), **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("Application/JSON", "application/json"),
        ("application/jsonl", "application/jsonlines"),
        ("application/x-ndjson", "application/jsonlines"),
        (" text/csv ;header=present", "text/csv"),
        ("video/mp4", "video/mp4"),
    ],
)
def test_the_type_of_a_header(header, kind):
    assert content.media_type(header) == kind


@pytest.mark.parametrize(
    ("body", "kind", "value"),
    [
        (b'{"inputs": "na\xc3\xafve"}', "application/json", {"inputs": "naïve"}),
        (b'"text"', "", "text"),
        (b'{"a": 1}\n\n "two" \r\n', "application/jsonlines", [{"a": 1}, "two"]),
        (b'inputs\none\n"two, too"\n', "text/csv", {"inputs": ["one", "two, too"]}),
        (
            b'question,context\r\nwho?,"a\nb"\r\n',
            "text/csv",
            {"inputs": [{"question": "who?", "context": "a\nb"}]},
        ),
        (b"text,text_pair\na,b\n", "text/csv", {"inputs": [{"text": "a", "text_pair": "b"}]}),
        (b"\xef\xbb\xbfinputs\na\n", "text/csv", {"inputs": ["a"]}),
        (b"Inputs,other\na,b\n", "text/csv", {"inputs": ["a"]}),
        ("good — film".encode(), "text/plain", "good — film"),
    ],
    ids=str,
)
def test_bodies_are_read(body, kind, value):
    assert content.decoded(body, kind) == value


def test_arrays_are_read():
    read = content.decoded(npy([[1, 2], [3, 4]]), "application/x-npy")
    assert read.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("body", "kind", "told"),
    [
        (b'{"a": 1,}', "application/json", "line 1, column"),
        (b"", "application/json", "not JSON"),
        (b'{"a": NaN}', "application/json", "NaN"),
        (b"\xff", "application/json", "byte 0 is 0xff"),
        (b"1" * 5000, "application/json", "digits"),
        (b"[" * 100_000, "application/json", "nested too deeply"),
        (b'{"a": 1}\n{"b": \n', "application/jsonlines", "line 2 is not JSON"),
        (b"\n", "application/jsonlines", "no line"),
        (b"", "text/csv", "empty"),
        (b"good film\nbad film\n", "text/csv", "first row must name its columns"),
        (b"inputs\n", "text/csv", "no row"),
        (b"inputs,x\na,b\nc\n", "text/csv", "row 3 of the CSV has 1 fields, the header has 2"),
        (b'inputs\n"a', "text/csv", "not CSV"),
        (b"not numpy", "application/x-npy", "npy"),
        (npy([{"a": 1}], allow_pickle=True), "application/x-npy", "npy"),
        (b"not an image", "image/png", "not an image"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_cannot_be_read_is_named(body, kind, told):
    with pytest.raises(RequestFault, match=told) as raised:
        content.decoded(body, kind, readable=(*content.TEXTS, *content.IMAGES))
    assert raised.value.status == 400


def test_other_types_are_refused_with_those_that_are_read():
    with pytest.raises(UnsupportedType, match="reads application/json, text/csv") as raised:
        content.decoded(b"", "video/mp4", readable=("application/json", "text/csv"))
    assert raised.value.status == 415


def test_images_and_sounds_are_read():
    image = pytest.importorskip("PIL.Image")
    stream = io.BytesIO()
    image.new("RGB", (3, 2), "red").save(stream, format="PNG")
    read = content.decoded(stream.getvalue(), "image/png", readable=content.IMAGES)
    assert read.size == (3, 2)
    assert content.decoded(b"RIFF", "audio/wav", readable=content.SOUNDS) == b"RIFF"
    assert content.encoded(read, "image/png").startswith(b"\x89PNG")
    assert json.loads(content.encoded({"image": read}, "application/json"))["image"].startswith("iVBOR")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/*;q=0.8", "application/json"),
        ("text/csv", "text/csv"),
        ("application/jsonl", "application/jsonlines"),
        ("text/html, application/x-npy, */*", "application/x-npy"),
        ("text/html, */*", "application/json"),
    ],
)
def test_the_type_of_an_answer(accept, kind):
    assert content.wanted(accept) == kind


def test_answers_in_no_other_type():
    with pytest.raises(NotAcceptable, match="answers in application/json") as raised:
        content.wanted("text/html")
    assert raised.value.status == 406


SCORES = [{"label": "good", "score": 0.5}, {"label": "bad, very", "score": 0.25}]


@pytest.mark.parametrize(
    ("value", "kind", "body"),
    [
        (SCORES[:1], "application/json", b'[{"label":"good","score":0.5}]'),
        (
            {"a": np.float32(0.5), "b": np.arange(2), "c": "é"},
            "application/json",
            '{"a":0.5,"b":[0,1],"c":"é"}',
        ),
        (
            SCORES,
            "application/jsonlines",
            b'{"label":"good","score":0.5}\n{"label":"bad, very","score":0.25}\n',
        ),
        (SCORES, "text/csv", b'label,score\r\ngood,0.5\r\n"bad, very",0.25\r\n'),
        (SCORES[0], "text/csv", b"label,score\r\ngood,0.5\r\n"),
        ([[1, 2], [3, 4]], "text/csv", b"1,2\r\n3,4\r\n"),
        (np.asarray([1.5, 2.5]), "text/csv", b"1.5\r\n2.5\r\n"),
        ("plain", "text/plain", b"plain"),
        ([{"generated_text": "a"}, {"generated_text": "b"}], "text/plain", b"a\nb"),
        (SCORES[:1], "text/plain", b'[{"label":"good","score":0.5}]'),
    ],
    ids=str,
)
def test_answers_are_written(value, kind, body):
    assert content.encoded(value, kind) == (body.encode() if isinstance(body, str) else body)


def test_arrays_are_written():
    body = content.encoded([[1.0, 2.0]], "application/x-npy")
    assert np.load(io.BytesIO(body)).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (SCORES, "application/x-npy"),
        ([[1, 2], [3]], "application/x-npy"),
        ([[[1]]], "text/csv"),
        ([[1], [2, 3]], "text/csv"),
        ([SCORES, SCORES], "text/csv"),
        ("text", "image/png"),
    ],
    ids=str,
)
def test_answers_without_such_a_form(value, kind):
    with pytest.raises(NotAcceptable, match="ask for application/json"):
        content.encoded(value, kind)


def test_no_number_that_json_has_not():
    with pytest.raises(AnswerFault, match="Out of range"):
        content.encoded([float("nan")], "application/json")


def test_half_of_a_character_is_valid_json():
    written = content.encoded({"é": "\ud800"}, "application/json")
    assert written.decode() == '{"\\u00e9":"\\ud800"}'
