"""Measure how many real tokens a run trains on in a second."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from kochat.engine.interval_means import IntervalMean


class TokenRate(Callback):
    """Log ``STAGE/tokens_per_second``: the real tokens of all ranks, by the time since the line of the log before.

    The time of loading data counts, that of validation and of writing checkpoints between two epochs does not. A stage that
    does not count `StageModule.tokens_read` gets no such figure.
    """

    def __init__(self) -> None:
        self._mean = IntervalMean()
        self._batches = 0
        self._since: float | None = None  # None while the clock stands

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin anew."""
        self._mean.reset()
        self._batches = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock until the next batch."""
        self._since = None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock until the next batch."""
        self._since = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock if it stands."""
        if self._since is None:
            self._since = time.perf_counter()
        self._before = _tokens(pl_module).clone()  # the count is added to in place

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the rate over the batches of the interval."""
        now = time.perf_counter()
        seconds, self._since = now - (now if self._since is None else self._since), now
        tokens = _tokens(pl_module) - self._before
        kept = trainer.log_every_n_steps * trainer.accumulate_grad_batches  # type: ignore[attr-defined]
        # `new_full` makes the number on the device, so that no step waits for it.
        rate = self._mean.add(tokens, tokens.new_full((), seconds, dtype=torch.float32), step=self._batches, kept=kept)
        self._batches += 1
        if torch.is_tensor(pl_module.tokens_read):
            name = f"{pl_module.stage.name}/tokens_per_second"  # type: ignore[union-attr]
            pl_module.log(name, rate, sync_dist=True, reduce_fx="sum")


def _tokens(module: LightningModule) -> torch.Tensor:
    return torch.as_tensor(module.tokens_read, device=module.device)
