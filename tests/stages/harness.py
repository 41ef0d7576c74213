"""Tiny batches, exports and trainers that the stages' tests share."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch
from torch.utils.data import DataLoader, Dataset

from kochat.data.batches import Batch, PreferenceBatch, PromptBatch, TextBatch
from kochat.nn.adapters import LoraSettings
from kochat.nn.exports import export_info, write_export
from kochat.nn.role_loading import new_role

PROMPTS = ["안녕하세요", "프랑스의 수도는 어디인가요?", "오늘 날씨가 참 좋네요", "반갑습니다!"]


class Batches(Dataset):
    """A list of ready batches."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


class BatchData(L.LightningDataModule):
    """Serve the same batches for training and validation."""

    def __init__(self, batches: list[Batch], validation: list[Batch] | None = None) -> None:
        super().__init__()
        self.batches, self.validation = batches, validation or batches[:1]

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Batches(self.batches), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(Batches(self.validation), batch_size=None)

    def validation_prompts(self, limit: int) -> DataLoader:
        return self.val_dataloader()

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()


def prompt_batch(tokenizer, prompts: list[str] = PROMPTS, width: int = 0) -> PromptBatch:
    """Left-pad prompts as the datamodules do."""
    rows = [tokenizer(p, add_special_tokens=False)["input_ids"] for p in prompts]
    width = max(width, max(map(len, rows)))
    ids = [[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows]
    return PromptBatch(
        input_ids=torch.tensor(ids),
        lengths=torch.tensor([len(row) for row in rows]),
        ids=[str(i) for i in range(len(rows))],
        prompts=list(prompts),
        references=[None] * len(rows),
        kinds=["held_out"] * len(rows),
    )


def text_batch(tokenizer, pairs: list[tuple[str, str]]) -> TextBatch:
    """Encode prompt and completion apart, with EOS, right-padded."""
    heads = [tokenizer(p, add_special_tokens=False)["input_ids"] for p, _ in pairs]
    tails = [[*tokenizer(c, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id] for _, c in pairs]
    rows = [head + tail for head, tail in zip(heads, tails, strict=True)]
    width = max(map(len, rows))
    return TextBatch(
        input_ids=torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows]),
        lengths=torch.tensor([len(row) for row in rows]),
        prompt_lengths=torch.tensor([len(head) for head in heads]),
        ids=[str(i) for i in range(len(rows))],
    )


def preference_batch(tokenizer, rows: list[tuple[str, list[str]]]) -> PreferenceBatch:
    """Encode records whose three completions stand from best to worst."""
    batch = text_batch(tokenizer, [(prompt, c) for prompt, completions in rows for c in completions])
    starts = torch.arange(len(rows)) * 3
    pairs = torch.cat([torch.stack([starts + i, starts + j], 1) for i, j in ((0, 1), (0, 2), (1, 2))])
    return PreferenceBatch(
        input_ids=batch.input_ids,
        lengths=batch.lengths,
        ids=[str(i) for i in range(len(rows))],
        prompt_lengths=batch.prompt_lengths,
        pairs=pairs,
        grades=torch.arange(3).repeat(len(rows)),
        row=torch.arange(len(rows)).repeat_interleave(3),
        prompts=[prompt for prompt, _ in rows],
        completions=[completions for _, completions in rows],
    )


def write_stage(folder: Path, base: Path, tokenizer, rank: int, value: bool = False, noise: float = 0.05) -> Path:
    """Export an SFT model or a reward model whose weights differ from the base's."""
    role = new_role("reward_model" if value else "policy", base, LoraSettings(rank), value=value)
    generator = torch.Generator().manual_seed(rank + 100 * value)
    for parameter in role.parameters():
        parameter.data += noise * torch.randn(parameter.shape, generator=generator)
    reward = {"reward_mean": 0.25, "reward_std": 2.0} if value else {}
    info = export_info("rm" if value else "sft", str(base), role.base_digest, tokenizer, **reward)
    write_export(role, tokenizer, folder, info)
    return folder


def trainer(folder: Path, **options) -> L.Trainer:
    """Return a silent CPU trainer."""
    defaults = {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "logger": False, "enable_checkpointing": False}
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    return L.Trainer(default_root_dir=folder, **(defaults | quiet | {"log_every_n_steps": 1} | options))
