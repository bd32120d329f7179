"""Which lines tell why a program failed, where a launcher stands between it and the agent."""

from __future__ import annotations

from clary.agent.failure import explain, own_words

TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "train.py", line 9, in <module>',
    "    load(3)",
    "ValueError: too few rows",
]


def test_stderr_tells_as_a_rule() -> None:
    assert own_words(["epoch 1"], ["a warning", *TRACEBACK]) == ["a warning", *TRACEBACK]
    assert own_words(TRACEBACK, TRACEBACK[:1]) == TRACEBACK[:1]
    assert own_words(["epoch 1"], ["no such option"]) == ["no such option"]


def test_stdout_tells_where_stderr_is_silent() -> None:
    assert own_words(["it broke"], ["", " "]) == ["it broke"]


def test_a_drivers_report_is_not_the_users_error() -> None:
    stripped = [line.strip() for line in TRACEBACK]
    report = [
        "Command failed with exit code 1. Traceback: Traceback (most recent call last):",
        "CalledProcessError",
    ]
    trace = ["++ cd /opt/ml/input/data/code", "+++ exit 1"]

    words = own_words(["Executing command", *stripped, *report], trace)
    assert words == ["Executing command", *stripped]

    driver = 'Traceback:\n  File "/opt/ml/input/data/sm_drivers/common/utils.py", line 1\nCalledProcessError: it said 1'
    reason, _ = explain(error="", argv=["sh"], exit_code=1, errors=words, written=driver)
    assert reason.startswith("AlgorithmError: CalledProcessError: it said 1\n")
    assert "ValueError: too few rows" in reason
    assert "load(3)" in reason
    assert "+++" not in reason
