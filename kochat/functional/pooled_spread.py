"""The standard deviation within groups."""

from __future__ import annotations

from torch import Tensor


def within_group_std(values: Tensor) -> Tensor:
    """Return the pooled standard deviation within groups: the square root of the mean of their unbiased variances.

    Differences between the groups' means do not count.

    Args:
        values: One group a row, at least two values each, shape: (groups, n).

    Returns:
        The standard deviation, shape: ().
    """
    return values.var(dim=1, correction=1).mean().sqrt()
