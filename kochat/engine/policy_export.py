"""Write the policy that a stage has trained as a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

from kochat.engine.inputs import base_name
from kochat.engine.stage_module import StageModule
from kochat.nn.exports import export_info, write_export


def write_policy(module: StageModule, field: str, given: str, folder: Path) -> None:
    """Write the role ``policy`` with tokenizer and stop tokens: one adapter on the original base, or a whole causal LM.

    Args:
        module: the stage.
        field: the config field that names the model which the policy started from.
        given: that field's value.
        folder: the new folder.
    """
    role = module.role("policy")
    base = base_name(module.inputs.folder(field, given), given)
    stop_tokens = () if module.answering is None else module.answering.stop_tokens
    info = export_info(module.stage.name, base, role.base_digest, module.tokenizer, stop_tokens=stop_tokens)
    write_export(role, module.tokenizer, folder, info)
