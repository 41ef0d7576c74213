"""Answer prompts in the terminal with a trained model."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import torch

from kochat.data.encoding import encode_prompt
from kochat.engine.inputs import model_folder
from kochat.errors import UserError
from kochat.nn.decoding import GenerationSettings, decode, generate
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.nn.tokenizers import load_tokenizer, token_ids


def chat(model: str, prompts: list[str] | None, temperature: float, max_new_tokens: int) -> None:
    """Print an answer to each prompt; without ``prompts``, read them from standard input until it ends.

    Raises:
        UserError: when there is no such model, or a number is out of range.
    """
    if temperature < 0:
        raise UserError(
            f"--temperature={temperature} is negative; 0 answers greedily, 1 draws as the model was trained"
        )
    if max_new_tokens < 1:
        raise UserError(f"--max_new_tokens={max_new_tokens} leaves no room for an answer; give 1 or more")
    folder = model_folder("model", model)
    tokenizer = load_tokenizer(folder)
    role = HostPool().load("policy", folder)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    info = read_info(folder)
    stop_ids = token_ids(tokenizer, info.stop_tokens if info else (), f"{folder}: stop_tokens")
    settings = GenerationSettings(max_new_tokens, temperature, (tokenizer.eos_token_id, *stop_ids), pad)
    for prompt in prompts or _typed():
        ids = torch.tensor([encode_prompt(tokenizer, prompt)])
        result = generate(role, ids, torch.ones_like(ids, dtype=torch.bool), settings)
        print(decode(tokenizer, result.responses, result.mask)[0], flush=True)


def _typed() -> Iterable[str]:
    """Yield lines from standard input, with a prompt sign where a person types."""
    while True:
        if sys.stdin.isatty():
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()
