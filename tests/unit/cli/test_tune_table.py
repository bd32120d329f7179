import io

import pytest
from rich.console import Console

from clary.analytics.reading import read
from clary.cli.tune_table import brief, table
from tests.unit.analytics.samples import FOUR, ONE, document, of_two

COUNTERS = {"TrainingJobStatusCounters": {"Completed": 3, "InProgress": 1, "Stopped": 0}}


def printed(page, width=100, **facts):
    console = Console(file=io.StringIO(), width=width)
    for part in table(read(page), {**COUNTERS, **facts}, why=page["why"]):
        console.print(part, highlight=False)
    return console.file.getvalue()


def test_one_line_a_job_and_a_star_at_the_best():
    page = document(ONE, 12)
    lines = printed(page).splitlines()
    best = f"{page['children'][1]['objective']:.6g}"
    assert lines[0] == "bert: maximize eval_f1; Bayesian, InProgress"
    assert lines[1] == "jobs: Completed 3, InProgress 1"
    rows = {line[1:].split()[0]: line for line in lines if line[3:6].isdigit()}
    assert len(rows) == 12
    assert [name for name, line in rows.items() if line.startswith("*")] == ["002-0a1b2c3d"]
    assert rows["002-0a1b2c3d"].split()[2:] == ["completed", "7.3e-5", best]
    assert "failed" in rows["004-0a1b2c3d"]
    assert rows["004-0a1b2c3d"].rstrip().endswith("out of memory")
    assert rows["005-0a1b2c3d"].rstrip().endswith("worse than the median")
    assert "running" in rows["012-0a1b2c3d"]
    assert lines[-1].startswith("best: bert-002-0a1b2c3d with eval_f1 0.9161")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_it_fits_the_terminal(width):
    assert all(len(line) <= width for line in printed(document(FOUR, 12), width).splitlines())


def test_many_parameters_share_a_column():
    ranges = {
        "IntegerParameterRanges": [
            {"Name": f"layer[{n}]", "MinValue": "1", "MaxValue": "9"} for n in range(6)
        ]
    }
    text = printed(document(ranges, 5), 200)
    assert "values" in text
    assert "layer[0]=" in text


def test_the_weightiest_parameter_first():
    lines = printed(document(FOUR, 30)).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("importance"))
    shares = [int(line.split("%")[0].split()[-1]) for line in lines[start + 1 : start + 5]]
    assert lines[start + 1].split()[0] == "learning_rate"
    assert shares == sorted(shares, reverse=True)


def test_each_algorithm_has_a_table():
    text = printed(of_two())
    assert text.index("algorithm small") < text.index("algorithm large")


def test_why_it_ended_and_failed():
    text = printed(
        {**document(ONE, 1), "why": "MaxNumberOfTrainingJobs was reached"}, FailureReason="[all] failed"
    )
    assert "ended: MaxNumberOfTrainingJobs was reached" in text
    assert "reason: [all] failed" in text


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("", ""),
        ("worse than the median 0.5 of 5 jobs", "worse than the median 0.5 of 5 jobs"),
        (
            'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "Traceback\n  File "x"\n'
            'ValueError: too low"\nCommand "python train.py", exit code: 1',
            "ValueError: too low",
        ),
        ("x" * 200, "x" * 117 + "..."),
    ],
)
def test_a_reason_in_one_line(reason, line):
    assert brief(reason) == line
