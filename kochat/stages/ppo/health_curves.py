"""Arrange PPO's curves for TensorBoard's CUSTOM SCALARS tab: what to look at first, and what belongs together."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

# Chart -> curves; docs/metrics.md says what is healthy.
CHARTS = {
    "reward": ("reward", "val_reward"),
    "KL from the SFT model": ("kl", "val_kl"),
    "clip fraction, entropy": ("clip_fraction", "entropy"),
    "value loss, explained variance": ("value_loss", "explained_variance"),
    "answer length": ("response_length", "val_response_length"),
}


def arrange_curves(trainer: L.Trainer) -> None:
    """Write the layout into the run's event file, on the first rank."""
    # TensorBoard takes each name as a pattern that a tag begins with, and ppo/reward_unit begins with ppo/reward.
    charts = {name: ["Multiline", [f"^ppo/{curve}$" for curve in curves]] for name, curves in CHARTS.items()}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
            logger.experiment.add_custom_scalars({"PPO": charts})
