"""Optimizers and their schedules: AdamW, and Muon with AdamW for models that are trained from scratch."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup_lr_rate

from kochat.engine.common_options import AdamWOptions
from kochat.errors import UserError

LAST_RATE = 0.1  # of the peak rate, at a run's last step


def adamw(parameters: list[Any], weight_decay: float, *, fused: bool = True, **options: Any) -> torch.optim.AdamW:
    """Build AdamW with betas (0.9, 0.95).

    Args:
        parameters: parameters or groups of them.
        weight_decay: decoupled weight decay.
        fused: use torch's fused kernel, whose step takes a sixth of the time of ``foreach`` on the CPU; False uses
            ``foreach``. The fused kernel unscales fp16 gradients itself, after clipping, so Lightning refuses to clip
            for it under mixed precision.
        options: further arguments of AdamW.
    """
    options = {"fused" if fused else "foreach": True} | options
    return torch.optim.AdamW(parameters, weight_decay=weight_decay, betas=(0.9, 0.95), **options)


def scheduled_adamw(
    trainer: L.Trainer, groups: list[dict[str, Any]], options: AdamWOptions
) -> OptimizerLRSchedulerConfig:
    """Build AdamW with linear warm-up and cosine decay over the run's steps.

    Args:
        trainer: its precision decides whether AdamW is fused, its length the schedule.
        groups: parameter groups, each with its own peak rate ``lr``.
        options: weight decay and warm-up; its learning rate is not used.
    """
    fused = "mixed" not in str(trainer.precision)
    return scheduled(trainer, adamw(groups, options.weight_decay, fused=fused), options.warmup)


def scheduled(trainer: L.Trainer, optimizer: torch.optim.Optimizer, warmup: float) -> OptimizerLRSchedulerConfig:
    """Give an optimizer linear warm-up over the share ``warmup`` (0 to 1) of the steps, then cosine decay to a tenth."""
    total = max(1, planned_steps(trainer))
    schedule = get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
        optimizer, num_warmup_steps=max(1, round(warmup * total)), num_training_steps=total, min_lr_rate=LAST_RATE
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def planned_steps(trainer: L.Trainer) -> int:
    """Return how many optimizer steps the run will take.

    Raises:
        UserError: the run has no limit of steps or epochs, so a schedule cannot know its end.
    """
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps):
        raise UserError(
            "trainer.max_epochs=-1 leaves the schedule without an end; give trainer.max_steps or max_epochs too"
        )
    return int(steps)


class MuonWithAdamW(torch.optim.Optimizer):
    """Step `torch.optim.Muon` on hidden matrices and AdamW on embeddings, biases and norms.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) orthogonalises each matrix's momentum. On the
    embedded world's corpus, AdamW needs several times as many steps to reach the loss that Muon reaches in 400. This
    allows a small base to be trained in a minute or two. Lightning's automatic optimisation steps only one optimizer
    per module, so this class contains both.

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
            part.param_groups = [group]  # shared, so that a schedule changes the rates of both parts

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
        """Load the result of `state_dict`."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = list(chain.from_iterable(part.param_groups for part in self.parts))


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is a matrix inside a transformer block, not an embedding or an output head."""
    return parameter.dim() == 2 and (".h." in name or ".layers." in name)
