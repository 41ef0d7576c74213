"""The causal language modelling loss that pretraining and SFT share."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.functional import length_mask, masked_mean, span_mask, token_logprobs
from kochat.modules.base import ChatModule


class LanguageModelModule(ChatModule):
    """Train ``policy`` to predict a batch's target tokens.

    Args:
        learning_rate: AdamW's peak rate.
        weight_decay: decoupled weight decay.
        warmup: share of the run that the rate rises over.
        max_new_tokens: length limit of answers, in tokens.
    """

    def __init__(self, learning_rate: float, weight_decay: float, warmup: float, max_new_tokens: int) -> None:
        super().__init__(max_new_tokens)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup

    def loss(self, batch: dict[str, Any], num_tokens: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (mean nats per target token, how many there are).

        Targets are the completion and its EOS (the whole text when ``prompt_lengths`` is 0). Logits are made at the positions
        before targets alone.
        """
        input_ids, lengths = batch["input_ids"], batch["lengths"]
        width = input_ids.shape[1]
        targets = span_mask(batch["prompt_lengths"], lengths, width)[:, 1:]
        policy = self.role("policy")
        hidden = policy.hidden(input_ids, length_mask(lengths, width))[:, :-1]
        logits = policy.project(hidden[targets]).unsqueeze(0)
        logprobs = token_logprobs(logits, input_ids[:, 1:][targets].unsqueeze(0))
        return -masked_mean(logprobs, torch.ones_like(logprobs, dtype=torch.bool), num_tokens=num_tokens), targets.sum()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Return the loss of one batch, averaged over the target tokens of all ranks."""
        targets = span_mask(batch["prompt_lengths"], batch["lengths"], batch["input_ids"].shape[1])[:, 1:]
        loss, _ = self.loss(batch, self.token_share(targets))
        self.log(f"{self.stage}/train_loss", loss, prog_bar=True, sync_dist=True, batch_size=len(batch["ids"]))
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Log the held-out loss, each token counted once."""
        loss, count = self.loss(batch)
        self.log(f"{self.stage}/val_loss", loss, prog_bar=True, sync_dist=True, batch_size=int(count))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW over what is trainable."""
        groups = [{"params": self.trainable_parameters(), "lr": self.learning_rate}]
        return self.decayed_adamw(groups, self.weight_decay, self.warmup)
