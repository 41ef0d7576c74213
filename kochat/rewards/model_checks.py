"""Refuse models that do not fit together: a reward model that reads other tokens or another template than the policy writes."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerFast

from kochat.errors import UserError
from kochat.nn.exports import ExportInfo, read_info, template_digest
from kochat.nn.tokenizers import load_tokenizer
from kochat.text.tokenizer_identity import tokenizer_digest


def check_reward_model(field: str, folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Refuse a reward model whose tokenizer or prompt template differs from the policy's: its scores would be meaningless."""
    info = read_info(folder)
    digest = info.tokenizer if info is not None else tokenizer_digest(load_tokenizer(folder))
    if digest != tokenizer_digest(tokenizer):
        raise UserError(f"{field}: {folder} uses another tokenizer than model.policy; train both on one base")
    check_template(field, folder, info)


def check_template(field: str, folder: Path, info: ExportInfo | None) -> None:
    """Refuse a model that kochat trained with another prompt template than the current one."""
    if info is not None and info.template != template_digest():
        raise UserError(f"{field}: {folder} was trained with another prompt template; train it again")
