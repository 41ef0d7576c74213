"""Delete-one-cluster jackknife: pseudo-values of a statistic that is computed from sums over prompts (Tukey 1958).

A mean and a corpus score such as BLEU are both functions of sums. For a mean the pseudo-values average to the mean itself; for a
corpus score they say how much each cluster of prompts moves the score.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]  # summed rows (n, k) -> values (n,)


def cluster_sums(rows: np.ndarray, clusters: Sequence[Hashable]) -> np.ndarray:
    """Sum the rows (prompts, k) of each cluster: (clusters, k), in the order in which the clusters first appear."""
    places = {name: place for place, name in enumerate(dict.fromkeys(clusters))}
    sums = np.zeros((len(places), rows.shape[1]))
    np.add.at(sums, [places[name] for name in clusters], rows)
    return sums


def pseudo_values(sums: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Return the pseudo-value of each cluster, (clusters,): C * whole - (C - 1) * the statistic without the cluster.

    Args:
        sums: sums of each cluster, shape: (clusters, k), with at least two clusters.
        statistic: the statistic, from summed rows.
    """
    count = len(sums)
    whole = sums.sum(0)
    return count * statistic(whole[None]) - (count - 1) * statistic(whole[None] - sums)


def ratio(sums: np.ndarray) -> np.ndarray:
    """Return the first column over the second: the mean of values whose rows are (value, 1)."""
    return sums[:, 0] / sums[:, 1]
