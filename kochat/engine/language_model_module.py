"""The causal language modelling loss that pretraining and SFT share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn.functional import pad

from kochat.data.batches import TextBatch
from kochat.engine.answering import Answering
from kochat.engine.common_options import AdamWOptions, AnswerOptions
from kochat.engine.optimizers import scheduled_adamw
from kochat.engine.ranks import count_share
from kochat.engine.stage_module import StageModule
from kochat.engine.token_means import TokenWindow
from kochat.engine.training_scalars import TrainingScalars
from kochat.nn.unpadded import rows_of


class LanguageModelModule(StageModule):
    """Train the role ``policy`` to predict a batch's target tokens.

    Args:
        answers: options of answering.
        adamw: options of the optimizer.
        unpad: run the model without padding, and only once on a prefix that rows share; see `UnpaddedRows`.
        rates: a name for the learning rate of each of the optimizer's parameter groups, for the log.
    """

    def __init__(
        self,
        answers: AnswerOptions,
        adamw: AdamWOptions,
        *,
        unpad: bool,
        rates: Sequence[str] = ("learning_rate",),
    ) -> None:
        super().__init__()
        self.answering = Answering(self, answers)
        self.window = TokenWindow()
        self.scalars = TrainingScalars(self, rates)
        self._adamw = adamw
        self._max_new_tokens = answers.max_new_tokens
        self._unpad = unpad

    def longest_rows(self) -> dict[str, int]:
        """Return the lengths, in tokens, of the longest training row and of the longest prompt with its answer."""
        return super().longest_rows() | self.row_lengths.with_answer(self._max_new_tokens)

    def loss(self, batch: TextBatch, num_tokens: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the mean negative log-likelihood of a batch's target tokens.

        Logits are computed only at the positions before target tokens.

        Args:
            batch: texts.
            num_tokens: divisor of the sum; None takes the number of target tokens of the batch.

        Returns:
            The loss in nats per token, shape: (), and the number of target tokens, shape: ().
        """
        targets, policy = batch.targets, self.role("policy")
        rows = rows_of(batch.input_ids, batch.mask, unpad=self._unpad)
        logprobs = policy.logprobs(rows.states(policy, pad(targets, (0, 1))), batch.input_ids[:, 1:][targets])
        count = targets.sum()
        return -logprobs.sum() / (count.clamp(min=1) if num_tokens is None else num_tokens), count

    def on_train_start(self) -> None:
        """Begin the means of the logged scalars anew."""
        self.scalars.reset()

    def training_step(self, batch: TextBatch, batch_idx: int) -> torch.Tensor:
        """Return the loss of one batch, scaled so that the gradient is that of the mean over all target tokens of all ranks and batches."""
        self.tokens_read += batch.lengths.sum()
        share = count_share(self.trainer, batch.targets)
        divisor = self.window.divisor(share)
        loss, _ = self.loss(batch, divisor)
        self.scalars.loss(loss * divisor, share, len(batch.ids))
        return loss

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Log the held-out loss, averaged over tokens."""
        loss, count = self.loss(batch)
        self.log(f"{self.stage.name}/val_loss", loss, prog_bar=True, sync_dist=True, batch_size=int(count))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Rescale accumulated gradients to the mean over all their tokens, before clipping."""
        self.window.close(self.trainable_parameters(), self.trainer.accumulate_grad_batches)
        self.scalars.step(optimizer)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW over the trainable parameters, with its schedule."""
        groups = [{"params": self.trainable_parameters(), "lr": self._adamw.learning_rate}]
        return scheduled_adamw(self.trainer, groups, self._adamw)
