"""The numbers of the comparison with best-of-n at equal KL, by hand."""

import json

import numpy as np
import pytest
import torch

from kochat.errors import UserError
from kochat.functional import best_of_kl, expected_best
from kochat.stages.best_of_n.frontier import comparable_policies, gain_share, read_best_of_n, reward_at
from tests.stages.best_of_n.best_of_n_study import (
    SOURCES,
    UNIT,
    ZERO,
    policy_rows,
    stage_view,
    write_best_of_n_study,
    write_lines,
    write_policy,
)

KLS = np.array([0.0, 1.0, 4.0])
CURVE = np.array([1.0, 3.0, 4.0])


@pytest.fixture
def folder(tmp_path):
    return write_best_of_n_study(tmp_path)


def points(folder):
    view = stage_view(folder)
    [run] = view.runs
    return comparable_policies(view.study, read_best_of_n(run))


@pytest.mark.parametrize(
    ("reward", "kl", "share"),
    [
        (2.0, 0.25, 1.0),  # half-way to 1 in the square root, best-of-n has 2: a gain of 1
        (1.5, 0.25, 0.5),
        (0.0, 1.0, -0.5),
        (8.0, 2.25, 2.8),  # 7 above SFT, best-of-n 2.5
        (3.0, 4.0, 2 / 3),
        (3.0, 4.1, None),  # beyond the largest n
        (3.0, -0.1, None),
        (3.0, 0.0, None),  # no gain to divide by
    ],
)
def test_the_share_hand_worked(reward, kl, share):
    assert gain_share(KLS, CURVE, reward, kl) == (None if share is None else pytest.approx(share))


def test_a_curve_that_falls_has_no_share():
    assert gain_share(KLS, -CURVE, 2.0, 1.0) is None


def test_the_curve_is_in_the_runs_unit_and_without_the_fixed_prompts(folder):
    [run] = stage_view(folder).runs
    best = read_best_of_n(run)
    rows = [json.loads(line) for line in (run.home / "best_of_n.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if not row["id"].startswith("fixed")]
    assert (len(best.ids), best.n) == (48, 16)
    raw = np.array([row["raw_scores"] for row in rows])
    assert best.reward(1).value == pytest.approx((raw.mean() - ZERO) / UNIT)
    assert best.reward(16).value == pytest.approx((raw.max(1).mean() - ZERO) / UNIT)
    assert best.reward(16).low < best.reward(16).value < best.reward(16).high
    assert best.kl[15] == pytest.approx(best_of_kl(16))


def test_a_policy_with_half_the_gain_has_the_share_of_a_half(folder):
    """Its reward is `gain` above SFT's for every prompt, so the share is gain / (best-of-n's gain at its KL)."""
    [run] = stage_view(folder).runs
    best = read_best_of_n(run)
    kl = best_of_kl(4)
    gain = best.reward(4).value - best.reward(1).value
    write_policy(folder, "ppo_kl01", policy_rows(folder, gain / 2, kl))
    write_policy(folder, "ppo_kl05", policy_rows(folder, gain * 1.5, kl))
    half, more = points(folder)
    assert (half.run.name, more.run.name) == ("ppo_kl01", "ppo_kl05")
    assert half.share.value == pytest.approx(0.5)
    assert more.share.value == pytest.approx(1.5)
    assert half.at_equal_kl == pytest.approx(best.reward(4).value)
    assert half.kl.value == pytest.approx(kl)
    assert half.reward.value == pytest.approx(best.reward(1).value + gain / 2)
    assert half.share.low < 0.5 < half.share.high < 1 < more.share.low


def test_the_interval_is_paired(folder):
    """The prompts' means differ much more than the policy's gain does; only a paired bootstrap leaves that out."""
    write_policy(folder, "ppo_kl01", policy_rows(folder, 0.5, best_of_kl(4)))
    [point] = points(folder)
    assert point.share.high - point.share.low < 0.15
    assert point.reward.high - point.reward.low > 0.3


def test_the_reward_between_two_ks_is_near_that_of_a_normal_distribution():
    """Of normal scores a policy at KL d gains at most sqrt(2 d); best-of-n's line must not lie far below it at a small KL."""
    scores = torch.from_numpy(np.random.default_rng(0).normal(size=(4000, 16)))
    curve = np.array([float(expected_best(scores, k).mean()) for k in range(1, 17)])
    kls = np.array([best_of_kl(k) for k in range(1, 17)])
    for kl in (0.02, 0.1, 0.3):
        gain = reward_at(kls, curve, kl) - curve[0]
        assert 0.85 * (2 * kl) ** 0.5 < gain < 1.02 * (2 * kl) ** 0.5


@pytest.mark.parametrize(("kl", "reason"), [(-0.2, "under 0"), (3.0, "beyond"), (0.01, "no gain")])
def test_without_a_point_at_equal_kl_there_is_no_share(folder, kl, reason):
    """At a KL of about 0 so many draws have no gain that an interval would say nothing."""
    write_policy(folder, "ppo_kl01", policy_rows(folder, 0.5, kl))
    [point] = points(folder)
    assert point.share is None
    assert (point.at_equal_kl is None) == (reason != "no gain")


def test_only_runs_of_the_same_models_are_compared(folder):
    rows = policy_rows(folder, 0.5, 1.0)
    for name in ("ppo_kl01", "ppo_kl05", "ppo_kl01_v1"):
        write_policy(folder, name, rows)
    study = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    [run] = [run for run in study["runs"] if run["name"] == "ppo_kl05"]
    run["sources"] = SOURCES | {"model.init_args.reward_ensemble.0": "rm_lora8"}
    (folder / "study.json").write_text(json.dumps(study), encoding="utf-8")
    assert [point.run.name for point in points(folder)] == ["ppo_kl01"]


def test_answers_without_kl_are_no_point(folder):
    rows = policy_rows(folder, 0.5, 1.0)
    write_policy(folder, "ppo_kl01", [{**row, "kl": []} for row in rows])
    assert points(folder) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "t000", "raw_scores": []}, r"best_of_n\.jsonl:1: raw_scores: "),
        ({"id": "t000", "raw_scores": [1.0, 2.0], "kl": [0.5]}, r"best_of_n\.jsonl:1: kl: .*1 numbers for 2 answers"),
    ],
)
def test_a_broken_line_is_named(folder, row, message):
    [run] = stage_view(folder).runs
    write_lines(run.home / "best_of_n.jsonl", [row])
    with pytest.raises(UserError, match=message):
        read_best_of_n(run)


def test_prompts_with_different_numbers_of_answers_are_refused(folder):
    [run] = stage_view(folder).runs
    rows = [{"id": "t000", "raw_scores": [1.0, 2.0]}, {"id": "t001", "raw_scores": [1.0]}]
    write_lines(run.home / "best_of_n.jsonl", rows)
    with pytest.raises(UserError, match="prompts have 1 to 2 answers; run `kochat study` again"):
        read_best_of_n(run)


def test_a_run_without_its_file_or_unit_is_left_out(folder):
    [run] = stage_view(folder).runs
    done = json.loads((run.home / "done.json").read_text(encoding="utf-8"))
    (run.home / "done.json").write_text(json.dumps(done | {"metrics": {}}), encoding="utf-8")
    assert read_best_of_n(stage_view(folder).runs[0]) is None
    (run.home / "best_of_n.jsonl").unlink()
    assert read_best_of_n(run) is None
