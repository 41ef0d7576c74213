"""Muon for the matrices of a model trained from scratch, AdamW for the rest, as one optimizer that Lightning can step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

import torch
from torch import nn


def adamw(parameters: list[Any], weight_decay: float, fused: bool = True, **options: Any) -> torch.optim.AdamW:
    """Build AdamW with betas (0.9, 0.95).

    Args:
        parameters: parameters or groups of them.
        weight_decay: decoupled weight decay.
        fused: read and write each number once; on the CPU a step takes a sixth of the time of ``foreach``, which False gives. A fused
            one unscales fp16 gradients itself, after they were clipped, and Lightning refuses to clip for it under mixed precision.
        options: more of AdamW's.
    """
    options = {"fused" if fused else "foreach": True} | options
    return torch.optim.AdamW(parameters, weight_decay=weight_decay, betas=(0.9, 0.95), **options)


class MuonWithAdamW(torch.optim.Optimizer):
    """Step `torch.optim.Muon` on hidden matrices and AdamW on embeddings, biases and norms.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) orthogonalises each matrix's momentum. On the embedded
    world's corpus 400 steps of it reach a loss that AdamW needs several times as many for, which is what makes a small base
    within a minute or two possible. Lightning steps one optimizer a module automatically, hence one object for both.

    Args:
        named_parameters: names and parameters of a whole transformer.
        learning_rate: AdamW's rate.
        matrix_learning_rate: Muon's rate.
        weight_decay: decoupled weight decay of the matrices.
    """

    def __init__(
        self,
        named_parameters: list[tuple[str, nn.Parameter]],
        learning_rate: float,
        matrix_learning_rate: float,
        weight_decay: float,
    ) -> None:
        matrices = [p for name, p in named_parameters if is_hidden_matrix(name, p)]
        known = {id(parameter) for parameter in matrices}
        others = [p for _, p in named_parameters if id(p) not in known]
        self.parts = [
            torch.optim.Muon(matrices, lr=matrix_learning_rate, weight_decay=weight_decay),
            adamw(others, 0.0, lr=learning_rate),
        ]
        super().__init__(list(chain.from_iterable(part.param_groups for part in self.parts)), {})
        for part, group in zip(self.parts, self.param_groups, strict=True):
            part.param_groups = [group]  # shared, so that a schedule on this optimizer reaches its parts

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with both parts; return the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return both parts' states."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = list(chain.from_iterable(part.param_groups for part in self.parts))


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is a matrix inside a transformer block, neither an embedding nor an output head."""
    return parameter.dim() == 2 and (".h." in name or ".layers." in name)
