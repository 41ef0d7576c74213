"""Runs start after those that they need, as many at once as there is room for."""

from kochat.study.run_queue import RunQueue

NEEDS = {"base": [], "sft": ["base"], "rm": ["base", "skt/kogpt2"], "ppo": ["sft", "rm"], "alone": []}


def started(queue):
    """Start all that can start."""
    names = []
    while (name := queue.start_next()) is not None:
        names.append(name)
    return names


def test_independent_runs_start_together_and_others_wait():
    queue = RunQueue(NEEDS)
    assert started(queue) == ["base", "alone"]
    assert started(queue) == []
    queue.finish("alone")
    assert started(queue) == []
    queue.finish("base")
    assert started(queue) == ["sft", "rm"]
    queue.finish("rm")
    assert started(queue) == []  # ppo needs sft too
    assert queue.unfinished == ["sft", "ppo"]
    queue.finish("sft")
    assert started(queue) == ["ppo"]
    queue.finish("ppo")
    assert queue.unfinished == []


def test_one_at_a_time_is_the_order_of_the_study():
    queue, order = RunQueue(NEEDS), []
    while (name := queue.start_next()) is not None:
        order.append(name)
        queue.finish(name)
    assert order == list(NEEDS)


def test_a_run_that_was_finished_earlier_does_not_start():
    queue = RunQueue(NEEDS)
    for name in ("base", "sft"):
        queue.finish(name)
    assert started(queue) == ["rm", "alone"]
    queue.finish("rm")
    assert started(queue) == ["ppo"]
