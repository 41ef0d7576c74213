"""Collect a reward model's scores of held-out completions, and write them to a file for the report."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kochat.engine.nan_guard import NonFiniteError
from kochat.engine.rank_rows import Row, gather_rows, write_rows
from kochat.runs import PAIR_SCORES_FILE, PREFERENCE_SCORES_FILE
from kochat.stages.reward_model.data import LABELLED_PAIRS
from kochat.stages.reward_model.scored_batch import ScoredBatch, ScoredPairs


def scored_records(batch: ScoredBatch, step: str, batch_idx: int) -> list[Row]:
    """Turn a step's result into one row per record: {id, prompt, completions, scores}, best to worst.

    A record with an answer to another prompt also has {other, other_score}.

    Args:
        batch: the result of the step.
        step: test or validation, for error messages.
        batch_idx: the batch's number, for error messages.

    Raises:
        NonFiniteError: A score is NaN or infinite.
    """
    columns = zip(batch.ids, batch.prompts, batch.completions, batch.scores.float().tolist(), strict=True)
    rows: list[Row] = [
        {"id": id_, "prompt": prompt, "completions": list(completions), "scores": scores}
        for id_, prompt, completions, scores in columns
    ]
    for row, other, score in zip(rows, batch.others, batch.other_scores.float().tolist(), strict=False):
        if other is not None:
            row |= {"other": other, "other_score": score}
    _check_finite([x for row in rows for x in (*row["scores"], row.get("other_score", 0.0))], step, batch_idx)
    return rows


def scored_pairs(batch: ScoredPairs, batch_idx: int) -> list[Row]:
    """Turn a test step's labelled pairs into one row per pair: {id, prompt, better, worse, kind, scores: [better, worse]}.

    Raises:
        NonFiniteError: A score is NaN or infinite.
    """
    columns = zip(batch.ids, batch.prompts, batch.answers, batch.kinds, batch.scores.float().tolist(), strict=True)
    rows = [
        {"id": id_, "prompt": prompt, "better": better, "worse": worse, "kind": kind, "scores": scores}
        for id_, prompt, (better, worse), kind, scores in columns
    ]
    _check_finite([score for row in rows for score in row["scores"]], "labelled test", batch_idx)
    return rows


def _check_finite(scores: list[float], step: str, batch_idx: int) -> None:
    if not all(map(math.isfinite, scores)):
        raise NonFiniteError(
            f"a reward of {step} batch {batch_idx} is not finite; train the reward model again with a lower learning rate"
        )


class PreferenceScores(Callback):
    """Write a reward model's scores at test.

    ``rm_scores.jsonl`` has one line for each record (`scored_records`). ``pair_scores.jsonl`` has one line for each
    labelled pair (`scored_pairs`); it is written only if the data has such pairs. The module's ``test_step`` returns a
    `ScoredBatch` for records, and `ScoredPairs` for the second loader.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._pairs: list[Row] = []

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the scores of the previous test."""
        self._rows, self._pairs = [], []

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
        if dataloader_idx == LABELLED_PAIRS:
            self._pairs += scored_pairs(outputs, batch_idx)
        else:
            self._rows += scored_records(outputs, "test", batch_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all ranks' rows."""
        write_rows(trainer, gather_rows(self._rows), PREFERENCE_SCORES_FILE)
        pairs = gather_rows(self._pairs)
        if pairs:  # of all ranks, so that all ranks decide alike
            write_rows(trainer, pairs, PAIR_SCORES_FILE)
