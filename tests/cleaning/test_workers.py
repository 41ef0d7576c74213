"""Workers keep the order, tell of the first error, and do not hang when one dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kochat.cleaning.workers import Workers, available_cores, useful_workers
from kochat.errors import RunError, UserError


def scaled(factor: int, number: int) -> int:
    if number == 13:
        raise UserError("thirteen")
    return factor * number


def die(context: object, number: int) -> int:
    os._exit(1)


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order_and_tasks_are_drawn_as_needed(count: int) -> None:
    drawn = []

    def tasks():
        for number in range(12):
            drawn.append(number)
            yield number

    with Workers(count, 10) as workers:
        results = workers.map(scaled, tasks())
        assert next(results) == 0
        assert len(drawn) <= 6
        assert list(results) == [10 * number for number in range(1, 12)]
        with pytest.raises(UserError, match="thirteen"):
            list(workers.map(scaled, range(10, 20)))


def test_a_worker_that_dies_is_an_error() -> None:
    with Workers(2, None) as workers, pytest.raises(RunError, match=r"a worker process died .* fewer than --workers 2"):
        list(workers.map(die, range(3)))


def test_small_data_is_left_to_the_parent() -> None:
    assert useful_workers(8, 1000) == 1
    assert useful_workers(8, 12 << 20) == 3
    assert useful_workers(2, 1 << 40) == 2
    assert available_cores() >= 1


def blocked(context: object, task: object) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_worker_never_sees_ctrl_c_and_the_parent_still_does() -> None:
    """Held back from the worker's first instruction on: one that is still importing would print a traceback."""
    with Workers(2, None) as workers:
        assert list(workers.map(blocked, range(4))) == [True] * 4
        assert not blocked(None, None)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_idle_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal\n"
        "from kochat.cleaning.workers import Workers\n"
        "from tests.cleaning.test_workers import scaled\n"
        "if __name__ == '__main__':\n"
        "    with Workers(2, 1) as workers:\n"
        "        assert list(workers.map(scaled, range(6))) == list(range(6))\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script)], start_new_session=True, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert process.wait(timeout=60) == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail("workers outlived their parent")
