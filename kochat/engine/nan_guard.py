"""Stop a run whose loss or weights are NaN or infinite, before such weights are saved.

Lightning saves NaN weights without a warning. A run that resumes from them, or a later stage that loads them, is useless.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from kochat.errors import RunError, UserError


class NonFiniteError(RunError):
    """A loss, a weight or a score became NaN or infinite; the message says where and what to try."""


class NaNGuard(Callback):
    """Stop the run with a :class:`NonFiniteError` when the loss or a trained parameter is NaN or infinite.

    The loss of every step is checked on its device, without waiting for the device. The result is read, and the
    parameters are checked, every n steps, at the end of each validation and epoch, and before each full checkpoint. All
    ranks stop together.

    Args:
        every_n_steps: Batches between two checks. Weights-only checkpoints that are saved by step count
            (ModelCheckpoint with save_weights_only and every_n_train_steps) are protected only if this number divides
            their interval.
    """

    def __init__(self, every_n_steps: int = 20) -> None:
        if every_n_steps < 1:
            raise UserError(f"NaNGuard.every_n_steps={every_n_steps} is too small; give 1 or more")
        self.every_n_steps = every_n_steps
        self._bad_batch: Tensor | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start with no bad batch seen (-1)."""
        self._bad_batch = torch.tensor(-1, device=pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Remember the first batch whose loss is not finite; check every n batches."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor) and self._bad_batch is not None:
            first_bad = ~loss.detach().isfinite().all() & (self._bad_batch < 0)
            self._bad_batch = torch.where(first_bad, batch_idx, self._bad_batch)
        if (batch_idx + 1) % self.every_n_steps == 0:
            self.check(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check before the checkpoint of this validation."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check before the checkpoint of this epoch, and before the run ends."""
        self.check(trainer, pl_module)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Check before a checkpoint is written."""
        self.check(trainer, pl_module)

    def check(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Raise an error if the loss or a weight is not finite on any rank; every rank must call this.

        Raises:
            NonFiniteError: A loss or weight is not finite; the message names it, the last good checkpoint and a remedy.
        """
        found = self._loss_found() or self._weights_found(pl_module)
        if trainer.strategy.reduce_boolean_decision(found is None, all=True):
            return
        saved = next((path for path in map(_newest_path, trainer.checkpoint_callbacks) if path), None)
        where = f"step {trainer.global_step}, epoch {trainer.current_epoch}"
        kept = f"the last good checkpoint is {saved}" if saved else "there is no earlier checkpoint"
        raise NonFiniteError(
            f"{found or 'another rank found a loss or weight that is not finite'} ({where}); nothing of it was saved, {kept}. "
            "Try a lower learning rate or more warm-up, bf16-mixed in place of 16-mixed, or gradient clipping"
        )

    def _loss_found(self) -> str | None:
        if self._bad_batch is None or (batch := int(self._bad_batch)) < 0:
            return None
        return f"the loss of training batch {batch} is NaN or infinite"

    def _weights_found(self, pl_module: LightningModule) -> str | None:
        trained = [(name, parameter) for name, parameter in pl_module.named_parameters() if parameter.requires_grad]
        if not trained:
            return None
        # One tensor of flags: the device is read once, not once per parameter.
        finite = torch.stack([parameter.detach().isfinite().all() for _, parameter in trained]).tolist()
        bad = [name for (name, _), good in zip(trained, finite, strict=True) if not good]
        return f"{len(bad)} of {len(trained)} trained parameters are NaN or infinite, {bad[0]} first" if bad else None


def _newest_path(checkpoint_callback: Any) -> str:
    """Return the path of the last checkpoint that a callback wrote, or an empty string."""
    return getattr(checkpoint_callback, "last_model_path", "") or getattr(checkpoint_callback, "best_model_path", "")
