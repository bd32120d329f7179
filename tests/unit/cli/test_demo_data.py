import csv
from collections import Counter

import pytest

from clary.cli.demo_data import DEV_ROWS, NOISE, TRAIN_ROWS, write_reviews


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


@pytest.fixture
def splits(tmp_path):
    write_reviews(tmp_path / "data")
    return [read(tmp_path / "data" / name) for name in ("train.csv", "dev.csv")]


def test_as_many_rows_as_promised_and_both_labels_often(splits):
    assert [len(rows) for rows in splits] == [TRAIN_ROWS, DEV_ROWS]
    for rows in splits:
        counts = Counter(label for _, label in rows)
        assert set(counts) == {"positive", "negative"}
        assert min(counts.values()) > 0.35 * len(rows)


def test_no_review_appears_twice_or_in_both_splits(splits):
    texts = [text for rows in splits for text, _ in rows]
    assert len(set(texts)) == len(texts)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_reviews(tmp_path / name, seed=seed)
    one, two, other = ((tmp_path / name / "train.csv").read_bytes() for name in "abc")
    assert one == two != other


def test_about_the_promised_share_of_labels_is_wrong(splits):
    """Where the text ends in a smiley it tells the label that was meant."""
    marked = [(text, label) for rows in splits for text, label in rows if text.endswith((" :)", " :("))]
    wrong = [text for text, label in marked if text.endswith(":)") != (label == "positive")]
    assert len(marked) > 100
    assert NOISE / 3 < len(wrong) / len(marked) < NOISE * 3


def test_words_alone_do_not_give_the_label_away(splits):
    """Negation and contrast: a review with `awful` in it is often a good one."""
    awful = Counter(label for text, label in splits[0] if "awful" in text.lower())
    assert min(awful["positive"], awful["negative"]) > 0.2 * awful.total()
