from __future__ import annotations

import pytest

from clary.agent.failure import excerpt, explain

SHORT = """some log line
Traceback (most recent call last):
  File "/opt/ml/code/train.py", line 3, in <module>
    main()
  File "/opt/ml/code/train.py", line 2, in main
    raise ValueError("no such label: 7")
ValueError: no such label: 7
""".splitlines()

DEEP = [
    "Traceback (most recent call last):",
    '  File "/opt/ml/code/train.py", line 31, in <module>',
    "    trainer.train(the_users_own_line)",
    *(
        f'  File "/usr/lib/python3.11/site-packages/library/module{number}.py", line {number}, in inner\n    call()'
        for number in range(60)
    ),
    "RuntimeError: the size of tensor a (3) must match",
]


def test_the_toolkits_form_holds_message_line_command_and_code() -> None:
    reason, text = explain(
        error="ExecuteUserScriptError", argv=["python", "train.py", "--a", "b c"], exit_code=3, errors=SHORT
    )
    assert reason == f"AlgorithmError: {text}, exit code: 3"
    assert text.startswith('ExecuteUserScriptError:\nExitCode 3\nErrorMessage "Traceback')
    assert 'raise ValueError("no such label: 7")\nValueError: no such label: 7"' in text
    assert text.endswith("Command \"python train.py --a 'b c'\"")


def test_a_deep_traceback_is_cut_to_the_users_line_and_the_exception() -> None:
    lines = "\n".join(DEEP).splitlines()
    reason, _ = explain(error="ExecuteUserScriptError", argv=["x" * 5000], exit_code=1, errors=lines)
    assert len(reason) <= 1024
    for part in ("the_users_own_line", "module59.py", DEEP[-1], "exit code: 1"):
        assert part in reason


def test_a_launchers_traceback_does_not_hide_the_users() -> None:
    launcher = [
        "Traceback (most recent call last):",
        '  File "/opt/ml/input/data/sm_drivers/common/utils.py", line 193, in execute_commands',
        "    raise subprocess.CalledProcessError(exitcode, commands)",
        "subprocess.CalledProcessError: Command died",
        "+++ exit 1",
    ]
    text = excerpt(["[rank0]: " + line for line in SHORT] + launcher, 900)
    assert text.startswith("Traceback (most recent call last):\n  File")
    assert 'raise ValueError("no such label: 7")\nValueError: no such label: 7' in text
    assert excerpt(launcher, 900).startswith("Traceback") and "Command died" in excerpt(launcher, 900)


def test_an_endless_exception_still_leaves_room_for_the_line() -> None:
    lines = [*SHORT[:-1], "ValueError: " + "very " * 1000]
    reason, _ = explain(error="ExecuteUserScriptError", argv=["python", "t.py"], exit_code=1, errors=lines)
    assert len(reason) <= 1024
    assert 'raise ValueError("no such label: 7")' in reason and "ValueError: very very" in reason


def test_the_last_lines_stand_where_there_is_no_traceback() -> None:
    text = excerpt([f"line {number}" for number in range(500)], 100)
    assert text.endswith("line 498\nline 499") and len(text) <= 100
    assert excerpt(["x" * 500], 100) == "x" * 97 + "..."
    assert excerpt([], 100) == ""


def test_what_the_program_wrote_comes_first() -> None:
    reason, _ = explain(error="", argv=["x"], exit_code=1, errors=SHORT, written="Training failed.\n")
    assert reason.startswith("AlgorithmError: Training failed.\nErrorMessage ")
    assert "ValueError: no such label: 7" in reason
    long, _ = explain(error="", argv=["x"], exit_code=1, errors=SHORT, written="w" * 1024)
    assert len(long) == 1024 and "www..., exit code: 1" in long
    same, _ = explain(error="", argv=["x"], exit_code=1, errors=SHORT, written="ValueError: no such label: 7")
    assert same == "AlgorithmError: ValueError: no such label: 7, exit code: 1"


@pytest.mark.parametrize(("code", "word"), [(137, "OutOfMemory"), (139, "SIGSEGV")])
def test_a_signal_is_named(code: int, word: str) -> None:
    reason, _ = explain(error="ExecuteUserScriptError", argv=["x"], exit_code=code, errors=[])
    assert word in reason
