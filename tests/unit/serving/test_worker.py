"""What comes of processes that a model's code forks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.serving.running import group, serving, wait_until


@pytest.mark.parametrize("loads", ["good", "fork"])
def test_who_comes_back_from_a_fork_of_the_model_answers_nothing(tmp_path: Path, loads: str) -> None:
    with serving(tmp_path, TEST_SHARED="no", TEST_LOADS=loads) as server:
        server.wait_until_ready(1)
        for number in range(10):
            assert server.ask(f"fork; echo {number}").body == str(number).encode()
        assert server.ask("pid").body == server.ask("pid").body
        wait_until(lambda: len(group(server.process.pid)) == 3)  # front, nursery, worker
