"""Paired permutation test: the answers of two models to the prompts of a cluster change places (Fisher 1935; Noreen 1989)."""

from __future__ import annotations

import numpy as np

from kochat.statistics.jackknife import Statistic

DRAWS = 2000


def permutation_p_value(ours: np.ndarray, theirs: np.ndarray, statistic: Statistic, seed: int = 0) -> float:
    """Return the two-sided p-value of the difference ``statistic(ours) - statistic(theirs)``.

    In each draw every cluster changes sides with probability 1/2, with all of its prompts and in all seeds at once. The value is
    (1 + draws that differ at least as much) / (1 + draws), so it is never 0. It speaks of these trained models on prompts like
    these; it does not know how much training with another seed changes.

    Args:
        ours: sums of each seed and cluster, shape: (seeds, clusters, k).
        theirs: those of the other model, of the same seeds and clusters; the same shape.
        statistic: the statistic, from summed rows; with several seeds its mean over them.
        seed: seed of the draws.
    """
    swap = (np.random.default_rng(seed).random((DRAWS, ours.shape[1])) < 0.5).astype(float)
    moved = np.einsum("dc,sck->dsk", swap, theirs - ours)
    differences = _means(ours.sum(1) + moved, statistic) - _means(theirs.sum(1) - moved, statistic)
    observed = float(np.mean(statistic(ours.sum(1)) - statistic(theirs.sum(1))))
    slack = 1e-12 * max(1.0, abs(observed))  # sums in another order differ in their last digits
    extreme = int((np.abs(differences) >= abs(observed) - slack).sum())
    return (1 + extreme) / (1 + DRAWS)


def _means(sums: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Return the statistic's mean over the seeds of each draw: (draws, seeds, k) -> (draws,)."""
    draws, seeds, width = sums.shape
    return np.asarray(statistic(sums.reshape(-1, width))).reshape(draws, seeds).mean(1)
