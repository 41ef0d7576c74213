"""Write and read ``export/``: a Hugging Face folder (safetensors, or a PEFT adapter if a LoRA was trained).

The file ``kochat.json`` (`ExportInfo`) records the base, tokenizer and template of training, so that a wrong one is an
error instead of a silent mistake.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerFast

from kochat.errors import UserError
from kochat.nn.adapters import adapter_state
from kochat.nn.backbones import backbone_of, save_model
from kochat.nn.roles import Role
from kochat.runs import EXPORT_INFO_FILE
from kochat.storage import replaced, write_json
from kochat.text.prompt_template import PROMPT_TEMPLATE
from kochat.text.tokenizer_identity import tokenizer_digest

ADAPTER_WEIGHTS = "adapter_model.safetensors"
SCORE_KEY = "base_model.model.score.weight"


@dataclass(frozen=True)
class ExportInfo:
    """The record of how an export was made.

    Args:
        stage: the stage that made it.
        base: its base model: an absolute folder or a hub id.
        base_digest: digest of the base's weights, for adapters.
        tokenizer: digest of the tokenizer.
        template: digest of the prompt template.
        reward_mean: reward models: mean raw score of SFT demonstrations; it is subtracted, so that 0 means "as good as a demonstration".
        reward_std: reward models: standard deviation of the raw scores of all held-out completions.
        stop_tokens: tokens besides EOS that end an answer.
    """

    stage: str
    base: str
    base_digest: str
    tokenizer: str
    template: str
    reward_mean: float | None = None
    reward_std: float | None = None
    stop_tokens: tuple[str, ...] = ()


def template_digest() -> str:
    """Return the digest of the prompt template in use."""
    return hashlib.sha256(PROMPT_TEMPLATE.encode()).hexdigest()[:16]


def export_info(stage: str, base: str, base_digest: str, tokenizer: PreTrainedTokenizerFast, **more: Any) -> ExportInfo:
    """Make the record of a new export; ``more`` are further fields of `ExportInfo`."""
    return ExportInfo(stage, base, base_digest, tokenizer_digest(tokenizer), template_digest(), **more)


def read_info(folder: Path) -> ExportInfo | None:
    """Read ``kochat.json``; None for a model that kochat did not make."""
    path = folder / EXPORT_INFO_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return ExportInfo(**content | {"stop_tokens": tuple(content.get("stop_tokens", ()))})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a kochat export's description ({error}); export the model again") from error


def write_export(role: Role, tokenizer: PreTrainedTokenizerFast, folder: Path, info: ExportInfo) -> None:
    """Write a role as a Hugging Face folder under a temporary name, then rename it.

    A whole policy becomes a causal LM, a whole value role a sequence classifier with one label, and a role with an adapter a PEFT adapter.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replaced(folder) as temporary:
        temporary.mkdir()
        if role.adapter is not None:
            _write_adapter(role, temporary, info)
        elif role.is_value:
            save_model(_sequence_classifier(role, tokenizer), temporary)
        else:
            save_model(cast(PreTrainedModel, role.host), temporary)
        tokenizer.save_pretrained(temporary)
        write_json(temporary / EXPORT_INFO_FILE, asdict(info))


def _write_adapter(role: Role, folder: Path, info: ExportInfo) -> None:
    """Write adapter weights and configuration as PEFT does; a value role's head is saved under ``score``."""
    host, adapter = cast(PeftModel, role.host), cast(str, role.adapter)
    config = cast(LoraConfig, host.peft_config[adapter])
    state = adapter_state(host, adapter)
    task_type, saved_modules = config.task_type, config.modules_to_save
    if role.is_value:
        state[SCORE_KEY] = role.head.weight.detach().cpu().clone()  # type: ignore[union-attr]
        task_type, saved_modules = "SEQ_CLS", ["score"]
    save_file(state, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    written = config.to_dict() | {
        "task_type": task_type,
        "modules_to_save": saved_modules,
        "base_model_name_or_path": info.base,
        "inference_mode": True,
    }
    written = {key: sorted(value) if isinstance(value, set) else value for key, value in written.items()}
    (folder / "adapter_config.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _sequence_classifier(role: Role, tokenizer: PreTrainedTokenizerFast):
    """Assemble a one-label sequence classifier from a fully trained value role."""
    backbone = backbone_of(role.host)
    config = type(backbone.config).from_dict(backbone.config.to_dict() | {"num_labels": 1})  # type: ignore[union-attr, operator]
    config.pad_token_id = tokenizer.pad_token_id
    model = AutoModelForSequenceClassification.from_config(config)
    model.base_model.load_state_dict(backbone.state_dict())
    model.score.weight.data.copy_(role.head.weight)  # type: ignore[union-attr]
    return model


def read_adapter_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Read an adapter's safetensors.

    Raises:
        UserError: the file is missing.
    """
    path = folder / ADAPTER_WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: no adapter weights; export the run again")
    return load_file(path)
