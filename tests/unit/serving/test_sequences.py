"""From a text to a text, for which transformers 5 has no pipelines any more: what generate makes."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.unit.serving.folders import asked, loaded, refused, request, save_bart  # noqa: E402

SHORT = {"max_new_tokens": 6}
TEXTS = ["good film", "the plot was not very fast — 映画"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_bart(tmp_path_factory.mktemp("bart"))


def made(folder, text, **options):
    """What the model's generate gives for a text, decoded."""
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = reader(text, return_tensors="pt", return_token_type_ids=False)
    return reader.batch_decode(model.generate(**inputs, **options), skip_special_tokens=True)


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (None, "generated_text"),
        ("text2text-generation", "generated_text"),
        ("summarization", "summary_text"),
        ("translation", "translation_text"),
        ("translation_en_to_de", "translation_text"),
    ],
)
def test_texts(folder, task, name):
    handler = loaded(folder, environment={"HF_TASK": task or ""})
    right = [made(folder, text, num_beams=4, **SHORT) for text in TEXTS]
    assert asked(handler, TEXTS[0], SHORT) == [{name: right[0][0]}]
    assert asked(handler, TEXTS, SHORT) == [{name: text} for (text,) in right]
    several = SHORT | {"num_beams": 3, "num_return_sequences": 2}
    assert asked(handler, TEXTS[0], several) == [{name: text} for text in made(folder, TEXTS[0], **several)]
    assert handler.report["task"] == (task or "text2text-generation")


def test_what_the_configuration_says_of_a_task(tmp_path):
    special = {"summarization": {"prefix": "bad ", "num_beams": 2, "max_length": 9}}
    folder = save_bart(tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(settings | {"task_specific_params": special}))
    handler = loaded(folder, environment={"HF_TASK": "summarization"})
    (right,) = made(folder, "bad good film", num_beams=2, max_length=9)
    assert asked(handler, "good film") == [{"summary_text": right}]


def test_texts_over_the_limit(folder):
    handler = loaded(folder)
    (response,) = handler.answer([request({"inputs": ["good", "bad " * 60], "parameters": SHORT})])
    assert response.headers["X-Clary-Note"] == "truncated 1 of 2 inputs to 40 tokens"
    assert json.loads(response.body)[1] == {
        "generated_text": made(folder, "bad " * 38, num_beams=4, **SHORT)[0]
    }
    strict = loaded(folder, environment={"CLARY_TRUNCATE": "false"})
    status, message = refused(strict, {"inputs": "bad " * 60})
    assert status == 400
    assert "62 tokens, the model takes 40" in message


@pytest.mark.parametrize(
    ("inputs", "given", "named"),
    [
        (3, {}, "inputs"),
        (["a", None], {}, r"inputs\[1\]"),
        ("a", {"max_new_tokens": 1000}, "max_new_tokens: a number from 1 to 39"),
        ("a", {"max_length": "long"}, "max_length"),
        ("a", {"return_tensors": True}, "not tensors"),
        ("a", {"colour": "red"}, "colour"),
    ],
    ids=str,
)
def test_what_cannot_be_asked(folder, inputs, given, named):
    import re

    status, message = refused(loaded(folder), {"inputs": inputs, "parameters": given})
    assert status == 400
    assert re.search(named, message)


def test_the_usual_length_ends_with_the_models_positions(folder):
    assert loaded(folder).answer([request({"inputs": "good film"})])[0].status == 200
