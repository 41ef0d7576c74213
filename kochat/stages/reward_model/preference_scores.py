"""Collect a reward model's scores of held-out completions, and write them to a file for the report."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kochat.engine.nan_guard import NonFiniteError
from kochat.engine.rank_rows import Row, gather_rows, write_rows
from kochat.runs import PREFERENCE_SCORES_FILE
from kochat.stages.reward_model.scored_batch import ScoredBatch


def scored_records(batch: ScoredBatch, step: str, batch_idx: int) -> list[Row]:
    """Turn a step's result into one row per record: {id, prompt, completions, scores}, best to worst.

    Args:
        batch: the result of the step.
        step: test or validation, for error messages.
        batch_idx: the batch's number, for error messages.

    Raises:
        NonFiniteError: A score is NaN or infinite.
    """
    if not batch.scores.isfinite().all():
        raise NonFiniteError(
            f"a reward of {step} batch {batch_idx} is not finite; train the reward model again with a lower learning rate"
        )
    columns = zip(batch.ids, batch.prompts, batch.completions, batch.scores.float().tolist(), strict=True)
    return [
        {"id": id_, "prompt": prompt, "completions": list(completions), "scores": scores}
        for id_, prompt, completions, scores in columns
    ]


class PreferenceScores(Callback):
    """Write ``rm_scores.jsonl`` at test: one line {id, prompt, completions, scores} per record, best to worst.

    It takes what the module's ``test_step`` returns, a `ScoredBatch`.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []

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
        self._rows += scored_records(outputs, "test", batch_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all ranks' rows."""
        write_rows(trainer, gather_rows(self._rows), PREFERENCE_SCORES_FILE)
