"""Keep a reward model's scores of held-out completions for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from kochat.callbacks.nan_guard import NonFiniteError
from kochat.callbacks.rows import Row, gather_rows, write_jsonl
from kochat.errors import UserError

SCORES_FILE = "rm_scores.jsonl"
_OUTPUT_KEYS = ("ids", "prompts", "completions", "scores")


class PreferenceScores(Callback):
    """Write ``rm_scores.jsonl`` at test: {id, prompt, completions, scores} a line, best to worst, every record once.

    It takes what the module's ``test_step`` returns: a dict of ``ids``, ``prompts``, ``completions`` (three a record) and
    ``scores``, shape: (n, 3).
    """

    def __init__(self) -> None:
        self._rows: list[Row] = []

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the scores of the test before."""
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
        if not isinstance(outputs, dict) or not set(_OUTPUT_KEYS) <= set(outputs):
            raise UserError(f"PreferenceScores needs a test_step that returns a dict of {', '.join(_OUTPUT_KEYS)}")
        if not outputs["scores"].isfinite().all():
            raise NonFiniteError(
                f"a reward of test batch {batch_idx} is not finite; train the reward model again with a lower learning rate"
            )
        scores = outputs["scores"].float().tolist()
        columns = zip(outputs["ids"], outputs["prompts"], outputs["completions"], scores, strict=True)
        self._rows += [
            {"id": id_, "prompt": prompt, "completions": list(completions), "scores": row_scores}
            for id_, prompt, completions, row_scores in columns
        ]

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all ranks' rows."""
        rows = gather_rows(self._rows)
        folder = trainer.log_dir  # a collective call: every rank makes it
        if trainer.is_global_zero:
            write_jsonl(Path(folder or trainer.default_root_dir) / SCORES_FILE, rows)
