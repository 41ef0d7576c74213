"""Runs that differ only in their seed are one arm; what is clear must stand over the seeds too."""

import numpy as np
import pytest

from kochat.report.arms import Arm, paired_arms, single
from kochat.report.findings import compare, verdict
from kochat.report.study_files import Answer, ContrastEntry, Done, RunEntry, StageEntry, StudyFile
from kochat.report.study_results import Run, StudyResults
from kochat.report.study_view import view_study
from kochat.report.tables import primary_table
from kochat.report.words import Texts

PROMPTS = 60


def run(origin, seed, mean, spread=0.3):
    name = origin if seed is None else f"{origin}_seed{seed}"
    rewards = np.random.default_rng([ord(origin[0]), seed or 0]).normal(mean, spread, PROMPTS)
    answers = [
        Answer(id=f"usual/{i}", prompt="?", answer="x", kind="usual", scores={"reward": r})
        for i, r in enumerate(rewards)
    ]
    entry = RunEntry(name=name, origin=origin, stage="sft", path=name, factors={"rank": origin, "seed": seed})
    return Run(entry=entry, done=Done(), answers=answers)


def view_of(runs, contrasts, tmp_path):
    stage = StageEntry(name="sft", package="kochat.stages.sft", varying=["rank", "seed"])
    keys = {"rank": "model.init_args.lora.rank", "seed": "seed_everything"}
    study = StudyFile(name="x", factors=keys, stages=[stage], contrasts=contrasts, runs=[one.entry for one in runs])
    return view_study(
        StudyResults(tmp_path, study, {one.name: one for one in runs}, [], None), Texts("en", ["kochat.stages.sft"])
    )


def test_pairs_of_all_seeds_are_joined_and_a_run_of_all_seeds_repeats():
    base, *seeds = run("base", None, 0), run("a", 0, 0), run("a", 1, 0)
    [(ours, theirs)] = paired_arms((one, base) for one in seeds)
    assert (ours.names, theirs.names) == (("a_seed0", "a_seed1"), ("base", "base"))


def test_two_seeds_of_one_origin_stay_apart():
    a0, a1, a2 = (run("a", seed, 0) for seed in range(3))
    pairs = paired_arms([(a1, a0), (a2, a0)])
    assert [(ours.names, theirs.names) for ours, theirs in pairs] == [
        (("a_seed1",), ("a_seed0",)),
        (("a_seed2",), ("a_seed0",)),
    ]


def test_a_difference_of_one_seed_that_other_seeds_do_not_show_is_not_clear(tmp_path):
    runs = [run("a", seed, mean) for seed, mean in enumerate((0.6, -0.4, 0.1))] + [
        run("b", seed, 0) for seed in range(3)
    ]
    view = view_of(runs, [], tmp_path)
    assert verdict(view, single(runs[0]), single(runs[3]), "reward") == "higher"
    assert verdict(view, Arm(tuple(runs[:3])), Arm(tuple(runs[3:])), "reward") == "unclear"
    [said] = compare(view, Arm(tuple(runs[:3])), Arm(tuple(runs[3:])), "reward")
    assert not said.clear
    assert said.text.startswith("Reward: SFT rank a (")
    assert "and SFT rank b (" in said.text
    assert "cannot be told apart" in said.text
    assert "would probably not be seen" in said.text


def test_a_difference_that_all_seeds_show_is_clear(tmp_path):
    runs = [run("a", seed, 0.4) for seed in range(3)] + [run("b", seed, 0) for seed in range(3)]
    [said] = compare(view_of(runs, [], tmp_path), Arm(tuple(runs[:3])), Arm(tuple(runs[3:])), "reward")
    assert said.clear
    assert "is higher than SFT rank b (" in said.text


def test_equal_answers_are_said_to_be_equal(tmp_path):
    runs = [run("a", 0, 0, spread=0), run("b", 0, 0, spread=0)]
    [said] = compare(view_of(runs, [], tmp_path), single(runs[0]), single(runs[1]), "reward")
    assert said.text == "Reward: SFT rank a seed 0 and SFT rank b seed 0 have the same value on every prompt (0.000)."
    assert not said.clear


def chain(seed, primary):
    return ContrastEntry(chain=[f"a_seed{seed}", f"b_seed{seed}", f"c_seed{seed}"], primary=primary)


def test_primary_tests_of_a_chain_are_one_for_all_seeds_and_corrected(tmp_path):
    runs = [run(name, seed, mean) for name, mean in (("a", 0), ("b", 0.12), ("c", 0.5)) for seed in range(2)]
    view = view_of(runs, [chain(seed, ["reward"]) for seed in range(2)], tmp_path)
    assert [(test.ours.names, test.theirs.names) for test in view.primary] == [
        (("b_seed0", "b_seed1"), ("a_seed0", "a_seed1")),
        (("c_seed0", "c_seed1"), ("b_seed0", "b_seed1")),
    ]
    raw = sorted(test.difference.p_value for test in view.primary)
    assert sorted(test.p_value for test in view.primary) == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])
    table = primary_table(view)
    assert table is not None
    assert [row[0].text for row in table.rows] == ["SFT rank b − SFT rank a", "SFT rank c − SFT rank b"]


def test_without_primary_metrics_there_is_no_table(tmp_path):
    runs = [run(name, 0, 0) for name in "abc"]
    assert primary_table(view_of(runs, [chain(0, [])], tmp_path)) is None
