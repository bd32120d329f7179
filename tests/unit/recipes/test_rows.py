import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from clary.recipes.refusal import CannotEvaluate
from clary.recipes.rows import read_rows

pyarrow = pytest.importorskip("pyarrow")


def values(path: Path, **how: Any) -> list[dict[str, Any]]:
    return [dict(row.values) for row in read_rows(path, **how)]


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(CannotEvaluate) as caught:
        read_rows(path, **how)
    return str(caught.value)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_csv_with_quotes_and_line_breaks_knows_each_rows_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\r\n"one,\ntwo ""x""",1\r\n\r\nthree,0\r\n')
    rows = read_rows(path)
    assert [dict(row.values) for row in rows] == [
        {"text": 'one,\ntwo "x"', "label": "1"},
        {"text": "three", "label": "0"},
    ]
    assert [row.place for row in rows] == ["a.csv, line 2", "a.csv, line 5"]


def test_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert values(write(tmp_path / "a.csv", "\ufefftext,label\na,1\n")) == [{"text": "a", "label": "1"}]


def test_quotes_in_a_tsv_are_text_when_they_do_not_pair_up(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"no end\t1\nsaid "so"\t0\n')
    assert values(path) == [{"text": '"no end', "label": "1"}, {"text": 'said "so"', "label": "0"}]


def test_a_quoted_tsv_is_unquoted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"a\tb"\t1\n')
    assert values(path) == [{"text": "a\tb", "label": "1"}]


def test_a_field_longer_than_csvs_default_limit(tmp_path: Path) -> None:
    assert len(values(write(tmp_path / "a.csv", f"text\n{'x' * 200_000}\n"))[0]["text"]) == 200_000


def test_json_lines_a_list_and_gzip(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 1}, {"text": "b\u2028c", "label": 0}]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    assert values(write(tmp_path / "a.jsonl", lines)) == rows
    assert values(write(tmp_path / "a.json", json.dumps(rows))) == rows
    packed = tmp_path / "b.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.encode()))
    assert values(packed) == rows


def test_parquet_rows_count_from_one(tmp_path: Path) -> None:
    import pyarrow.parquet

    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [1, None]}), path)
    assert values(path) == [{"text": "a", "label": 1}, {"text": "b", "label": None}]
    assert read_rows(path)[1].place == "a.parquet, row 2"


def test_a_folder_is_read_in_the_order_of_names_without_what_is_no_data(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "text\nsecond\n")
    write(tmp_path / "a.csv", "text\nfirst\n")
    write(tmp_path / "README.md", "no data")
    (tmp_path / ".hidden").mkdir()
    write(tmp_path / ".hidden" / "c.csv", "text\nthird\n")
    assert [row["text"] for row in values(tmp_path)] == ["first", "second"]


def test_squad(tmp_path: Path) -> None:
    qas = [
        {"id": "q1", "question": "who?", "answers": [{"text": "he", "answer_start": 0}]},
        {"id": "q2", "question": "why?", "answers": [], "is_impossible": True},
    ]
    document = {
        "version": "v2.0",
        "data": [{"title": "T", "paragraphs": [{"context": "he did", "qas": qas}]}],
    }
    rows = read_rows(write(tmp_path / "dev.json", json.dumps(document)))
    assert [row.values["answers"] for row in rows] == [{"text": ["he"]}, {"text": []}]
    assert rows[1].place == "dev.json, question q2"
    assert rows[0].values["title"] == "T" and rows[0].values["context"] == "he did"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "text,label\na,1\nb,2,3\n", "a.csv, line 3: 3 fields, but the header has 2 (text, label)"),
        ("a.csv", "text,text\na,1\n", "a.csv, line 1: the header names 'text' more than once"),
        ("a.csv", 'text,label\n"never ends,1\n', "a.csv, line 2"),
        ("a.csv", "text,label\n", "a.csv: no rows"),
        ("a.csv", "", "a.csv: no rows"),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: not JSON"),
        ("a.jsonl", '{"text": "a"}\n[1]\n', "a.jsonl, line 2: list where an object"),
        ("a.json", '{"data": [{"title": "x"}]}', "a.json: not as SQuAD's files are: KeyError('paragraphs')"),
        ("a.parquet", "no", "a.parquet: not a Parquet file"),
        ("a.txt", "text", "a.txt: data files end in .csv"),
        ("a.csv.gz", "text", "a.csv.gz: not a whole gzip file"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(tmp_path: Path, name: str, text: str, says: str) -> None:
    assert says in refusal(write(tmp_path / name, text))


def test_another_encoding_is_named_with_line_and_way_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\nfine,1\ncaf\xe9,0\n", "latin-1")
    said = refusal(path)
    assert "a.csv, line 3" in said and "0xe9" in said and "--encoding latin-1" in said
    assert values(path, encoding="latin-1")[1]["text"] == "caf\xe9"
    assert "no encoding 'klingon'" in refusal(path, encoding="klingon")


def test_nothing_there(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "none")
    assert "holds no data file" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "text;label\na;1\n", "a.csv, line 1: the only column is 'text;label'"),
        ("a.tsv", "text,label\na,1\n", "not by ','"),
        ("a.json", "[" * 100_000, "a.json: JSON that Python does not read"),
        (
            "a.jsonl",
            '{"a": 1}\n{"a": %s}\n' % ("9" * 5000),
            "a.jsonl, line 2: JSON that Python does not read",
        ),
    ],
)
def test_what_python_or_a_comma_cannot_take_apart(tmp_path: Path, name: str, text: str, says: str) -> None:
    assert says in refusal(write(tmp_path / name, text))
