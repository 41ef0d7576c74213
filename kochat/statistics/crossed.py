"""The variance of a mean over training seeds and test prompts, where every seed answers the same prompts.

A difference of two models varies with the seeds of their training and with the choice of prompts. Both are crossed: each of S seeds
has a value for each of C clusters of prompts (prompts of one fact or one talk family are not independent). The model of a value is

    mean + seed + cluster + rest,  each with a variance of its own

(Clark 1973, "The language-as-fixed-effect fallacy"). The variance of the mean comes from the mean squares of a two-way analysis of
variance, its degrees of freedom from Satterthwaite (1946).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95
POWER = 0.8


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and prompts.

    Args:
        value: the mean.
        error: its standard error; 0 where all values are equal, NaN where nothing can be said (one cluster, one seed).
        freedom: the degrees of freedom of the error.
        seeds: the number of seeds.
        clusters: the number of clusters of prompts.
    """

    value: float
    error: float
    freedom: float
    seeds: int
    clusters: int

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds of the 95% interval (Student's t)."""
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom)) * self.error
        return self.value - reach, self.value + reach

    @property
    def p_value(self) -> float:
        """The two-sided p-value of the hypothesis that the mean is 0 (Student's t)."""
        if self.error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2 * stats.t.sf(abs(self.value) / self.error, self.freedom))

    @property
    def detectable(self) -> float:
        """The smallest true mean that a study like this one finds (p < 0.05) with a power of 80%."""
        quantiles = stats.t.ppf([(1 + LEVEL) / 2, POWER], self.freedom)
        return float(quantiles.sum()) * self.error


def crossed_estimate(values: np.ndarray, value: float | None = None) -> Estimate:
    """Return the mean of `values` with its error over seeds and clusters.

    With one seed the error covers the choice of prompts alone.

    Args:
        values: one value for each seed and cluster, shape: (seeds, clusters). For a statistic that is no mean these are its
            jackknife pseudo-values (:func:`kochat.statistics.jackknife.pseudo_values`).
        value: the statistic itself, where it is not the mean of `values`.
    """
    seeds, clusters = values.shape
    mean = values.mean()
    by_seed, by_cluster = values.mean(1) - mean, values.mean(0) - mean
    rest = values - mean - by_seed[:, None] - by_cluster[None]
    squares = {
        "cluster": _mean_square(seeds * np.square(by_cluster).sum(), clusters - 1),
        "seed": _mean_square(clusters * np.square(by_seed).sum(), seeds - 1),
        "rest": _mean_square(np.square(rest).sum(), (seeds - 1) * (clusters - 1)),
    }
    between_seeds = max(squares["seed"] - squares["rest"], 0.0) if seeds > 1 else 0.0
    total = squares["cluster"] + between_seeds
    if clusters < 2:
        total = squares["seed"] if seeds > 1 else np.nan
    freedom = _freedom(squares, total, seeds, clusters, apart=between_seeds > 0)
    return Estimate(
        float(mean if value is None else value), float(np.sqrt(total / values.size)), freedom, seeds, clusters
    )


def _mean_square(squares: float, freedom: int) -> float:
    return float(squares) / freedom if freedom > 0 else 0.0


def _freedom(squares: dict[str, float], total: float, seeds: int, clusters: int, *, apart: bool) -> float:
    """Return Satterthwaite's degrees of freedom; `apart` says whether the seeds' variance is part of the total."""
    if clusters < 2:
        return max(seeds - 1, 1)
    terms = [squares["cluster"] ** 2 / (clusters - 1)]
    if apart:
        terms += [squares["seed"] ** 2 / (seeds - 1), squares["rest"] ** 2 / ((seeds - 1) * (clusters - 1))]
    return total**2 / sum(terms) if sum(terms) > 0 else clusters - 1
