"""The scalar head: one number per hidden state, used as reward or value."""

from __future__ import annotations

import torch
from torch import nn


class ScalarHead(nn.Linear):
    """Map hidden states (..., hidden) to scalars (...); the result is float32.

    The reward model's head has no bias, like transformers' sequence classifiers. The critic's head has a bias, since
    returns have no fixed zero.
    """

    def __init__(self, hidden: int, *, bias: bool = False) -> None:
        super().__init__(hidden, 1, bias=bias)
        nn.init.normal_(self.weight, std=(hidden + 1) ** -0.5)
        if bias:
            nn.init.zeros_(self.bias)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return (...) float32 scalars."""
        with torch.autocast(hidden.device.type, enabled=False):  # bf16 would round rewards and values to 8 bits
            return super().forward(hidden.to(self.weight.dtype)).squeeze(-1).float()

    def with_bias(self) -> ScalarHead:
        """Return a head with the same outputs and a bias."""
        head = ScalarHead(self.in_features, bias=True).to(self.weight)
        head.weight.data.copy_(self.weight.data)
        return head
