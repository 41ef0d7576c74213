"""Ridge regression from second moments: the closed form, without an intercept."""

from __future__ import annotations

import torch
from torch import Tensor


def ridge_weights(covariance: Tensor, cross: Tensor, strength: float) -> Tensor:
    """Return argmin_w E[(y - w x)^2] + penalty |w|^2 for centred x and y: (C + penalty I)^-1 c (Hoerl and Kennard 1970).

    The penalty is ``strength`` times the mean variance of x, so that the scale of x does not matter.

    Args:
        covariance: C, the covariance of x, shape: (d, d).
        cross: c, the covariance of x and y, shape: (d,).
        strength: Penalty in mean variances of x, above 0.

    Returns:
        Weights in float64 on the CPU, 0 if x does not vary, shape: (d,).
    """
    covariance, cross = covariance.double().cpu(), cross.double().cpu()
    penalty = strength * covariance.diagonal().mean()
    if not penalty > 0:
        return torch.zeros_like(cross)
    return torch.linalg.solve(covariance + penalty * torch.eye(len(cross), dtype=cross.dtype), cross)
