"""The causal language modelling loss that pretraining and SFT share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch.nn.functional import pad

from kochat.engine.stage_module import ChatModule
from kochat.functional import length_mask, span_mask
from kochat.nn.unpadded import rows_of


class LanguageModelModule(ChatModule):
    """Train ``policy`` to predict a batch's target tokens.

    Args:
        learning_rate: AdamW's peak rate.
        weight_decay: decoupled weight decay.
        warmup: share of the run that the rate rises over.
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer.
        packing: run the model on real tokens alone, and on prefixes that examples share once; see `rows_of`.
    """

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float,
        warmup: float,
        max_new_tokens: int,
        stop_tokens: Sequence[str] | None = None,
        packing: bool = True,
    ) -> None:
        super().__init__(max_new_tokens, stop_tokens)
        self.packing = packing
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup

    def targets(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return (b, t - 1) bool, True where the next token carries loss: completion and EOS, or the whole text."""
        return span_mask(batch["prompt_lengths"], batch["lengths"], batch["input_ids"].shape[1])[:, 1:]

    def loss(self, batch: dict[str, Any], num_tokens: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (mean nats per target token, how many there are).

        Logits are made at the positions before targets alone.
        """
        input_ids, targets, policy = batch["input_ids"], self.targets(batch), self.role("policy")
        rows = rows_of(input_ids, length_mask(batch["lengths"], input_ids.shape[1]), unpad=self.packing)
        logprobs = policy.logprobs(rows.states(policy, pad(targets, (0, 1))), input_ids[:, 1:][targets])
        count = targets.sum()
        return -logprobs.sum() / (count.clamp(min=1) if num_tokens is None else num_tokens), count

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Return the loss of one batch, in the end averaged over the target tokens of all ranks and accumulated batches."""
        self.tokens_read += batch["lengths"].sum()
        share = self.token_share(self.targets(batch))
        divisor = self.window.divisor(share)
        loss, _ = self.loss(batch, divisor)
        mean = loss.detach() * divisor / share
        self.log(f"{self.stage}/train_loss", mean, prog_bar=True, sync_dist=True, batch_size=len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Log the held-out loss, each token counted once."""
        loss, count = self.loss(batch)
        self.log(f"{self.stage}/val_loss", loss, prog_bar=True, sync_dist=True, batch_size=int(count))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW over what is trainable."""
        groups = [{"params": self.trainable_parameters(), "lr": self.learning_rate}]
        return self.decayed_adamw(groups, self.weight_decay, self.warmup)
