import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchmetrics")

from transformers import AutoModelForQuestionAnswering, AutoTokenizer  # noqa: E402

from clary.inference.encoder import Located  # noqa: E402
from clary.recipes.answering import LONGEST, best_answers  # noqa: E402
from clary.recipes.evaluate import evaluate  # noqa: E402
from clary.recipes.questions import scores  # noqa: E402
from clary.recipes.refusal import CannotEvaluate  # noqa: E402


@pytest.mark.parametrize(
    ("said", "right", "exact", "f1"),
    [
        ("The Norse!", ["norse"], 1, 1),
        ("Norse people", ["the Norse", "Vikings"], 0, 2 / 3),
        ("Danes", ["Norse"], 0, 0),
        ("", [], 1, 1),
        ("Norse", [], 0, 0),
        ("", ["Norse"], 0, 0),
    ],
)
def test_answers_are_scored_by_squads_rules(said: str, right: list[str], exact: float, f1: float) -> None:
    found = scores([said], [right])
    assert found[0][0] == exact and found[1][0] == pytest.approx(f1, abs=1e-6)


def window(text: int, starts: list[float], ends: list[float], first: int, tokens: str) -> Located:
    """[CLS] q [SEP] then `tokens`, a word a token, the first at character `first` of its context."""
    words = tokens.split()
    offsets = [(0, 0), (0, 1), (0, 0)]
    for word in words:
        offsets.append((first, first + len(word)))
        first += len(word) + 1
    return Located(
        text,
        np.array([starts, ends], dtype=np.float32).T,
        np.array(offsets),
        np.array([-1, 0, -1] + [1] * len(words)),
    )


def test_the_best_span_of_all_windows_within_the_context() -> None:
    context = "red green blue"
    windows = [
        window(0, [1, 90, 0, 5, 0], [1, 90, 0, 0, 4], 0, "red green"),
        window(0, [2, 0, 0, 1, 7], [2, 0, 0, 6, 5], 4, "green blue"),
    ]
    # "blue" 7 + 5; a span that ends before it begins ("blue" to "green": 13) is none, nor is the question's token
    (found,) = best_answers(windows, [context], may_be_none=False)
    assert found.text == "blue" and found.score == pytest.approx(12 - 2)


def test_no_answer_where_all_windows_say_so() -> None:
    sure = window(0, [9, 0, 0, 1], [9, 0, 0, 1], 0, "red")
    assert best_answers([sure], ["red"], may_be_none=True)[0].text == ""
    assert best_answers([sure], ["red"], may_be_none=False)[0].text == "red"
    unsure = window(0, [0, 0, 0, 1], [0, 0, 0, 1], 0, "red")
    assert best_answers([sure, unsure], ["red"], may_be_none=True)[0].text == "red"


def test_an_answer_is_not_longer_than_allowed() -> None:
    words = " ".join(["w"] * (LONGEST + 10))
    starts, ends = np.zeros(LONGEST + 13), np.zeros(LONGEST + 13)
    starts[3], ends[-1] = 9, 9
    (found,) = best_answers([window(0, starts.tolist(), ends.tolist(), 0, words)], [words], may_be_none=False)
    assert 0 < len(found.text.split()) <= LONGEST


def squad_file(path: Path, questions: list[tuple[str, str, list[str]]]) -> Path:
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": f"q{n}",
                    "question": question,
                    "answers": [{"text": t, "answer_start": 0} for t in answers],
                }
            ],
        }
        for n, (question, context, answers) in enumerate(questions)
    ]
    path.write_text(
        json.dumps({"version": "v2.0", "data": [{"title": "t", "paragraphs": paragraphs}]}), "utf-8"
    )
    return path


QUESTIONS = [
    ("was it good", "the film was not bad and the plot was slow", ["not bad"]),
    ("not bad", "the actor of the film was very slow and the ending is good " * 6, ["the actor"]),
    ("love", "a film and a plot", []),
]


def by_transformers(folder: Path, question: str, context: str) -> tuple[str, float, float]:
    """Over a context that fits: the best span by trying all, its score, and that of no answer."""
    model: Any = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(question, context, return_tensors="pt", return_offsets_mapping=True)
    places = inputs.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        found = model(**inputs)
    starts, ends = found.start_logits[0].tolist(), found.end_logits[0].tolist()
    inside = [n for n, part in enumerate(inputs.sequence_ids(0)) if part == 1]
    score, first, last = max((starts[a] + ends[b], a, b) for a in inside for b in inside if a <= b < a + 30)
    return context[places[first][0] : places[last][1]], score, starts[0] + ends[0]


def test_a_squad_file_evaluated(reader: Path, tmp_path: Path) -> None:
    data = squad_file(tmp_path / "dev.json", QUESTIONS)
    evaluation = evaluate(reader, data, resamples=20, max_length=40)
    table = evaluation.predictions.to_pydict()
    for n in (0, 2):  # the second's context takes several windows
        text, score, nothing = by_transformers(reader, *QUESTIONS[n][:2])
        assert table["predicted"][n] == ("" if nothing >= score else text)
        assert table["score"][n] == pytest.approx(score - nothing, abs=1e-4)
    assert table["predicted"][1] in QUESTIONS[1][1]
    exact, f1 = scores(table["predicted"], table["answers"])
    metrics = evaluation.document["metrics"]
    assert metrics["exact_match"]["value"] == pytest.approx(exact.mean())
    assert metrics["f1"]["value"] == pytest.approx(f1.mean())
    assert metrics["exact_match_no_answer"]["value"] == exact[2]
    assert evaluation.document["baseline"]["metrics"]["f1"]["value"] == pytest.approx(1 / 3)
    assert evaluation.document["task"] == "question-answering"
    names = {path.name for path in evaluation.write(tmp_path / "out")}
    assert names == {"evaluation.json", "predictions.parquet", "slices.png", "report.html"}


def test_without_unanswered_questions_each_is_answered(reader: Path, tmp_path: Path) -> None:
    evaluation = evaluate(
        reader, squad_file(tmp_path / "dev.json", QUESTIONS[:2]), resamples=5, max_length=40
    )
    assert all(evaluation.predictions.to_pydict()["predicted"])
    assert "exact_match_no_answer" not in evaluation.document["metrics"]


def test_a_question_without_room_for_its_context_is_named(reader: Path, tmp_path: Path) -> None:
    data = squad_file(tmp_path / "dev.json", [("good " * 38, "a film", ["film"])])
    with pytest.raises(
        CannotEvaluate, match=r"dev.json, question q0, column 'question': 38 tokens leave no room"
    ):
        evaluate(reader, data, max_length=40)


def test_rows_that_are_no_questions(reader: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\na,1\n", encoding="utf-8")
    with pytest.raises(CannotEvaluate, match="no column 'question'; this model answers questions"):
        evaluate(reader, tmp_path / "a.csv")
