"""Intervals over prompts: how much a mean, a share or a difference of two runs varies with the choice of prompts.

Most are from the percentile bootstrap (Efron and Tibshirani 1993, ch. 13). The intervals cover only the choice of prompts. They do
not include the variation between training runs with different seeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value over `n` prompts with the bounds of its interval."""

    value: float
    low: float
    high: float
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Tell whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def bootstrap_weights(n: int, seed: int = 0) -> np.ndarray:
    """Draw DRAWS resamples of n prompts with replacement; return how often each prompt occurs, integers (DRAWS, n)."""
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=DRAWS)


def percentile_bounds(draws: np.ndarray) -> tuple[float, float]:
    """Return the bounds that hold the middle 95% of the draws (DRAWS,)."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the mean of `values` (n,) with its interval; None for no values."""
    if not values:
        return None
    sample = np.asarray(values, dtype=np.float64)
    draws = bootstrap_weights(len(sample)) @ sample / len(sample)
    return Interval(float(sample.mean()), *percentile_bounds(draws), len(sample))


def share_interval(hits: Sequence[float] | np.ndarray, counts: Sequence[float] | np.ndarray) -> Interval | None:
    """Return sum(hits) / sum(counts) with its interval; None where nothing was counted.

    A draw resamples whole prompts with all of their hits and counts, since items of one prompt are not independent.
    Draws in which nothing is counted are left out.

    Args:
        hits: number of hits of each prompt, shape: (n,).
        counts: number of items of each prompt, shape: (n,). `n` of the interval is the number of prompts with items.
    """
    hit, counted = np.asarray(hits, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    if not counted.any():
        return None
    weights = bootstrap_weights(len(counted))
    totals = weights @ counted
    draws = (weights @ hit)[totals > 0] / totals[totals > 0]
    return Interval(float(hit.sum() / counted.sum()), *percentile_bounds(draws), int(np.count_nonzero(counted)))


def wilson_bounds(share: float, trials: int) -> tuple[float, float]:
    """Return the bounds of the 95% interval of a share of 1 or more independent trials (Wilson 1927).

    Unlike a bootstrap it has a width where all trials agree: 3 of 3 give (0.44, 1). scipy.stats.binomtest has it too, but
    needs a whole number of hits, and a tie counts half.
    """
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    reach = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # Where all trials agree, rounding can put a bound past the share itself.
    return max(0.0, min(share, float(centre - reach))), min(1.0, max(share, float(centre + reach)))


def paired_interval(minuend: Mapping[str, float], subtrahend: Mapping[str, float]) -> Interval | None:
    """Return the mean of `minuend - subtrahend` over their common prompt ids, with its interval; None if there are none."""
    return mean_interval([minuend[key] - subtrahend[key] for key in minuend if key in subtrahend])
