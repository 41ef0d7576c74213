"""Make roles: new ones on a base model (SFT, reward model), and trained ones from exports (PPO, evaluation, chat)."""

from __future__ import annotations

from pathlib import Path

import torch
from peft import LoraConfig
from safetensors import safe_open
from torch import nn

from kochat.errors import UserError
from kochat.nn.adapters import LoraSettings, add_adapter, load_adapter_state, lora_config
from kochat.nn.backbones import adapter_base, backbone_of, is_adapter, load_base, weights_digest
from kochat.nn.exports import ADAPTER_WEIGHTS, SCORE_KEY, read_adapter_weights, read_info
from kochat.nn.heads import ScalarHead
from kochat.nn.hosts import HostState
from kochat.nn.hub import base_folder
from kochat.nn.roles import Role


def new_role(name: str, base: Path, lora: LoraSettings, *, value: bool = False) -> Role:
    """Make a trainable role on a base model: all weights at rank 0, else an adapter; with a new scalar head if ``value``."""
    host: nn.Module = load_base(base, "lm")
    head = ScalarHead(host.config.hidden_size) if value else None  # type: ignore[union-attr, arg-type]
    if lora.rank == 0:
        host = backbone_of(host) if value else host
        return Role(name, host.requires_grad_(True), None, head)
    digest = weights_digest(host)
    host = add_adapter(host, name, lora_config(host, lora))  # type: ignore[arg-type]
    return Role(name, freeze_base(host), name, head, digest)


def freeze_base(host: nn.Module) -> nn.Module:
    """Freeze all weights of ``host`` except those of adapters."""
    for key, parameter in host.named_parameters():
        parameter.requires_grad_(".lora_A." in key or ".lora_B." in key)
    return host


class HostPool:
    """The models in memory; roles whose adapters have the same base share it.

    Two bases are the same if the digests of their weights are equal; paths are not compared.
    """

    def __init__(self) -> None:
        self._by_digest: dict[str, HostState] = {}

    def load(self, name: str, folder: Path, *, value: bool = False) -> Role:
        """Load a trained role from an export (or any Hugging Face folder).

        Args:
            name: the role, and its adapter's name.
            folder: a whole model or a PEFT adapter.
            value: expect a scalar head.

        Raises:
            UserError: the expected scalar head is missing, the base of an adapter is missing or was changed, or weights
                do not fit.
        """
        if is_adapter(folder):
            return self._load_adapter(name, folder, value=value)
        return _load_whole_value(name, folder) if value else Role(name, load_base(folder, "lm"))

    def _load_adapter(self, name: str, folder: Path, *, value: bool) -> Role:
        state = read_adapter_weights(folder)
        score = state.pop(SCORE_KEY, None)
        if value and score is None:
            raise UserError(f"{folder}: the adapter has no score head; give a reward model's export")
        if not value and score is not None:
            raise UserError(f"{folder}: is a reward model, which answers nothing; give an SFT or PPO run's export")
        config = LoraConfig.from_pretrained(str(folder))
        _check_plain_lora(folder, config)
        digest, host = self._host_of(folder)
        config.task_type, config.modules_to_save, config.inference_mode = "CAUSAL_LM", None, False
        host = add_adapter(host, name, config)  # type: ignore[arg-type]
        load_adapter_state(host, name, state, str(folder / ADAPTER_WEIGHTS))
        host.eval()  # PEFT adds adapters in training mode, so an adapter's dropout would stay on in scoring and chat
        shared = self._by_digest.setdefault(digest, HostState(host))
        head = None
        if value:
            head = ScalarHead(score.shape[1])  # type: ignore[union-attr]
            head.weight.data.copy_(score)  # type: ignore[arg-type]
        return Role(name, host, name, head, digest, shared)

    def _host_of(self, folder: Path) -> tuple[str, nn.Module]:
        """Return (digest, model) of an adapter's base; use the one in memory if it is there."""
        info = read_info(folder)
        if info is not None and info.base_digest in self._by_digest:
            return info.base_digest, self._by_digest[info.base_digest].model
        base = adapter_base(folder)
        model = load_base(base_folder(f"{folder}: base_model_name_or_path", base), "lm")
        digest = weights_digest(model)
        if info is not None and info.base_digest != digest:
            raise UserError(
                f"{folder}: the adapter was trained on a base with digest {info.base_digest}, but {base} has {digest}; train the "
                f"adapter again or restore its base"
            )
        return digest, self._by_digest[digest].model if digest in self._by_digest else model


def _load_whole_value(name: str, folder: Path) -> Role:
    """Load a fully trained reward model: its backbone, and its score head as the head of the role."""
    model = load_base(folder, "value")
    head = ScalarHead(model.config.hidden_size)
    head.weight.data.copy_(_whole_model_score(folder))
    return Role(name, backbone_of(model), None, head)


def _check_plain_lora(folder: Path, config: LoraConfig) -> None:
    """Refuse adapters from other tools with settings that kochat does not read: patterns, and ranks or layers of their own."""
    if isinstance(config.target_modules, str):
        raise UserError(
            f"{folder}: adapter_config.json's target_modules is the pattern {config.target_modules!r}; kochat reads lists of layer "
            "names, so merge the adapter into its base and give that"
        )
    for name in ("layers_to_transform", "rank_pattern", "alpha_pattern", "target_parameters"):
        if getattr(config, name, None):
            raise UserError(
                f"{folder}: adapter_config.json sets {name}, which kochat does not read; merge the adapter into its base and give that"
            )


def _whole_model_score(folder: Path) -> torch.Tensor:
    """Read the score head of a fully trained reward model."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as weights:
            if "score.weight" in weights.keys():  # noqa: SIM118 - a safe_open cannot be iterated
                return weights.get_tensor("score.weight")
    raise UserError(f"{folder}: no score head in its weights; give a reward model's export")
