"""Attach LoRA adapters (Hu et al. 2021, arXiv:2106.09685), several on one base, and switch between them.

Rank r adds ``(alpha / r) * B A`` to each target weight. ``alpha = alpha_over_rank * rank``, so that all ranks have the
same scale and a comparison of ranks changes only the rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from kochat.errors import UserError
from kochat.option_fields import Options, positive, share, whole


@dataclass
class LoraSettings(Options):
    """Settings of a LoRA adapter.

    Args:
        rank: inner dimension; 0 means full fine-tuning (no adapter).
        alpha_over_rank: the scale alpha / rank of the adapter's output.
        targets: names, or endings of names, of the layers to wrap. GPT-2's are Conv1D layers: c_attn, c_proj, c_fc.
        dropout: dropout on the adapter's input.
    """

    rank: int = whole(0, "is negative; 0 trains all weights, 8 or 16 an adapter")
    alpha_over_rank: float = positive(2.0)
    targets: list[str] = field(default_factory=lambda: ["c_attn", "c_proj", "c_fc"])
    dropout: float = share(0.0)

    @classmethod
    def group(cls) -> str:
        """Return the key under which a config holds an adapter's settings."""
        return "model.lora"


def matching_layers(model: nn.Module, targets: list[str]) -> dict[str, nn.Module]:
    """Find the linear layers (nn.Linear, GPT-2's Conv1D) whose name is, or ends in, one of ``targets``.

    Raises:
        UserError: a target matches no layer; the message lists the existing names.
    """
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, (nn.Linear, Conv1D))}
    for target in targets:
        if not any(name == target or name.endswith("." + target) for name in layers):
            available = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in layers}))
            raise UserError(
                f"model.lora.targets: {target!r} matches no linear layer of this model; it has: {available}"
            )
    return {n: layer for n, layer in layers.items() if any(n == t or n.endswith("." + t) for t in targets)}


def lora_parameter_count(layers: dict[str, nn.Module], rank: int) -> int:
    """Return the number of adapter parameters: the sum over layers of rank * (inputs + outputs)."""
    shapes = [cast(torch.Tensor, layer.weight).shape for layer in layers.values()]
    return sum(rank * (first + second) for first, second in shapes)


def lora_config(model: nn.Module, settings: LoraSettings, task_type: str = "CAUSAL_LM") -> LoraConfig:
    """Build PEFT's config for ``settings`` on ``model``."""
    layers = matching_layers(model, settings.targets)
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha_over_rank * settings.rank,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=sorted(settings.targets),
        fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in layers.values()),
        task_type=task_type,
    )


def add_adapter(model: PreTrainedModel | PeftModel, name: str, config: LoraConfig) -> PeftModel:
    """Add an adapter under ``name`` and check that every target layer has it.

    Raises:
        UserError: a target matches no layer.
        RuntimeError: the number of attached parameters differs from `lora_parameter_count`.
    """
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    layers = _original_layers(base, list(config.target_modules))  # type: ignore[arg-type]
    if isinstance(model, PeftModel):
        model.add_adapter(name, config)
    else:
        model = get_peft_model(model, config, adapter_name=name, autocast_adapter_dtype=False)
    expected = lora_parameter_count(layers, config.r)
    attached = sum(p.numel() for p in adapter_parameters(model, name))
    if attached != expected:
        raise RuntimeError(f"adapter {name!r} has {attached} parameters where {expected} were meant")
    return model


def _original_layers(base: nn.Module, targets: list[str]) -> dict[str, nn.Module]:
    """Find the target layers of a model that may have adapters already; return the layers inside the LoRA wrappers."""
    wrapped = {n: layer.base_layer for n, layer in base.named_modules() if isinstance(layer, LoraLayer)}
    chosen = {n: layer for n, layer in wrapped.items() if any(n.endswith("." + t) or n == t for t in targets)}
    return chosen or matching_layers(base, targets)


def adapter_parameters(model: nn.Module, name: str) -> list[nn.Parameter]:
    """List the parameters of the adapter ``name``, in module order."""
    return [p for key, p in model.named_parameters() if f".lora_A.{name}." in key or f".lora_B.{name}." in key]


class AdapterSwitch:
    """Activate one of a model's adapters.

    PEFT's ``set_adapter`` also changes ``requires_grad``, which would freeze the policy whenever the critic runs. This
    class restores ``requires_grad`` of every parameter.

    Args:
        model: the model; adapters may still be added to it.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._adapters: tuple[str, ...] = ()
        self._layers: list[LoraLayer] = []
        self._parameters: list[nn.Parameter] = []

    @contextmanager
    def active(self, name: str) -> Iterator[None]:
        """Run the block with the adapter ``name`` active; afterwards, also after an error, restore the active adapters.

        A nested block with the same adapter does nothing, so decoding switches once and not at every token.
        """
        self._find_layers()
        before = [layer.active_adapters for layer in self._layers]
        if all(active == [name] for active in before):
            yield
            return
        try:
            self._set([[name]] * len(before))
            yield
        finally:
            self._set(before)

    def _set(self, adapters: list[list[str]]) -> None:
        """Give each layer its active adapters."""
        trained = [parameter.requires_grad for parameter in self._parameters]
        for layer, names in zip(self._layers, adapters, strict=True):
            layer.set_adapter(names)
        for parameter, its_own in zip(self._parameters, trained, strict=True):
            parameter.requires_grad_(its_own)

    def _find_layers(self) -> None:
        """List the layers with adapters and their parameters; repeated only when an adapter was added, since it is slow."""
        adapters = tuple(self._model.peft_config)  # type: ignore[arg-type]
        if adapters != self._adapters:
            self._adapters = adapters
            self._layers = [layer for layer in self._model.modules() if isinstance(layer, LoraLayer)]
            groups = [getattr(layer, name) for layer in self._layers for name in layer.adapter_layer_names]
            self._parameters = [parameter for group in groups for parameter in group.parameters()]


def adapter_state(model: PeftModel, name: str) -> dict[str, torch.Tensor]:
    """Return the adapter's weights under PEFT's file names (``base_model.model.....lora_A.weight``)."""
    state = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return {key: value.detach().cpu().clone().contiguous() for key, value in state.items()}


def load_adapter_state(model: PeftModel, name: str, state: dict[str, torch.Tensor], where: str) -> None:
    """Copy weights saved by `adapter_state` into the adapter ``name``.

    Raises:
        UserError: keys or shapes differ; nothing is loaded then.
    """
    parameters = {}
    for key, parameter in model.named_parameters():
        if f".lora_A.{name}." in key or f".lora_B.{name}." in key:
            parameters[key.replace(f".{name}.", ".")] = parameter
    if parameters.keys() != state.keys():
        odd = sorted(parameters.keys() ^ state.keys())
        raise UserError(f"{where}: the adapter does not fit the model; {len(odd)} keys differ, {odd[0]!r} first")
    for key, parameter in parameters.items():
        if parameter.shape != state[key].shape:
            raise UserError(
                f"{where}: {key} has shape {tuple(state[key].shape)}, the model wants {tuple(parameter.shape)}"
            )
        parameter.data.copy_(state[key])
