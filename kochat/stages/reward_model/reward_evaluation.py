"""Log how far a reward model can be trusted: intervals, calibration, and the effect of answer length on its scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from kochat.engine.rank_rows import Row, gather_rows, log_figures
from kochat.metrics.length_effects import answer_length
from kochat.metrics.pair_accuracy import GRADES
from kochat.metrics.reward_reliability import RewardQuality, reward_quality
from kochat.report.calibration_figure import draw_calibration_figure
from kochat.stages.reward_model.data import RECORDS
from kochat.stages.reward_model.preference_scores import scored_records
from kochat.stages.reward_model.scored_batch import ScoredBatch

VALIDATION, TEST = "rm/", "rm/test_"  # different names, so that done.json keeps both apart


class RewardEvaluation(Callback):
    """Measure a reward model on held-out records at validation (``rm/...``) and at test (``rm/test_...``).

    It logs `kochat.metrics.reward_reliability.SCALARS`, and at test also accuracy, margin and the mean score of each
    grade (the module logs these at validation); TensorBoard gets the histogram of margins and the calibration curve.
    Each record counts once over all ranks. A figure that cannot be computed (a correlation if all answers have one
    length) is not logged. The module's ``validation_step`` and ``test_step`` must return a `ScoredBatch` for records.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the scores of the previous validation."""
        self._rows = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the scores of one batch of records; demonstrations are skipped, since they have no order."""
        if dataloader_idx == RECORDS:
            self._keep(outputs, "validation", batch_idx)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures of this validation."""
        if not trainer.sanity_checking:
            rows = gather_rows(self._rows)
            quality = _quality(rows)
            log_figures(pl_module, VALIDATION, quality.scalars())
            _show(trainer, VALIDATION, quality)

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the scores of the previous test."""
        self._rows = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the scores of one batch."""
        self._keep(outputs, "test", batch_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures of the test, with the means."""
        rows = gather_rows(self._rows)
        quality = _quality(rows)
        log_figures(pl_module, TEST, _means(rows, quality) | quality.scalars())
        _show(trainer, TEST, quality)

    def _keep(self, outputs: ScoredBatch, step: str, batch_idx: int) -> None:
        """Keep ids, scores and lengths; the texts need not be sent between ranks."""
        for row in scored_records(outputs, step, batch_idx):
            lengths = [answer_length(text) for text in row["completions"]]
            self._rows.append({"id": row["id"], "scores": row["scores"], "lengths": lengths})


def _quality(rows: list[Row]) -> RewardQuality:
    return reward_quality([row["scores"] for row in rows], [row["lengths"] for row in rows])


def _means(rows: list[Row], quality: RewardQuality) -> dict[str, float]:
    """Return accuracy, margin and the mean score of each grade, as the module logs at validation; empty without rows."""
    if quality.accuracy is None:
        return {}
    means = np.mean([row["scores"] for row in rows], axis=0).tolist()
    by_grade = {f"score_{grade}": mean for grade, mean in zip(GRADES, means, strict=True)}
    return {"accuracy": quality.accuracy.value, "margin": means[0] - means[2], **by_grade}


def _show(trainer: Trainer, prefix: str, quality: RewardQuality) -> None:
    """Add histogram and curve to TensorBoard, if there are records."""
    if not len(quality.margins) or not trainer.is_global_zero:
        return
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.experiment.add_histogram(f"{prefix}margins", quality.margins.ravel(), trainer.global_step)
            figure = draw_calibration_figure(quality.calibration)
            logger.experiment.add_figure(f"{prefix}calibration", figure, trainer.global_step)
