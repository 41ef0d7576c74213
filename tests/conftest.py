"""Shared fixtures: a byte-fallback tokenizer and tiny random bases of several architectures, made on the spot."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import torch

TEXTS = [
    "안녕하세요. 반갑습니다! 오늘 날씨가 참 좋네요.",
    "프랑스의 수도는 파리입니다. 파리는 아름다운 도시예요.",
    "### Instruction(명령어):\n질문\n\n### Response(응답):",
    "무엇을 도와드릴까요? 궁금한 것이 있으면 말씀해 주세요.",
]


@pytest.fixture(scope="session")
def tokenizer():
    from kochat.nn.tokenizers import train_tokenizer

    return train_tokenizer(TEXTS * 4, vocab_size=400)


def tiny_config(kind: str, vocab_size: int):
    """Return a configuration of a two-layer, 32-wide model with dropout on, as published ones have it."""
    from transformers import GPT2Config, GPTNeoXConfig, LlamaConfig, Qwen2Config

    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 2, "vocab_size": vocab_size}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    if kind == "gpt2":
        return GPT2Config(n_layer=2, n_embd=32, n_head=4, n_positions=128, **ids)
    if kind == "gpt_neox":
        return GPTNeoXConfig(**shape, max_position_embeddings=128, hidden_dropout=0.1, attention_dropout=0.1, **ids)
    if kind == "llama":
        return LlamaConfig(**shape, num_key_value_heads=2, max_position_embeddings=128, attention_dropout=0.1, **ids)
    return Qwen2Config(**shape, num_key_value_heads=2, max_position_embeddings=128, attention_dropout=0.1, **ids)


def write_base(folder: Path, tokenizer, kind: str = "gpt2", seed: int = 0) -> Path:
    """Write a random base model in Hugging Face's layout."""
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(tiny_config(kind, len(tokenizer)))
    for parameter in model.parameters():  # larger weights than at initialisation: differences show
        parameter.data.mul_(4.0) if parameter.dim() > 1 else None
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def head_outputs(role, ids, mask, start: int = 0, stop: int | None = None):
    """Return a role's logits or scalars at some columns of padded rows, from the padded pass."""
    return role.project(role.hidden(ids, mask)[:, start:stop])


@pytest.fixture(scope="session")
def base(tmp_path_factory, tokenizer) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "gpt2", tokenizer)
