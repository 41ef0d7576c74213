"""What a stage logs of each optimizer step: the loss, the gradient's norm, the learning rates."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from kochat.engine.interval_means import IntervalMean
from kochat.engine.stage_module import StageModule


class TrainingScalars:
    """Log the training scalars of a stage with automatic optimisation, under the prefix of its metrics.

    Loss and norm are means over the last ``log_every_n_steps`` optimizer steps (`IntervalMean`).

    Args:
        module: the stage.
        rates: a name for the learning rate of each of the optimizer's parameter groups.
    """

    def __init__(self, module: StageModule, rates: Sequence[str] = ("learning_rate",)) -> None:
        self._module = module
        self._rates = tuple(rates)
        self.reset()

    def reset(self) -> None:
        """Begin all means anew; call it when training starts."""
        self._loss, self._norm = IntervalMean(), IntervalMean()

    def loss(self, total: torch.Tensor, count: torch.Tensor, rows: int) -> None:
        """Log the mean loss as ``train_loss``.

        Args:
            total: the sum of the losses of this rank's batch, shape: ().
            count: the divisor; see `kochat.engine.ranks.count_share`.
            rows: number of rows of the batch.
        """
        self._log("train_loss", self._mean(self._loss, total, count), prog_bar=True, sync_dist=True, batch_size=rows)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Log the gradient's norm and the learning rates; call it before the gradient is clipped.

        A norm that is not finite is left out of the mean: 16-mixed looks for its scale with gradients that overflow, and such
        a step is not taken. In another precision `NaNGuard` ends the run.
        """
        gradients = [p.grad for p in self._module.trainable_parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        finite = norm.isfinite()
        # DDP has averaged the gradients, so the norm is the same on all ranks.
        self._log("grad_norm", self._mean(self._norm, torch.where(finite, norm, 0.0), finite))
        for name, group in zip(self._rates, optimizer.param_groups, strict=True):
            self._log(name, float(group["lr"]))

    def _mean(self, mean: IntervalMean, total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        trainer = self._module.trainer
        return mean.add(total, count, step=trainer.global_step, kept=trainer.log_every_n_steps)  # type: ignore[attr-defined]

    def _log(self, name: str, value: torch.Tensor | float, **options: bool | int) -> None:
        self._module.log(f"{self._module.stage.name}/{name}", value, **options)  # type: ignore[arg-type]
