"""The causal language modelling loss that pretraining and SFT share."""

from __future__ import annotations

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
from kochat.nn.unpadded import rows_of


class LanguageModelModule(StageModule):
    """Train the role ``policy`` to predict a batch's target tokens.

    Args:
        answers: how it answers prompts.
        adamw: how it is optimised.
        unpad: run the model on real tokens alone, and on prefixes that rows share once; see `UnpaddedRows`.
    """

    def __init__(self, answers: AnswerOptions, adamw: AdamWOptions, *, unpad: bool) -> None:
        super().__init__()
        self.answering = Answering(self, answers)
        self.window = TokenWindow()
        self._adamw = adamw
        self._max_new_tokens = answers.max_new_tokens
        self._unpad = unpad

    def longest_rows(self) -> dict[str, int]:
        """Return the longest training row, and the longest prompt with its answer."""
        return super().longest_rows() | self.row_lengths.with_answer(self._max_new_tokens)

    def loss(self, batch: TextBatch, num_tokens: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the mean negative log-likelihood of a batch's target tokens.

        Logits are made at the positions before targets alone.

        Args:
            batch: texts.
            num_tokens: what the sum is divided by; None takes the batch's own number of targets.

        Returns:
            The loss in nats per token, shape: (), and the number of target tokens, shape: ().
        """
        targets, policy = batch.targets, self.role("policy")
        rows = rows_of(batch.input_ids, batch.mask, unpad=self._unpad)
        logprobs = policy.logprobs(rows.states(policy, pad(targets, (0, 1))), batch.input_ids[:, 1:][targets])
        count = targets.sum()
        return -logprobs.sum() / (count.clamp(min=1) if num_tokens is None else num_tokens), count

    def training_step(self, batch: TextBatch, batch_idx: int) -> torch.Tensor:
        """Return the loss of one batch, in the end averaged over the target tokens of all ranks and accumulated batches."""
        self.tokens_read += batch.lengths.sum()
        share = count_share(self.trainer, batch.targets)
        divisor = self.window.divisor(share)
        loss, _ = self.loss(batch, divisor)
        mean = loss.detach() * divisor / share
        self.log(f"{self.stage.name}/train_loss", mean, prog_bar=True, sync_dist=True, batch_size=len(batch.ids))
        return loss

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Log the held-out loss, each token counted once."""
        loss, count = self.loss(batch)
        self.log(f"{self.stage.name}/val_loss", loss, prog_bar=True, sync_dist=True, batch_size=int(count))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradients of accumulated batches those of the mean over all their tokens, before they are clipped."""
        self.window.close(self.trainable_parameters(), self.trainer.accumulate_grad_batches)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW over what is trainable, with its schedule."""
        groups = [{"params": self.trainable_parameters(), "lr": self._adamw.learning_rate}]
        return scheduled_adamw(self.trainer, groups, self._adamw)
