"""Compare two models on the same prompts: the difference, its interval, its p-values, and what could have been seen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kochat.metrics.intervals import Interval
from kochat.statistics.crossed import Estimate, crossed_estimate
from kochat.statistics.jackknife import Statistic, cluster_sums, pseudo_values
from kochat.statistics.permutation import permutation_p_value

SIGNIFICANT = 0.05

Rows = Mapping[str, np.ndarray]  # prompt id -> row (k,) of a statistic's sums


@dataclass(frozen=True)
class Comparison:
    """A paired difference of two models, or of two groups of models that are trained with several seeds.

    Args:
        estimate: the difference with its error over prompts, and over seeds if there are several.
        permuted: the p-value of the permutation test over prompts.
        prompts: the number of shared prompts.
    """

    estimate: Estimate
    permuted: float
    prompts: int

    @property
    def value(self) -> float:
        """The difference."""
        return self.estimate.value

    @property
    def interval(self) -> Interval:
        """The difference with its 95% interval."""
        return Interval(self.value, *self.estimate.bounds, self.prompts)

    @property
    def p_value(self) -> float:
        """The larger of the two p-values: the difference must stand over prompts, and over seeds if there are several."""
        return max(self.permuted, self.estimate.p_value) if self.estimate.seeds > 1 else self.permuted


def is_clear(comparison: Comparison, p_value: float) -> bool:
    """Tell whether a difference is called one: its interval excludes zero and its (corrected) p-value is below 0.05."""
    return p_value < SIGNIFICANT and comparison.interval.excludes_zero


def compare(
    ours: Sequence[Rows], theirs: Sequence[Rows], clusters: Mapping[str, Hashable], statistic: Statistic
) -> Comparison | None:
    """Compare two models on the prompts that all of their runs answered; None if there are fewer than two clusters of them.

    Args:
        ours: rows of each run (one for each seed, in the order of the seeds).
        theirs: rows of the other model's runs, with the same seeds in the same order.
        clusters: prompt id -> its cluster; a prompt that is not there is a cluster of its own.
        statistic: the score, from summed rows.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"compare: {len(ours)} and {len(theirs)} runs; give both models the same seeds")
    shared = [key for key in ours[0] if all(key in rows for rows in (*ours, *theirs))]
    names = [clusters.get(key, (key,)) for key in shared]
    if len(set(names)) < 2:
        return None
    left, right = (
        np.stack([cluster_sums(np.stack([rows[key] for key in shared]), names) for rows in runs])
        for runs in (ours, theirs)
    )
    values = np.stack(
        [pseudo_values(a, statistic) - pseudo_values(b, statistic) for a, b in zip(left, right, strict=True)]
    )
    whole = float(np.mean(statistic(left.sum(1)) - statistic(right.sum(1))))
    return Comparison(crossed_estimate(values, whole), permutation_p_value(left, right, statistic), len(shared))
