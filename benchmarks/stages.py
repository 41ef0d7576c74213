"""Time the steps of SFT, the reward model and PPO on the embedded world with a small random base.

    python -m benchmarks.stages        (make bench)

Stages are interleaved over several rounds, since machines are noisy; the table gives the median and the range over rounds, in
real tokens (no padding) a second. One optimizer step each for SFT and the reward model; one whole rollout and its update for PPO.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from kochat.data import PreferenceDataModule, PromptDataModule, SFTDataModule
from kochat.data.clean import clean
from kochat.lightning_cli import environment
from kochat.models.backbone import small_gpt2
from kochat.models.export import export_info, write_export
from kochat.models.loading import new_role
from kochat.models.lora import LoraSettings
from kochat.models.roles import Role
from kochat.models.tokenizer import train_tokenizer
from kochat.modules import PPOModule, RewardModule, SFTModule
from kochat.sample.generator import write_sample

LENGTHS = {"max_length": 160, "max_prompt_length": 96}


def prepare(folder: Path) -> tuple[Path, object]:
    """Write data, a random base, an SFT adapter and a reward adapter."""
    write_sample(folder / "data/v1", size="tiny")
    clean(folder / "data/v1", folder / "data/v2")
    texts = [line for line in (folder / "data/v2/corpus.jsonl").read_text(encoding="utf-8").split("\n") if line]
    tokenizer = train_tokenizer(texts, 2000)
    torch.manual_seed(0)
    host = small_gpt2(len(tokenizer), tokenizer.eos_token_id, tokenizer.pad_token_id, 3, 192, 6, 256)
    base = folder / "base"
    write_export(Role("policy", host), tokenizer, base, export_info("pretrain", "", "", tokenizer))
    for name, value in (("sft", False), ("rm", True)):
        role = new_role("reward_model" if value else "policy", base, LoraSettings(16), value)
        reward = {"reward_mean": 0.0, "reward_std": 1.0} if value else {}
        write_export(
            role, tokenizer, folder / name, export_info(name, str(base), role.base_digest, tokenizer, **reward)
        )
    return folder, tokenizer


def batches(module, tokenizer, folder: Path, batch_size: int) -> list[dict]:
    """Return the training batches of a datamodule."""
    data = module(data_dir=str(folder / "data"), batch_size=batch_size, tokenizer=tokenizer, **LENGTHS)
    data.prepare_data()
    data.setup("fit")
    return list(data.train_dataloader())


def trainer_for(module):
    """Attach a module to a trainer without running it."""
    import lightning as L

    trainer = L.Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, barebones=False)
    module.trainer = trainer
    trainer.strategy.connect(module)
    module.configure_model()
    module.log = lambda *args, **kwargs: None
    return module


def step_of(module, optimizer: torch.optim.Optimizer) -> Callable[[dict], int]:
    """Return a function that takes one optimizer step on a batch and returns its real tokens."""

    def step(batch: dict) -> int:
        module.training_step(batch, 0).backward()
        optimizer.step()
        optimizer.zero_grad()
        return int(batch["lengths"].sum())

    return step


def ppo_step(ppo: PPOModule) -> Callable[[dict], int]:
    """Return a function that rolls out on a batch, updates, and returns the response tokens."""
    optimizer = torch.optim.AdamW(ppo.trainable_parameters(), lr=1e-5)

    def step(batch: dict) -> int:
        rollout = ppo.rollout(batch, None)
        targets = ppo.targets(rollout)
        for index in ppo.minibatches(len(rollout.scores)):
            loss, _ = ppo.minibatch_loss(rollout.rows(index), targets, index)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return int(rollout.mask.sum())

    return step


def measure(rounds: int) -> dict[str, list[float]]:
    """Return tokens a second of each stage, one figure a round."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder, tokenizer = prepare(Path(name))
        base, lora = str(folder / "base"), LoraSettings(16)
        sft = trainer_for(SFTModule(base=base, lora=lora))
        reward = trainer_for(RewardModule(base=base, lora=lora))
        settings = {"max_new_tokens": 32, "minibatch_size": 16, "ppo_epochs": 2}
        ppo = trainer_for(PPOModule(policy=str(folder / "sft"), reward_model=str(folder / "rm"), **settings))
        work = {
            "SFT, LoRA 16, batch 16": (step_of(sft, _adamw(sft)), batches(SFTDataModule, tokenizer, folder, 16)),
            "reward model, LoRA 16, batch 8": (
                step_of(reward, _adamw(reward)),
                batches(PreferenceDataModule, tokenizer, folder, 8),
            ),
            "PPO, LoRA 16, batch 32, 2 epochs": (ppo_step(ppo), batches(PromptDataModule, tokenizer, folder, 32)),
        }
        figures: dict[str, list[float]] = {name: [] for name in work}
        for turn in range(rounds + 1):
            for stage, (step, given) in work.items():
                started = time.perf_counter()
                tokens = sum(step(batch) for batch in given[:3])
                if turn:  # the first round warms up
                    figures[stage].append(tokens / (time.perf_counter() - started))
    return figures


def _adamw(module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(module.trainable_parameters(), lr=1e-5)


def table(figures: dict[str, list[float]]) -> str:
    """Return the figures as a Markdown table with the versions they were measured with."""
    versions = ", ".join(f"{key} {value}" for key, value in environment().items())
    lines = [f"`python -m benchmarks.stages`: GPT-2 3 x 192, vocabulary 2,000, float32. {versions}.", ""]
    lines += ["| stage | tokens/s, median | range |", "|---|--:|--:|"]
    for stage, values in figures.items():
        lines.append(f"| {stage} | {statistics.median(values):,.0f} | {min(values):,.0f}-{max(values):,.0f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write benchmarks/results/stages.md."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    text = table(measure(parser.parse_args().rounds))
    path = Path(__file__).parent / "results" / "stages.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
