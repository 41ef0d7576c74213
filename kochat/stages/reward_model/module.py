"""The reward model: score answers so that better ones score higher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.data.batches import LabelledPairBatch, PreferenceBatch, TextBatch
from kochat.engine.inputs import base_name
from kochat.engine.optimizers import scheduled_adamw
from kochat.engine.ranks import count_share
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.engine.token_means import TokenWindow
from kochat.engine.training_scalars import TrainingScalars
from kochat.functional import pairwise_ranking_loss
from kochat.metrics.demonstrations import DemonstrationScores
from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.metrics.pairs import BETTER, WORSE
from kochat.nn.exports import export_info, write_export
from kochat.nn.role_loading import new_role
from kochat.nn.rows import last_scores
from kochat.nn.unpadded import rows_of
from kochat.rewards.centring import Centring
from kochat.stages.reward_model import STAGE
from kochat.stages.reward_model.data import DEMONSTRATION_SET, LABELLED_PAIRS
from kochat.stages.reward_model.options import RewardOptions
from kochat.stages.reward_model.scored_batch import ScoredBatch, ScoredPairs


class RewardModule(StageModule):
    """Train a scalar head on a base model with the pairwise ranking loss (Ouyang et al. 2022, eq. 1).

    The score of an answer is read at its last real token, EOS. The prompt and the three completions of a record are
    encoded once, and the loss uses all three ordered pairs of their scores.

    Args:
        options: the fields of `RewardOptions`, as keywords.

    Attributes:
        centring: mean and standard deviation of the scores, from the last validation; None before the first.
    """

    stage: ClassVar[Stage] = STAGE

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = RewardOptions(**options)
        self.window = TokenWindow()
        self.scalars = TrainingScalars(self, ("learning_rate", "head_learning_rate"))
        self.held_out = PairAccuracy()
        self.demonstrations = DemonstrationScores()
        self.centring: Centring | None = None
        self._validated_step = -1

    def sources(self) -> dict[str, str]:
        """Name the base model."""
        return {"model.base": self.options.base}

    def configure_model(self) -> None:
        """Load the base and add adapter and head, or load the trained export."""
        if self.configured or self.load_trained("reward_model", value=True):
            return
        base = self.inputs.folder("model.base", self.options.base)
        self.adopt(new_role("reward_model", base, self.options.lora, value=True))

    def scores(self, batch: PreferenceBatch | TextBatch | LabelledPairBatch) -> torch.Tensor:
        """Return the raw score of each row, (n,) float32."""
        return last_scores(self.role("reward_model"), rows_of(batch.input_ids, batch.mask, unpad=self.options.unpad))

    def on_train_start(self) -> None:
        """Begin the means of the logged scalars anew."""
        self.scalars.reset()

    def training_step(self, batch: PreferenceBatch, batch_idx: int) -> torch.Tensor:
        """Return the ranking loss of one batch, scaled so that the gradient is that of the mean over all pairs of all ranks and batches."""
        self.tokens_read += batch.lengths.sum()
        chosen, rejected = self.scores(batch)[batch.pairs].unbind(1)
        share = count_share(self.trainer, torch.ones_like(chosen, dtype=torch.bool))
        divisor = self.window.divisor(share)
        loss = pairwise_ranking_loss(chosen, rejected, self.options.margin, num_tokens=divisor)
        self.scalars.loss(loss * divisor, share, len(batch.ids))
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Rescale accumulated gradients to the mean over all their pairs, before clipping."""
        self.window.close(self.trainable_parameters(), self.trainer.accumulate_grad_batches)
        self.scalars.step(optimizer)

    # Validation and test

    def on_validation_epoch_start(self) -> None:
        """Clear the scores of the previous validation."""
        self.held_out.reset()
        self.demonstrations.reset()

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Log the held-out loss over all pairs of a `PreferenceBatch`, keep its scores and return them as a `ScoredBatch`.

        A `TextBatch` of demonstrations, from the second loader, is scored for centring.
        """
        if dataloader_idx == DEMONSTRATION_SET:
            self.demonstrations.update(batch.ids, self.scores(batch).unsqueeze(1))
            return None
        scored = self._scored(batch)
        scores = scored.scores
        chosen, rejected = scores[:, BETTER].flatten(), scores[:, WORSE].flatten()
        loss = pairwise_ranking_loss(chosen, rejected, self.options.margin)
        self._log_held_out("val_loss", loss, prog_bar=True, batch_size=len(chosen))
        self.held_out.update(batch.ids, scores)
        return scored

    def on_validation_epoch_end(self) -> None:
        """Log accuracy, margin and the mean score of each grade; keep the centring that PPO uses.

        The mean is that of held-out SFT demonstrations, or of the best held-out answers if the data has no
        demonstrations. The standard deviation is that of the scores of all held-out completions. See
        `kochat.rewards.centring`.
        """
        for name, value in self.held_out.compute().items():
            self._log_held_out(name, value, prog_bar=name == "accuracy")
        with self.held_out.sync_context(), self.demonstrations.sync_context():
            _, scores = self.held_out.unique_rows()
            _, demonstrations = self.demonstrations.unique_rows()
        if len(scores):
            zero = demonstrations if len(demonstrations) else scores[:, 0]
            self.centring = Centring(zero.mean().item(), max(scores.std(correction=0).item(), 1e-6))
            self._log_held_out("reward_mean", torch.tensor(self.centring.mean, device=self.device))
            self._log_held_out("reward_std", torch.tensor(self.centring.std, device=self.device))
        self._validated_step = self.trainer.global_step

    @property
    def validated(self) -> bool:
        """Whether `centring` belongs to the current weights: ``max_steps`` may end a run some steps after the last validation."""
        return self._validated_step == self.trainer.global_step

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> Any:
        """Score a `PreferenceBatch` of held-out records as a `ScoredBatch`, or a `LabelledPairBatch` as `ScoredPairs`.

        `PreferenceScores` writes them.
        """
        if dataloader_idx == LABELLED_PAIRS:
            return ScoredPairs(batch.ids, batch.prompts, batch.answers, batch.kinds, self.scores(batch).view(-1, 2))
        return self._scored(batch)

    def _scored(self, batch: Any) -> ScoredBatch:
        """Return a preference batch's records with their scores, best to worst, and those of answers to other prompts."""
        scores = self.scores(batch)
        ranked, others = batch.by_grade(scores), batch.of_others(scores)
        return ScoredBatch(batch.ids, batch.prompts, batch.completions, ranked, batch.others, others)

    def _log_held_out(self, name: str, value: torch.Tensor, **options: Any) -> None:
        self.log(f"rm/{name}", value, sync_dist=True, add_dataloader_idx=False, **options)

    # Optimizer and export

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with a separate parameter group for the head."""
        options, role = self.options, self.role("reward_model")
        head = list(role.head.parameters())  # type: ignore[union-attr]
        known = {id(parameter) for parameter in head}
        body = [parameter for parameter in self.trainable_parameters() if id(parameter) not in known]
        head_rate = options.learning_rate if options.head_learning_rate is None else options.head_learning_rate
        groups = [{"params": body, "lr": options.learning_rate}, {"params": head, "lr": head_rate}]
        return scheduled_adamw(self.trainer, groups, options)

    def export(self, folder: Path) -> None:
        """Write a sequence classifier with one label (rank 0) or a PEFT adapter with its score head."""
        role, given = self.role("reward_model"), self.options.base
        base = base_name(self.inputs.folder("model.base", given), given)
        mean, std = (None, None) if self.centring is None else (self.centring.mean, self.centring.std)
        info = export_info(self.stage.name, base, role.base_digest, self.tokenizer, reward_mean=mean, reward_std=std)
        write_export(role, self.tokenizer, folder, info)
