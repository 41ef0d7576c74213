"""Answer prompts in the terminal with a trained model."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from kochat.data.encoding import encode_prompt
from kochat.engine.warnings_shown import quiet_libraries
from kochat.errors import UserError
from kochat.nn.decoding import GenerationSettings, decode, generate
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer, token_ids


@dataclass(frozen=True)
class ChatOptions:
    """How answers are sampled in a chat.

    Args:
        temperature: 0 answers greedily; 1 samples from the model's own distribution.
        max_new_tokens: length limit of an answer, in tokens.

    Raises:
        UserError: if a number is out of range.
    """

    temperature: float = 0.0
    max_new_tokens: int = 128

    def __post_init__(self) -> None:
        """Raise UserError for a negative temperature or a length below 1."""
        if self.temperature < 0:
            raise UserError(
                f"--temperature={self.temperature} is negative; give 0 to answer greedily, 1 to sample from the model's own distribution"
            )
        if self.max_new_tokens < 1:
            raise UserError(f"--max_new_tokens={self.max_new_tokens} leaves no room for an answer; give 1 or more")


def chat(folder: Path, prompts: list[str] | None, options: ChatOptions) -> None:
    """Print an answer to each prompt; without ``prompts``, read them from standard input until it ends.

    Args:
        folder: the model's local folder.
        prompts: the prompts; None reads lines from standard input.
        options: how answers are sampled.
    """
    quiet_libraries()
    tokenizer = load_tokenizer(folder)
    role = HostPool().load("policy", folder)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    info = read_info(folder)
    stop_ids = token_ids(tokenizer, info.stop_tokens if info else (), f"{folder}: stop_tokens")
    settings = GenerationSettings(options.max_new_tokens, options.temperature, (tokenizer.eos_token_id, *stop_ids), pad)
    for prompt in prompts or _typed():
        ids = torch.tensor([encode_prompt(tokenizer, prompt)])
        result = generate(role, ids, torch.ones_like(ids, dtype=torch.bool), settings)
        print(decode(tokenizer, result.responses, result.mask)[0], flush=True)


def _typed() -> Iterable[str]:
    """Yield the lines of standard input; on a terminal, print "> " before each."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
