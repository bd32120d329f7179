"""Answers are those of transformers' pipeline: of version 4, recorded, as version 5 has none."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.unit.inference.models import limit  # noqa: E402
from tests.unit.serving.folders import asked, assert_same, loaded, refused, save  # noqa: E402

RECORDED = json.loads((Path(__file__).parent / "question_answering.json").read_text("utf-8"))
CONTEXTS = RECORDED["contexts"]
ANSWERS = RECORDED["answers"]
ONE = {"question": "what is it?", "context": "good film"}
SEVERAL = [{"question": one["question"], "context": CONTEXTS[one["context"]]} for one in ANSWERS[:24:8]]


@pytest.fixture(scope="module")
def handler(tmp_path_factory):
    @cache
    def made(family):
        folder = tmp_path_factory.mktemp(family)
        return loaded(save(folder, family, "QuestionAnswering", labels=["start", "end"]))

    return made


@pytest.mark.parametrize("recorded", ANSWERS, ids=lambda one: f"{one['family']}-{one['parameters']}")
def test_answers_are_those_of_version_4(handler, recorded):
    if "question" in recorded:
        inputs = {"question": recorded["question"], "context": CONTEXTS[recorded["context"]]}
    else:
        inputs = SEVERAL if recorded["inputs"] == "list" else SEVERAL[:1]
    answer = asked(handler(recorded["family"]), inputs, recorded["parameters"])
    assert_same(answer, recorded["answer"], within=1e-3)


@pytest.mark.skipif(transformers.__version__ >= "5", reason="transformers 5 has no such pipeline")
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_answers_are_those_of_this_version(tmp_path, family):
    folder = save(tmp_path, family, "QuestionAnswering", labels=["start", "end"])
    theirs = transformers.pipeline("question-answering", model=str(folder), device="cpu")
    theirs.tokenizer.model_max_length = limit(family)
    for context in CONTEXTS:
        for given in ({}, {"top_k": 3}, {"handle_impossible_answer": True, "top_k": 2}):
            right = theirs(question="who was it?", context=context, **given)
            ours = asked(loaded(folder), {"question": "who was it?", "context": context}, given)
            assert_same(ours, right, within=1e-3)


def test_several_questions(handler):
    separate = [asked(handler("bert"), one) for one in SEVERAL]
    assert asked(handler("bert"), SEVERAL) == separate
    of_one = {"question": ["what is it?", "who?"], "context": CONTEXTS[0]}
    one_by_one = [{"question": question, "context": CONTEXTS[0]} for question in of_one["question"]]
    assert asked(handler("bert"), of_one) == asked(handler("bert"), one_by_one)


def test_the_end_of_a_long_context_is_read(handler):
    long = "good film. " * 200
    given = {"top_k": 20, "max_answer_len": 1}
    found = asked(handler("bert"), {"question": "slow?", "context": long + "the actor was slow"}, given)
    assert max(answer["end"] for answer in found) > 600


def test_a_question_that_leaves_little_room(handler):
    question = "good " * 35
    answer = asked(handler("bert"), {"question": question, "context": "the actor was slow and bad " * 9})
    assert answer["answer"]
    status, message = refused(handler("bert"), {"inputs": {"question": "good " * 50, "context": "a film"}})
    assert status == 400
    assert "shorten it" in message


@pytest.mark.parametrize(
    ("inputs", "parameters", "named"),
    [
        ("who?", {}, "inputs"),
        ({"question": "who?"}, {}, "context"),
        ({"question": "", "context": "a"}, {}, "inputs.question"),
        ({"question": "who?", "context": None}, {}, "inputs.context"),
        ([ONE, {"question": 3, "context": "a"}], {}, "inputs[1].question"),
        ({"question": ["a", "b"], "context": ["a"]}, {}, "2 questions and 1 contexts"),
        (ONE, {"top_k": 0}, "parameters.top_k"),
        (ONE, {"top_k": "3"}, "parameters.top_k"),
        (ONE, {"max_answer_len": 0}, "parameters.max_answer_len"),
        (ONE, {"colour": 1}, "parameters.colour"),
        (ONE, {"doc_stride": 300}, "doc_stride"),
    ],
    ids=str,
)
def test_what_cannot_be_asked(handler, inputs, parameters, named):
    status, message = refused(handler("bert"), {"inputs": inputs, "parameters": parameters})
    assert status == 400
    assert named in message
