"""Write a workload: data, tokenizer, models with random weights in the shapes that each system reads, and encoded rows."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from benchmarks.peers.settings import LORA_ALPHA, LORA_RANK, LORA_TARGETS, MAX_LENGTH, MAX_PROMPT_LENGTH, SEED, SIZES
from kochat.cleaning.cleaner import clean
from kochat.nn.adapters import LoraSettings
from kochat.nn.backbones import load_base, small_gpt2, weights_digest
from kochat.nn.exports import export_info, read_info, write_export
from kochat.nn.role_loading import new_role
from kochat.nn.roles import Role
from kochat.nn.tokenizers import load_tokenizer, train_tokenizer
from kochat.stages.ppo.data import PromptDataModule
from kochat.stages.reward_model.data import PreferenceDataModule
from kochat.stages.sft.data import SFTDataModule
from kochat.text.prompt_template import prompt_text
from kochat.world.generator import write_sample

ROWS = {"kochatgpt_1_SFT.jsonl": 3000, "kochatgpt_2_RM.jsonl": 1000, "kochatgpt_3_PPO.jsonl": 1200}
DONE = "done.json"


def prepare(folder: Path, size: str, data: Path | None = None, tokenizer: Path | None = None) -> Path:
    """Write a workload once; return its folder.

    Args:
        folder: where to.
        size: the model's size, a key of `SIZES`.
        data: a folder of KoChatGPT's three files, or one file of prompts; None takes the embedded world.
        tokenizer: a folder with a tokenizer.json; None trains a BPE on the data.
    """
    told = {"size": size, "data": data.name if data else "embedded world", "tokenizer": bool(tokenizer)}
    if (folder / DONE).is_file() and json.loads((folder / DONE).read_text()) == told and fits(folder):
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    write_data(folder / "data", data)
    shape = SIZES[size]
    words = load_tokenizer(tokenizer) if tokenizer else train_tokenizer(texts(folder / "data/v2"), shape.vocab)
    write_models(folder, size, words)
    write_rows(folder, words)
    (folder / DONE).write_text(json.dumps(told))
    return folder


def fits(folder: Path) -> bool:
    """Tell whether today's kochat takes the adapters for those of the base, as the one that wrote them did."""
    return read_info(folder / "sft").base_digest == weights_digest(load_base(folder / "base", "lm"))


def write_data(folder: Path, data: Path | None) -> None:
    """Write v1, the embedded world with the first rows of the given files in place of its own, and clean it into v2."""
    write_sample(folder / "v1", seed=SEED, size="full")
    given = [data] if data is not None and data.is_file() else [data / name for name in ROWS] if data else []
    for path in given:
        name = path.name if path.name in ROWS else "kochatgpt_3_PPO.jsonl"
        (folder / "v1" / name).write_text("".join(islice(lines(path), ROWS[name])), encoding="utf-8")
    clean(folder / "v1", folder / "v2")


def lines(path: Path):
    """Yield the records of a JSON array or of one object a line, one a line."""
    text = path.read_text(encoding="utf-8-sig")
    rows = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, filter(str.strip, text.split("\n")))
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def texts(folder: Path) -> list[str]:
    """Return all cleaned texts, for the tokenizer; prompts within their template, which then takes few tokens."""
    names = ("corpus.jsonl", "kochatgpt_1_SFT.jsonl", "kochatgpt_2_RM.jsonl", "kochatgpt_3_PPO.jsonl")
    records = [json.loads(line) for name in names for line in lines(folder / name)]
    return [
        prompt_text(value) if key == "prompt" else value
        for record in records
        for key, value in record.items()
        if isinstance(value, str)
    ]


def write_models(folder: Path, size: str, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write one random model as: base (causal LM), value (classifier with one label), and sft and rm (fresh adapters on base).

    A fresh adapter changes nothing, so the four hold the same weights, and the value head is the same in both its places.
    """
    torch.manual_seed(SEED)
    shape = SIZES[size]
    vocab = max(shape.vocab, len(tokenizer))
    host = small_gpt2(
        vocab,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
        shape.layers,
        shape.hidden,
        shape.heads,
        shape.positions,
    )
    base, statistics = folder / "base", {"reward_mean": 0.0, "reward_std": 1.0}
    write_export(Role("policy", host), tokenizer, base, export_info("pretrain", "", "", tokenizer))
    del host
    lora = LoraSettings(LORA_RANK, LORA_ALPHA / LORA_RANK, list(LORA_TARGETS))
    policy = new_role("policy", base, lora)
    write_export(policy, tokenizer, folder / "sft", export_info("sft", str(base), policy.base_digest, tokenizer))
    reward = new_role("reward_model", base, lora, value=True)
    told = export_info("rm", str(base), reward.base_digest, tokenizer, **statistics)
    write_export(reward, tokenizer, folder / "rm", told)
    whole = new_role("reward_model", base, LoraSettings(0), value=True)
    whole.head.weight.data.copy_(reward.head.weight.data)
    write_export(whole, tokenizer, folder / "value", export_info("rm", "", "", tokenizer, **statistics))


def write_rows(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the token ids of kochat's own datamodules, in the order of their ids, so that others train on the same tokens."""
    for name, module in (("ppo", PromptDataModule), ("sft", SFTDataModule), ("rm", PreferenceDataModule)):
        data = module(**data_options(folder))
        data.connect(tokenizer)
        data.prepare_data()
        data.setup("fit")
        rows = sorted(data._tables["train"], key=lambda row: row["id"])
        kept = [{key: row[key] for key in ("prompt_ids", "completion_ids") if key in row} for row in rows]
        (folder / f"{name}.json").write_text(json.dumps(kept))
    write_answers(folder, tokenizer)


def write_answers(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """Write the prompts of the frozen test set by id, then the fixed ones, which have no reference."""
    data = SFTDataModule(**data_options(folder))
    data.connect(tokenizer)
    answers = [
        {"id": id_, "prompt_ids": ids[-length:].tolist(), "reference": reference}
        for batch in data.answers_dataloader("test")
        for id_, ids, length, reference in zip(
            batch.ids, batch.input_ids, batch.lengths.tolist(), batch.references, strict=True
        )
    ]
    answers.sort(key=lambda row: (row["reference"] is None, row["id"]))
    (folder / "answers.json").write_text(json.dumps(answers, ensure_ascii=False))


def data_options(folder: Path) -> dict:
    """Return the datamodules' options for a workload."""
    return {
        "data_dir": str(folder / "data"),
        "max_length": MAX_LENGTH,
        "max_prompt_length": MAX_PROMPT_LENGTH,
        "seed": SEED,
    }


def main(told: list[str]) -> None:
    """Prepare a workload from words: folder, size, data or nothing, tokenizer or nothing."""
    folder, size, data, tokenizer = told
    prepare(Path(folder), size, Path(data) if data else None, Path(tokenizer) if tokenizer else None)
