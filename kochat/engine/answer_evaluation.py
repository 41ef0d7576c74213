"""Generate answers during validation and test, score them against references, and save them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from kochat.engine.answering import AnsweredBatch
from kochat.engine.markdown import markdown_table
from kochat.engine.rank_rows import Row, gather_rows, log_figures, write_rows
from kochat.errors import UserError
from kochat.metrics.text_overlap import text_metrics
from kochat.runs import SAMPLES_FILE
from kochat.text.unicode_form import display

ROW_SCORES = ("bleu", "rouge_l", "chrf")


class AnswerEvaluation(Callback):
    """Score a chat model's greedy answers: val/* on a few held-out prompts, test/* on the frozen test set.

    Validation takes its prompts from ``datamodule.answers_dataloader("validation", num_validation)``; each rank answers
    a share. It logs ``val/bleu``, ``val/rouge_l``, ``val/chrf`` and a text table in TensorBoard. Test takes the answers
    that the module's ``test_step`` returns (an `AnsweredBatch`). It logs the same scores under ``test/``, the scores
    over whitespace-separated words as ``test/legacy_*``, and writes ``samples.jsonl`` into the run's folder. Prompts
    without a reference are answered and written, but not scored.

    Args:
        num_validation: Prompts to answer at each validation; 0 answers none.
        every_n_validations: Answer only at every n-th validation; useful where generation is slower than training.
        num_shown: Rows of TensorBoard's table.
    """

    def __init__(self, num_validation: int = 32, every_n_validations: int = 1, num_shown: int = 8) -> None:
        for name, value, least in (
            ("num_validation", num_validation, 0),
            ("every_n_validations", every_n_validations, 1),
            ("num_shown", num_shown, 0),
        ):
            if value < least:
                raise UserError(f"AnswerEvaluation.{name}={value} is too small; give {least} or more")
        self.num_validation = num_validation
        self.every_n_validations = every_n_validations
        self.num_shown = num_shown
        self._validations = 0
        self._rows: list[Row] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check before training that there are prompts to answer."""
        asks = stage == "fit" and self.num_validation > 0
        if asks and not hasattr(getattr(trainer, "datamodule", None), "answers_dataloader"):
            raise UserError(
                "AnswerEvaluation finds no answers_dataloader on the datamodule; use a kochat datamodule or set "
                "num_validation: 0"
            )
        if asks and not pl_module.stage.answers:  # type: ignore[union-attr]
            raise UserError(
                f"AnswerEvaluation: {type(pl_module).__name__} gives no answers; remove the callback or set num_validation: 0"
            )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answer and score the validation prompts of this run."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not self.num_validation:
            return
        self._validations += 1
        if self._validations % self.every_n_validations:
            return
        rows = gather_rows(self._answer_validation(trainer, pl_module))
        log_figures(pl_module, "val/", score_rows(rows, legacy=False))
        self._show(trainer, rows)

    def state_dict(self) -> dict[str, Any]:
        """Keep the count of validations, so that a resumed run answers at the same ones."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count of validations."""
        self._validations = state_dict["validations"]

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Clear the answers of the previous test."""
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
        """Keep the answers of one batch."""
        self._rows += rows_of(outputs)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Score all ranks' answers, log the figures and write ``samples.jsonl``."""
        rows = gather_rows(self._rows)
        log_figures(pl_module, "test/", score_rows(rows, legacy=True))
        write_rows(trainer, rows, SAMPLES_FILE)

    def _answer_validation(self, trainer: Trainer, pl_module: LightningModule) -> list[Row]:
        """Answer this rank's share of the prompts."""
        rows: list[Row] = []
        loader = trainer.datamodule.answers_dataloader("validation", self.num_validation)  # type: ignore[attr-defined]
        with evaluating(pl_module):
            for batch in loader:
                shard = batch.shard(trainer.global_rank, trainer.world_size)
                if shard.ids:
                    rows += rows_of(pl_module.answered(trainer.strategy.batch_to_device(shard)))  # type: ignore[operator]
        return rows

    def _show(self, trainer: Trainer, rows: list[Row]) -> None:
        """Add the first rows to TensorBoard's text tab."""
        header = ("prompt", "answer", "reference", "chrF")
        cells = [
            (row["prompt"], row["answer"], row["reference"] or "", f"{row['scores'].get('chrf', float('nan')):.2f}")
            for row in rows[: self.num_shown]
        ]
        for logger in trainer.loggers:
            if cells and isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                logger.experiment.add_text("val/answers", markdown_table(header, cells), trainer.global_step)


def rows_of(batch: AnsweredBatch) -> list[Row]:
    """Turn a batch's lists into one row per answer; answers are in display form (see `display`)."""
    columns = zip(batch.ids, batch.prompts, batch.references, batch.kinds, batch.answers, strict=True)
    return [
        {"id": id_, "prompt": prompt, "reference": reference, "answer": display(answer), "kind": kind, "scores": {}}
        for id_, prompt, reference, kind, answer in columns
    ]


def score_rows(rows: list[Row], *, legacy: bool) -> dict[str, float]:
    """Score the rows that have a reference: fill in their ``scores`` and return the corpus scores (0 to 1), empty without such rows."""
    scored = [row for row in rows if row["reference"] is not None]
    if not scored:
        return {}
    figures = {}
    for name, metric in text_metrics(legacy=legacy).items():
        # `rows` already holds the rows of all ranks.
        metric.sync_on_compute = False
        metric.update(*([row[key] for row in scored] for key in ("id", "answer", "reference")))
        figures[name] = metric.compute().item()
        if name in ROW_SCORES:
            for row, score in zip(scored, metric.rows().values(), strict=True):
                row["scores"][name] = score
    return figures


@contextmanager
def evaluating(module: LightningModule) -> Iterator[None]:
    """Turn dropout and gradients off inside the block; afterwards, also after an error, restore the mode of every submodule."""
    modes = {submodule: submodule.training for submodule in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for submodule, mode in modes.items():
            submodule.training = mode
