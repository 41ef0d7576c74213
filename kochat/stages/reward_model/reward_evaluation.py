"""Log how far a reward model can be trusted: intervals, calibration, and the effect of answer length on its scores."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from kochat.engine.rank_rows import Row, gather_rows, log_figures
from kochat.metrics.choices import OWN_PROMPT_FLOOR, choice_accuracy
from kochat.metrics.intervals import Interval
from kochat.metrics.length_effects import answer_length
from kochat.metrics.pair_accuracy import GRADES
from kochat.metrics.reward_reliability import RewardQuality, reward_quality
from kochat.report.calibration_figure import draw_calibration_figure
from kochat.stages.reward_model.data import LABELLED_PAIRS, RECORDS
from kochat.stages.reward_model.preference_scores import scored_pairs, scored_records
from kochat.stages.reward_model.scored_batch import ScoredBatch

VALIDATION, TEST = "rm/", "rm/test_"  # different names, so that done.json keeps both apart
OWN_PROMPT = "own_prompt_accuracy"
LEAST_RECORDS = 20  # that the warning needs: of fewer, a share under the floor may be chance


class RewardEvaluation(Callback):
    """Measure a reward model on held-out records at validation (``rm/...``) and at test (``rm/test_...``).

    It logs `kochat.metrics.reward_reliability.SCALARS`, and at test also accuracy, margin and the mean score of each
    grade (the module logs these at validation); TensorBoard gets the histogram of margins and the calibration curve.
    ``own_prompt_accuracy`` is the share of records whose best answer scores higher than the best answer to another prompt
    (`kochat.data.mismatched_answers`), both after the record's prompt. If it is under `OWN_PROMPT_FLOOR` at the end of
    training, measured on `LEAST_RECORDS` records or more, one warning says so. ``rm/test_pairs/KIND`` is the accuracy on
    the labelled pairs of a kind.

    Each record and pair counts once over all ranks. A figure that cannot be computed (a correlation if all answers have
    one length) is not logged. The module's ``validation_step`` and ``test_step`` must return a `ScoredBatch` for records,
    and `ScoredPairs` for the second loader of the test.
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._pairs: list[Row] = []
        self._own_prompt: Interval | None = None  # of the last validation
        self._warned = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the validation and the warning of an earlier run."""
        self._own_prompt, self._warned = None, False

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the last validation of the training shows that the prompt is hardly read."""
        self._warn(trainer)

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
            quality, self._own_prompt = _quality(rows), own_prompt_accuracy(rows)
            log_figures(pl_module, VALIDATION, quality.scalars() | _own_prompt_scalar(self._own_prompt))
            _show(trainer, VALIDATION, quality)
            if trainer.state.fn == "validate":
                self._warn(trainer)  # unless the training before has done so

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
            self._pairs += [
                {key: row[key] for key in ("id", "kind", "scores")} for row in scored_pairs(outputs, batch_idx)
            ]
        else:
            self._keep(outputs, "test", batch_idx)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the figures of the test, with the means."""
        rows = gather_rows(self._rows)
        quality = _quality(rows)
        own_prompt = _own_prompt_scalar(own_prompt_accuracy(rows))
        log_figures(pl_module, TEST, _means(rows, quality) | quality.scalars() | own_prompt)
        log_figures(pl_module, f"{TEST}pairs/", _accuracy_by_kind(gather_rows(self._pairs)))
        _show(trainer, TEST, quality)

    def _keep(self, outputs: ScoredBatch, step: str, batch_idx: int) -> None:
        """Keep ids, scores and lengths; the texts need not be sent between ranks."""
        for row in scored_records(outputs, step, batch_idx):
            lengths = [answer_length(text) for text in row["completions"]]
            kept = {"id": row["id"], "scores": row["scores"], "lengths": lengths}
            self._rows.append(kept | {key: row[key] for key in ("other_score",) if key in row})

    def _warn(self, trainer: Trainer) -> None:
        """Say on the console and in TensorBoard, once, that the reward model hardly reads the prompt, if that is so."""
        found = self._own_prompt
        low = found is not None and found.n >= LEAST_RECORDS and found.value < OWN_PROMPT_FLOOR
        if self._warned or found is None or not low or not trainer.is_global_zero:
            return
        self._warned = True
        message = own_prompt_warning(found)
        warnings.warn(message, stacklevel=2)
        _to_tensorboard(trainer, lambda board: board.add_text("rm/own_prompt_warning", message, trainer.global_step))


def own_prompt_accuracy(rows: list[Row]) -> Interval | None:
    """Return how often the best answer of a record scores above the answer to another prompt; None if no record has one.

    Args:
        rows: {scores (best first), other_score}; a record without ``other_score`` is left out.
    """
    compared = [row for row in rows if "other_score" in row]
    return choice_accuracy([row["scores"][0] for row in compared], [row["other_score"] for row in compared])


def own_prompt_warning(found: Interval) -> str:
    """Return the text that explains a low ``rm/own_prompt_accuracy`` and says what to do."""
    return (
        f"the reward model hardly reads the prompt (rm/own_prompt_accuracy={found.value:.2f}, at least {OWN_PROMPT_FLOOR} "
        f"is expected): of {found.n:,} held-out prompts, the good answer scores higher than a good answer to another prompt "
        f"in only {found.value:.0%}, and 50% is chance. PPO with this reward model may learn answers that do not fit the "
        "question. Add preference records whose worse completions are good answers to other prompts, and train it again"
    )


def _own_prompt_scalar(found: Interval | None) -> dict[str, float]:
    return {} if found is None else {OWN_PROMPT: found.value}


def _accuracy_by_kind(pairs: list[Row]) -> dict[str, float]:
    """Return kind -> accuracy of labelled pairs, by name; ties count half."""
    scores: dict[str, list[list[float]]] = defaultdict(list)
    for pair in pairs:
        scores[pair["kind"]].append(pair["scores"])
    found = {kind: choice_accuracy(*zip(*scores[kind], strict=True)) for kind in sorted(scores)}
    return {kind: interval.value for kind, interval in found.items() if interval is not None}


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

    def add(board: Any) -> None:
        board.add_histogram(f"{prefix}margins", quality.margins.ravel(), trainer.global_step)
        board.add_figure(f"{prefix}calibration", draw_calibration_figure(quality.calibration), trainer.global_step)

    _to_tensorboard(trainer, add)


def _to_tensorboard(trainer: Trainer, add: Callable[[Any], None]) -> None:
    """Call `add` with the writer of each TensorBoard logger."""
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            add(logger.experiment)
