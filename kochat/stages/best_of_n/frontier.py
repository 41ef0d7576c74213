"""Compare trained policies with best-of-n at equal KL from the SFT model.

Both get a higher reward by leaving the SFT model. Best-of-n needs no training, and at a given KL its reward is close to
the highest that any policy can have (Yang et al. 2024, arXiv:2404.01730; Gui et al. 2024, arXiv:2406.00832). So a policy
is measured by the share of best-of-n's gain that it reaches at its own KL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kochat.errors import UserError
from kochat.functional import best_of_kl, expected_best
from kochat.metrics.intervals import Interval, bootstrap_weights, mean_interval, percentile_bounds
from kochat.report.sampled_rewards import SampledRewards, read_sampled_rewards
from kochat.report.study_results import Run
from kochat.report.study_view import StudyView
from kochat.rewards.centring import Centring, centring_of
from kochat.runs import BEST_OF_N_FILE, PPO_SAMPLES_FILE

_MODELS = ("policy", "reward_model")
_USABLE_DRAWS = 0.95  # with fewer the denominator of the share is near 0, and an interval says nothing


@dataclass(frozen=True)
class BestOfN:
    """A best-of-n run: the expected reward of the best of k, for each test prompt.

    Args:
        run: the run.
        scale: its zero and unit, which turn raw scores into rewards.
        ids: the p test prompts.
        rewards: (p, n) the expected reward of the best of k = 1 to n answers.
        kl: (n,) the KL of the best of k from the SFT model, in nats an answer.
    """

    run: Run
    scale: Centring
    ids: Sequence[str]
    rewards: np.ndarray
    kl: np.ndarray

    @property
    def n(self) -> int:
        """The number of sampled answers to each prompt."""
        return len(self.kl)

    def reward(self, k: int) -> Interval:
        """Return the mean reward of the best of k answers, with its bootstrap interval over prompts."""
        return _mean(self.rewards[:, k - 1])


@dataclass(frozen=True)
class PolicyPoint:
    """A trained policy beside best-of-n, in its unit and on the prompts that both answered.

    Args:
        run: the policy's run.
        reward: mean reward of its sampled answers.
        kl: mean KL of its answers from the SFT model, in nats an answer.
        at_equal_kl: best-of-n's mean reward at this KL; None if the KL is not between 0 and that of best-of-n.
        share: (policy's reward - SFT's) / (best-of-n's reward at this KL - SFT's), with its interval; None as above, or if the
            gain of best-of-n is too near 0 to divide by it.
    """

    run: Run
    reward: Interval
    kl: Interval
    at_equal_kl: float | None
    share: Interval | None


def read_best_of_n(run: Run) -> BestOfN | None:
    """Read a best-of-n run; None without its file or its unit.

    Raises:
        UserError: a line of the file is broken, or prompts have different numbers of answers.
    """
    path = run.home / BEST_OF_N_FILE
    rows = list(read_sampled_rewards(run, path).values())
    scale = centring_of(run.last(f"{run.stage}/reward_zero"), run.last(f"{run.stage}/reward_unit"))
    if not rows or scale is None:
        return None
    counts = {len(row.raw_scores) for row in rows}
    if len(counts) > 1:
        raise UserError(
            f"{path}: raw_scores: prompts have {min(counts)} to {max(counts)} answers; run `kochat study` again to rewrite it"
        )
    n = counts.pop()
    rewards = torch.tensor([[scale(score) for score in row.raw_scores] for row in rows], dtype=torch.float64)
    best = torch.stack([expected_best(rewards, k) for k in range(1, n + 1)], dim=1)
    kl = np.array([best_of_kl(k) for k in range(1, n + 1)])
    return BestOfN(run, scale, [row.id for row in rows], best.numpy(), kl)


def comparable_policies(view: StudyView, best: BestOfN) -> list[PolicyPoint]:
    """Return the points of all runs that started from the same SFT model with the same reward model and sampled answers at test."""
    results = view.results
    runs = (run for stage in results.stages for run in results.of(stage))
    found = []
    for run in runs:
        if _models(run) == _models(best.run):
            rows = read_sampled_rewards(run, run.home / PPO_SAMPLES_FILE)
            rows = {id_: row for id_, row in rows.items() if row.kl}
            if any(id_ in rows for id_ in best.ids):
                found.append(policy_point(best, run, rows))
    return found


def _models(run: Run) -> dict[str, str]:
    """Return the runs from which a run starts, by the last part of their config key; an ensemble has more reward models."""
    sources = {key.removeprefix("model.init_args."): name for key, name in run.entry.sources.items()}
    return {key: name for key, name in sources.items() if key.split(".")[0] in (*_MODELS, "reward_ensemble")}


def policy_point(best: BestOfN, run: Run, rows: Mapping[str, SampledRewards]) -> PolicyPoint:
    """Compare a policy's sampled answers (by prompt id, with KL) with best-of-n on their common prompts.

    The interval of the share is a paired bootstrap: a draw takes the same prompts for the policy's reward and KL, the SFT
    model's reward and best-of-n's curve. Draws without a gain of best-of-n at their KL are left out; if these are more than
    5%, there is no interval, and no share is given.
    """
    shared = [place for place, id_ in enumerate(best.ids) if id_ in rows]
    own = [rows[best.ids[place]] for place in shared]
    rewards = np.array([np.mean([best.scale(score) for score in row.raw_scores]) for row in own])
    kl = np.array([np.mean(row.kl) for row in own])
    curves = best.rewards[shared]
    reward, divergence, curve = _mean(rewards), _mean(kl), curves.mean(0)
    at_equal_kl = reward_at(best.kl, curve, divergence.value)
    share = gain_share(best.kl, curve, reward.value, divergence.value)
    found = [
        gain_share(best.kl, weights @ curves, weights @ rewards, weights @ kl)
        for weights in bootstrap_weights(len(own)) / len(own)
    ]
    draws = np.array([one for one in found if one is not None])
    interval = None
    if share is not None and len(draws) >= _USABLE_DRAWS * len(found):
        interval = Interval(share, *percentile_bounds(draws), len(own))
    return PolicyPoint(run, reward, divergence, at_equal_kl, interval)


def gain_share(kls: np.ndarray, curve: np.ndarray, reward: float, kl: float) -> float | None:
    """Return (reward - curve at KL 0) / (curve at ``kl`` - curve at KL 0); None if best-of-n has no gain above 0 there, or no point.

    Args:
        kls: (n,) KL of the best of k = 1 to n.
        curve: (n,) their rewards; the first is the SFT model's own. In between they are read by `reward_at`.
        reward: the policy's reward.
        kl: the policy's KL, in nats an answer.
    """
    equal = reward_at(kls, curve, kl)
    gain = None if equal is None else equal - curve[0]
    return None if gain is None or gain <= 0 else float((reward - curve[0]) / gain)


def _mean(values: np.ndarray) -> Interval:
    interval = mean_interval(values.tolist())
    if interval is None:
        raise ValueError("no prompts to take a mean over")
    return interval


def reward_at(kls: np.ndarray, curve: np.ndarray, kl: float) -> float | None:
    """Return best-of-n's reward at a KL, or None if it is not between those of the best of 1 and the best of n."""
    return float(interpolated(kls, curve, np.array(kl))) if kls[0] <= kl <= kls[-1] else None


def interpolated(kls: np.ndarray, curve: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Interpolate best-of-n's rewards (n,) at KLs ``at`` (m,), linearly in the square root of KL; return (m,).

    Near the SFT model the reward of the best policies grows in proportion to this root (Gao et al. 2022, arXiv:2210.10760).
    Interpolated linearly in KL, the reward would be too low between k = 1 and 2.
    """
    return np.interp(np.sqrt(at), np.sqrt(kls), curve)
