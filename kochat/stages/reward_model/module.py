"""The reward model: score answers so that better ones score higher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from kochat.config_types import ModelSource
from kochat.engine.inputs import model_folder
from kochat.engine.stage_module import ChatModule, base_of
from kochat.functional import length_mask, pairwise_ranking_loss
from kochat.metrics.demonstrations import DemonstrationScores
from kochat.metrics.pair_accuracy import PairAccuracy
from kochat.nn.adapters import LoraSettings
from kochat.nn.exports import export_info, write_export
from kochat.nn.role_loading import new_role
from kochat.nn.rows import last_scores
from kochat.nn.unpadded import rows_of


class RewardModule(ChatModule):
    """Train a scalar head on a base model with the pairwise ranking loss (Ouyang et al. 2022, eq. 1).

    The score of an answer is read at its last real token, EOS. The three completions of a record are encoded once, their
    prompt too, and all three ordered pairs train on those scores.

    Args:
        base: the base language model: a directory, a run name or a hub id.
        lora: the adapter; rank 0 trains all weights. The head is always trained.
        margin: by how much a better answer's score must lead before its loss falls under log 2.
        learning_rate: AdamW's peak rate.
        head_learning_rate: the head's own peak rate, which starts from random weights; null takes learning_rate.
        weight_decay: decoupled weight decay.
        warmup: share of the run that the rate rises over.
        packing: run the model on real tokens alone, and once on the prompt that a record's completions share; false pads every
            completion to the longest. Loss and gradient are the same (with LoRA's dropout a shared prefix has one mask).
    """

    stage: ClassVar[str] = "rm"

    def __init__(
        self,
        base: ModelSource = ModelSource("skt/kogpt2-base-v2"),  # noqa: B008 - a str, never changed
        lora: LoraSettings = LoraSettings(),  # noqa: B008 - jsonargparse shows a dataclass default; it is never changed
        margin: float = 0.0,
        learning_rate: float = 5e-5,
        head_learning_rate: float | None = None,
        weight_decay: float = 0.0,
        warmup: float = 0.03,
        packing: bool = True,
    ) -> None:
        super().__init__()
        self.packing = packing
        self.base = base
        self.lora = lora
        self.margin = margin
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate or learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self.held_out = PairAccuracy()
        self.demonstrations = DemonstrationScores()
        self.reward_mean: float | None = None
        self.reward_std: float | None = None
        self.measured_at = -1  # step; max_steps may end a run after it, and PPO centres its reward by these figures

    def sources(self) -> dict[str, str]:
        """Name the base model."""
        return {"model.base": self.base}

    def configure_model(self) -> None:
        """Load the base, put adapter and head on it."""
        if self._roles or self.load_trained("reward_model", value=True):
            return
        self.adopt(new_role("reward_model", model_folder("model.base", self.base), self.lora, value=True))

    def longest_answer(self, data: Any, more: int = 0) -> dict[str, int]:
        """Return nothing: a reward model writes no answers."""
        return {}

    def scores(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return the raw score of each completion of a preference batch, (n,) float32."""
        mask = length_mask(batch["lengths"], batch["input_ids"].shape[1])
        return last_scores(self.role("reward_model"), rows_of(batch["input_ids"], mask, unpad=self.packing))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Return the ranking loss of one batch, in the end averaged over the pairs of all ranks and accumulated batches."""
        self.tokens_read += batch["lengths"].sum()
        chosen, rejected = self.scores(batch)[batch["pairs"]].unbind(1)
        share = self.token_share(torch.ones_like(chosen, dtype=torch.bool))
        divisor = self.window.divisor(share)
        loss = pairwise_ranking_loss(chosen, rejected, self.margin, num_tokens=divisor)
        mean = loss.detach() * divisor / share
        self.log("rm/train_loss", mean, prog_bar=True, sync_dist=True, batch_size=len(batch["ids"]))
        return loss

    def graded_scores(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return the scores of each record, (records, 3): best, middle, worst."""
        order = (batch["row"] * 3 + batch["grades"]).argsort()
        return self.scores(batch)[order].view(-1, 3)

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the validation before."""
        self.held_out.reset()
        self.demonstrations.reset()

    def validation_step(self, batch: dict[str, Any], batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any] | None:
        """Log the held-out loss over all ordered pairs and keep the scores; those of SFT demonstrations (index 1) for centring."""
        if dataloader_idx == 1:
            self.demonstrations.update(batch["ids"], self.scores(batch).unsqueeze(1))
            return None
        scores = self.graded_scores(batch)
        chosen, rejected = scores[:, [0, 0, 1]].flatten(), scores[:, [1, 2, 2]].flatten()
        loss = pairwise_ranking_loss(chosen, rejected, self.margin)
        self._log_held_out("val_loss", loss, prog_bar=True, batch_size=len(chosen))
        self.held_out.update(batch["ids"], scores)
        return {key: batch.get(key) for key in ("ids", "prompts", "completions")} | {"scores": scores}

    def on_validation_epoch_end(self) -> None:
        """Log accuracy, margin and the mean score of each grade; keep what PPO centres its reward by.

        That is the mean score of held-out SFT demonstrations (of the best held-out answers where the data has none) and the
        spread of all held-out completions' scores. A ranking loss leaves a constant free; with it fixed, 0 means "as good as a
        demonstration" (Stiennon et al. 2020, arXiv:2009.01325, section 3.4).
        """
        for name, value in self.held_out.compute().items():
            self._log_held_out(name, value, prog_bar=name == "accuracy")
        with self.held_out.sync_context(), self.demonstrations.sync_context():
            _, scores = self.held_out.unique_rows()
            _, demonstrations = self.demonstrations.unique_rows()
        if len(scores):
            centre = demonstrations if len(demonstrations) else scores[:, 0]
            self.reward_mean = centre.mean().item()
            self.reward_std = max(scores.std(correction=0).item(), 1e-6)
            self._log_held_out("reward_mean", torch.tensor(self.reward_mean, device=self.device))
            self._log_held_out("reward_std", torch.tensor(self.reward_std, device=self.device))
        self.measured_at = self.trainer.global_step

    def _log_held_out(self, name: str, value: torch.Tensor, **options: Any) -> None:
        self.log(f"rm/{name}", value, sync_dist=True, add_dataloader_idx=False, **options)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Score held-out records, completions in order from best to worst; `PreferenceScores` writes them."""
        texts = {key: batch[key] for key in ("ids", "prompts", "completions")}
        return texts | {"scores": self.graded_scores(batch)}

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW with a group for the head."""
        role = self.role("reward_model")
        head = list(role.head.parameters())  # type: ignore[union-attr]
        known = {id(parameter) for parameter in head}
        body = [parameter for parameter in self.trainable_parameters() if id(parameter) not in known]
        groups = [{"params": body, "lr": self.learning_rate}, {"params": head, "lr": self.head_learning_rate}]
        return self.decayed_adamw(groups, self.weight_decay, self.warmup)

    def export(self, folder: Path) -> None:
        """Write a sequence classifier with one label (rank 0) or a PEFT adapter with its score head."""
        role = self.role("reward_model")
        base = base_of(model_folder("model.base", self.base), self.base)
        statistics = {"reward_mean": self.reward_mean, "reward_std": self.reward_std}
        write_export(
            role, self.tokenizer, folder, export_info(self.stage, base, role.base_digest, self.tokenizer, **statistics)
        )
