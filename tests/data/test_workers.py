"""Workers keep the order, tell of the first error, and do not hang when one dies."""

from __future__ import annotations

import os

import pytest

from kochat.data.workers import Workers, available_cores, useful_workers
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
