"""Load base models from folders in the hub's layout: safetensors or ``.bin`` (pickled code is never run)."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PretrainedConfig,
    PreTrainedModel,
)

from kochat.errors import UserError
from kochat.nn.attention import give_rows_attention

Kind = Literal["lm", "value"]
Config = TypeVar("Config", bound=PretrainedConfig)
ADAPTER_CONFIG = "adapter_config.json"
_TANH_GELU, _FUSED_GELU = (
    "gelu_new",
    "gelu_pytorch_tanh",
)  # the same function: as seven operations, and as one torch kernel
_ACTIVATION_KEYS = ("activation_function", "hidden_act")


def is_adapter(folder: Path) -> bool:
    """Tell whether a folder holds a PEFT adapter instead of a whole model."""
    return (folder / ADAPTER_CONFIG).is_file()


def load_config(folder: Path) -> PretrainedConfig:
    """Read a model folder's configuration with every dropout set to 0 and GPT-2's activation fused.

    With dropout two forward passes differ, so PPO's ratio and KL would be wrong at step 0. kochat regularises by early
    stopping and LoRA rank instead.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no config.json; give the folder of a Hugging Face model")
    config = AutoConfig.from_pretrained(str(folder))
    for name in vars(config):
        if name.endswith(("dropout", "_pdrop")) and isinstance(getattr(config, name), float):
            setattr(config, name, 0.0)
    return fuse_activation(config)


def load_base(folder: Path, kind: Kind) -> PreTrainedModel:
    """Load a whole model in float32, in eval mode, without dropout: with its LM head, or with a fresh scalar head (``value``).

    Raises:
        UserError: the folder holds an adapter, no weights, or weights that do not fit the configuration.
    """
    if is_adapter(folder):
        raise UserError(f"{folder}: holds an adapter; give the base model that it was trained on")
    config = load_config(folder)
    if kind == "value":
        config.num_labels = 1
    auto = AutoModelForCausalLM if kind == "lm" else AutoModelForSequenceClassification
    try:
        loaded: Any = auto.from_pretrained(str(folder), config=config, dtype=torch.float32, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, pickle.UnpicklingError) as error:
        raise UserError(f"{folder}: the weights could not be loaded: {str(error).splitlines()[0]}") from error
    model, info = loaded
    if kind == "lm" and any(key.startswith("score.") for key in info["unexpected_keys"]):
        raise UserError(f"{folder}: is a reward model, which answers nothing; give a language model")
    missing = {key for key in info["missing_keys"] if not key.startswith("score.")}
    if missing and not _only_tied(model, missing):
        raise UserError(
            f"{folder}: the weights lack {len(missing)} tensors, {min(missing)!r} first; the download is incomplete"
        )
    return give_rows_attention(model).eval()


def fuse_activation(config: Config) -> Config:
    """Replace GPT-2's tanh GELU of seven operations by torch's fused one: the same function up to rounding."""
    for key in _ACTIVATION_KEYS:
        if getattr(config, key, None) == getattr(type(config)(), key, None) == _TANH_GELU:
            setattr(config, key, _FUSED_GELU)
    return config


def own_activation(config: PretrainedConfig) -> dict[str, str]:
    """Return the settings that `fuse_activation` replaces, with the architecture's original values."""
    return {
        key: _TANH_GELU
        for key in _ACTIVATION_KEYS
        if getattr(config, key, None) == _FUSED_GELU and getattr(type(config)(), key, None) == _TANH_GELU
    }


def save_model(model: PreTrainedModel, folder: Path) -> None:
    """Write a whole model in Hugging Face's layout; its configuration names the architecture's original activation."""
    model.save_pretrained(folder)
    config = copy.deepcopy(model.config)
    config.update(own_activation(config))
    config.save_pretrained(folder)


def _only_tied(model: PreTrainedModel, missing: set[str]) -> bool:
    """Tell whether the missing tensors are only output embeddings that are tied to the input embeddings."""
    return bool(getattr(model.config, "tie_word_embeddings", False)) and missing <= {
        "lm_head.weight",
        "embed_out.weight",
    }


def small_gpt2(
    vocab_size: int, eos_token_id: int, pad_token_id: int, layers: int, hidden: int, heads: int, positions: int
):
    """Build a small randomly initialised GPT-2 language model without dropout."""
    config = GPT2Config(
        vocab_size=vocab_size,
        n_layer=layers,
        n_embd=hidden,
        n_head=heads,
        n_positions=positions,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=eos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
    return give_rows_attention(GPT2LMHeadModel(fuse_activation(config))).eval()


def backbone_of(model: nn.Module) -> nn.Module:
    """Return the part of a model that computes hidden states (GPT-2's ``transformer``, Llama's ``model``), adapters included."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
    return base.base_model  # type: ignore[return-value]


_SHAPING = (  # settings that change a model's output but no weight's shape
    "model_type",
    "num_attention_heads",
    "num_key_value_heads",
    "activation_function",
    "hidden_act",
    "layer_norm_epsilon",
    "layer_norm_eps",
    "rms_norm_eps",
    "rope_parameters",
    "rotary_pct",
    "sliding_window",
    "use_parallel_residual",
    "scale_attn_by_inverse_layer_idx",
)


def weights_digest(model: nn.Module) -> str:
    """Return a SHA-256 (hex, 16 characters) over everything that decides a base model's output.

    It covers the backbone's weights, an untied output embedding, and the settings that are not visible in weight
    shapes. A value head is not part of a base.
    """
    backbone = backbone_of(model)
    tensors = dict(backbone.state_dict())
    output = getattr(model, "get_output_embeddings", lambda: None)()
    if output is not None and output.weight is not backbone.get_input_embeddings().weight:  # type: ignore[operator]
        tensors["output_embedding"] = output.weight
    shaping = {name: getattr(backbone.config, name, None) for name in _SHAPING} | own_activation(backbone.config)  # type: ignore[arg-type]
    digest = hashlib.sha256(json.dumps(shaping, sort_keys=True, default=str).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def adapter_base(folder: Path) -> str:
    """Return the folder or hub id of an adapter's base model, from the adapter's configuration."""
    content = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    return str(content["base_model_name_or_path"])
