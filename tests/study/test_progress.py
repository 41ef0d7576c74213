"""A study's lines: what is finished, and how long it still takes, where there is something to go by."""

import pytest

from kochat.study.progress import RunTimes, StudyProgress

STAGES = {"base": "pretrain", "sft_a": "sft", "sft_b": "sft", "ppo": "ppo"}


def progress(seconds, at_once=1):
    readings = iter([0.0, 372.0, 372.0, 372.0])
    return StudyProgress(list(STAGES), RunTimes(STAGES, seconds), at_once, clock=lambda: next(readings))


def test_a_first_study_says_nothing_of_the_time_left():
    assert progress({}).started("base") == "[ 1/4] base: 6.2 min so far"


def test_what_was_finished_earlier_and_what_is_left():
    told = progress({"base": 60.0, "sft_a": 120.0, "ppo": 300.0})
    assert told.skipped("base") == "[ 1/4] base: finished earlier, skipped"
    assert told.skipped("sft_a") == "[ 2/4] sft_a: finished earlier, skipped"
    # sft_b as its stage's other run, ppo as its earlier version
    assert told.started("sft_b") == "[ 3/4] sft_b: 2 of 4 finished earlier, 6.2 min so far, about 7 min left"
    told.finished("sft_b", 130.0)
    assert told.started("ppo") == "[ 4/4] ppo: 2 of 4 finished earlier, 6.2 min so far, about 5 min left"


def test_a_stage_that_nothing_is_known_of_makes_it_more():
    told = progress({})
    told.finished("base", 60.0)
    told.finished("sft_a", 180.0)
    assert told.started("sft_b") == "[ 3/4] sft_b: 6.2 min so far, more than 3 min left"


@pytest.mark.parametrize(
    ("seconds", "at_once", "text"),
    [(40.0, 1, "less than a minute left"), (50.0, 1, "about 1 min left"), (600.0, 2, "about 5 min left")],
)
def test_the_time_in_words(seconds, at_once, text):
    assert RunTimes(STAGES, {"ppo": seconds}).left(["ppo"], at_once) == text


def test_little_of_which_only_a_part_is_known_is_not_said():
    assert RunTimes(STAGES, {"base": 5.0}).left(["base", "ppo"]) is None
