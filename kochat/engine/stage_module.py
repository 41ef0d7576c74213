"""What all stages share: inputs, tokenizer, answering, optimiser, checkpoints of what is trained, export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from transformers import PreTrainedTokenizerFast

from kochat.engine.inputs import model_folder
from kochat.engine.optimizers import adamw
from kochat.engine.token_means import TokenWindow
from kochat.errors import UserError
from kochat.functional import length_mask
from kochat.nn.backbones import adapter_base, backbone_of, is_adapter
from kochat.nn.decoding import GenerationSettings, decode, generate
from kochat.nn.exports import read_info
from kochat.nn.precision import AUTOCAST, cast_frozen_matrices
from kochat.nn.role_loading import HostPool
from kochat.nn.roles import Role
from kochat.nn.tokenizers import check_tokenizer, load_tokenizer, token_ids


class ChatModule(L.LightningModule):
    """Base of all stages.

    A stage loads nothing when it is constructed: `sources` names its inputs, so that missing ones are listed before any weight is
    touched, and `configure_model` loads them.

    Args:
        max_new_tokens: length limit of answers, in tokens.
        stop_tokens: tokens besides EOS that end an answer; each must be one token of the tokenizer's. None takes those of the
            model that the stage starts from.
    """

    stage: ClassVar[str] = ""

    def __init__(self, max_new_tokens: int = 128, stop_tokens: Sequence[str] | None = None) -> None:
        super().__init__()
        if max_new_tokens < 1:
            raise UserError(f"model.max_new_tokens={max_new_tokens} leaves no answer; give 1 or more")
        self.max_new_tokens = max_new_tokens
        self.given_stop_tokens = None if stop_tokens is None else tuple(stop_tokens)
        self._stop_ids: tuple[int, ...] | None = None
        self.window = TokenWindow()
        self.tokens_read: int | torch.Tensor = (
            0  # by this rank, in training; a tensor, so that no step waits for the device
        )
        self.trained_export: Path | None = None
        self._tokenizer: PreTrainedTokenizerFast | None = None
        self._roles: dict[str, Role] = {}
        self._cast_for = ""

    def setup(self, stage: str) -> None:
        """Refuse another precision than a fit before in this process: frozen weights were cast for that one."""
        now = str(self.trainer.precision)
        if self._cast_for in AUTOCAST and now != self._cast_for:
            raise UserError(
                f"trainer.precision={now}: this module was fitted in {self._cast_for}; make it anew from its export"
            )

    # Inputs

    def sources(self) -> dict[str, str]:
        """Name the models that this stage starts from: config field -> directory, run name or hub id."""
        raise NotImplementedError

    def tokenizer_folder(self) -> Path:
        """Return the folder whose tokenizer this stage uses: its first input's."""
        field, value = next(iter(self.sources().items()))
        return model_folder(field, value)

    @property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Return the tokenizer of this stage's input, loaded on first use."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.trained_export or self.tokenizer_folder())
        return self._tokenizer

    # Roles

    def adopt(self, role: Role) -> Role:
        """Register a role's modules with Lightning (each shared host once) and check that its tokenizer fits."""
        self._roles[role.name] = role
        if not any(module is role.host for module in self.children()):
            self.add_module(f"{role.name}_host", role.host)
        if role.head is not None:
            self.add_module(f"{role.name}_head", role.head)
        rows = backbone_of(role.host).get_input_embeddings().weight.shape[0]  # type: ignore[operator]
        check_tokenizer(self.tokenizer, f"{self.stage} {role.name}", rows)
        return role

    def role(self, name: str) -> Role:
        """Return a role that `configure_model` has loaded."""
        return self._roles[name]

    def load_trained(self, name: str, value: bool = False) -> bool:
        """Load the role from the finished export that `test`, `validate` or `predict` asks for; tell whether there was one."""
        if self.trained_export is None:
            return False
        self.adopt(HostPool().load(name, self.trained_export, value=value))
        self.requires_grad_(False)
        return True

    def on_fit_start(self) -> None:
        """Stop before the first step where the longest row would not fit a model's positions; fit frozen weights to the precision."""
        data = getattr(self.trainer, "datamodule", None)
        for field, length in self.longest_rows(data).items():
            for role in self._roles.values():
                room = getattr(backbone_of(role.host).config, "max_position_embeddings", None)
                if room is not None and length > room:
                    raise UserError(
                        f"{field}: {length} tokens are more than the {room} positions of {role.name}; lower it"
                    )
        for role in self._roles.values():
            cast_frozen_matrices(role.host, self.trainer.precision)
        self._cast_for = str(self.trainer.precision)

    def longest_rows(self, data: Any) -> dict[str, int]:
        """Return the longest rows that the settings allow, in tokens, by the fields that decide them."""
        rows = {}
        if (longest := getattr(data, "max_length", None)) is not None:
            rows["data.max_length"] = longest
        return rows | self.longest_answer(data)

    def longest_answer(self, data: Any, more: int = 0) -> dict[str, int]:
        """Return the longest prompt with its answer and ``more`` tokens, where the data says how long prompts may be."""
        prompt = getattr(data, "max_prompt_length", None)
        field = "data.max_prompt_length + model.max_new_tokens" + (f" + {more}" if more else "")
        return {} if prompt is None else {field: prompt + self.max_new_tokens + more}

    def trainable_parameters(self) -> list[torch.nn.Parameter]:
        """List the parameters that are trained."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    # Sums over ranks

    def global_sum(self, x: torch.Tensor) -> torch.Tensor:
        """Add ``x`` over all ranks."""
        return self.trainer.strategy.reduce(x.detach().clone().float(), reduce_op="sum")

    def token_share(self, mask: torch.Tensor) -> torch.Tensor:
        """Return the global count of ``mask`` divided by the number of ranks.

        DDP averages gradients over ranks, so a loss divided by this number has the gradient of the mean over all tokens of all
        ranks, not that of a mean of means.
        """
        return self.global_sum(mask.sum()).clamp(min=1) / self.trainer.world_size

    def all_tokens_read(self) -> int:
        """Return the real tokens that all ranks have trained on, each as often as it was read; every rank must ask."""
        own = torch.as_tensor(self.tokens_read, device=self.trainer.strategy.root_device)
        return int(self.trainer.strategy.reduce(own, reduce_op="sum"))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradients of accumulated batches those of the mean over all their tokens, before they are clipped."""
        self.window.close(self.trainable_parameters(), self.trainer.accumulate_grad_batches)

    # Answers

    @property
    def stop_tokens(self) -> tuple[str, ...]:
        """Return the tokens besides EOS that end an answer: the config's, else those of the export that this stage starts from."""
        if self.given_stop_tokens is not None:
            return self.given_stop_tokens
        folder = self.trained_export or (self.tokenizer_folder() if self.sources() else None)
        info = read_info(folder) if folder is not None else None
        return info.stop_tokens if info is not None else ()

    def generation_settings(self, temperature: float = 0.0) -> GenerationSettings:
        """Return how this stage draws answers; 0 is greedy."""
        eos, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        if self._stop_ids is None:  # every batch asks; the export's description and the vocabulary are read once
            self._stop_ids = (eos, *token_ids(self.tokenizer, self.stop_tokens, "model.stop_tokens"))
        return GenerationSettings(self.max_new_tokens, temperature, self._stop_ids, eos if pad is None else pad)

    def prompt_mask(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return the (b, p) bool mask of a left-padded prompt batch."""
        return length_mask(batch["lengths"], batch["input_ids"].shape[1]).flip(1)

    @torch.no_grad()
    def answer(self, batch: dict[str, Any]) -> list[str]:
        """Answer a prompt batch greedily."""
        with self.trainer.precision_plugin.forward_context():
            result = generate(
                self.role("policy"), batch["input_ids"], self.prompt_mask(batch), self.generation_settings()
            )
        return decode(self.tokenizer, result.responses, result.mask)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Answer the test prompts; `AnswerEvaluation` scores and writes them."""
        texts = {key: batch[key] for key in ("ids", "prompts", "references", "kinds")}
        return texts | {"answers": self.answer(batch)}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        """Answer the prompts, as `test_step` does; the command line writes them."""
        return ChatModule.test_step(self, batch, batch_idx)

    # Optimiser

    def decayed_adamw(
        self, groups: list[dict[str, Any]], weight_decay: float, warmup: float
    ) -> OptimizerLRSchedulerConfig:
        """Build AdamW with linear warm-up over the share ``warmup`` of the run, then cosine decay to a tenth."""
        fused = "mixed" not in str(self.trainer.precision)
        return self.scheduled(adamw(groups, weight_decay, fused), warmup)

    def scheduled(self, optimizer: torch.optim.Optimizer, warmup: float) -> OptimizerLRSchedulerConfig:
        """Give an optimizer linear warm-up and cosine decay over the run's steps."""
        total = max(1, self.planned_steps())
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, total, warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def planned_steps(self) -> int:
        """Return how many optimizer steps the run will take.

        Raises:
            UserError: when only time bounds it: a schedule needs to know its end.
        """
        steps = self.trainer.estimated_stepping_batches
        if math.isinf(steps):
            raise UserError(
                "trainer.max_epochs=-1 leaves the schedule without an end; give trainer.max_steps or max_epochs too"
            )
        return int(steps)

    # Checkpoints and export

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep only what is trained: frozen parts are loaded from their sources again."""
        names = self._trained_names()
        checkpoint["state_dict"] = {key: value for key, value in checkpoint["state_dict"].items() if key in names}

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Load a checkpoint of what is trained; refuse it when a single key is missing or strange."""
        odd = sorted(self._trained_names() ^ set(state_dict))
        if strict and odd:
            raise UserError(f"the checkpoint does not fit this run's config: {len(odd)} keys differ, {odd[0]!r} first")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def _trained_names(self) -> set[str]:
        trained = {id(parameter) for parameter in self.trainable_parameters()}
        return {name for name, parameter in self.named_parameters(remove_duplicate=False) if id(parameter) in trained}

    def export(self, folder: Path) -> None:
        """Write what this stage has trained as a Hugging Face folder."""
        raise NotImplementedError


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Return the factor on the learning rate: 0 -> 1 over ``warmup * total`` steps, then a half cosine down to 0.1."""
    warm_steps = max(1, round(warmup * total))
    if step < warm_steps:
        return (step + 1) / warm_steps
    progress = min(1.0, (step - warm_steps) / max(1, total - warm_steps))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * progress))


def base_of(folder: Path, given: str) -> str:
    """Return what an export names as its base: an adapter's own base, or where the whole model came from."""
    if is_adapter(folder):
        return adapter_base(folder)
    return str(folder.resolve()) if Path(given).exists() or "/" not in given else given
