"""Evaluate a policy: reward, KL and objective of its sampled answers, and the reward of its greedy ones, on held-out and test prompts."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import torch

from kochat.data.batches import PromptBatch
from kochat.engine.rank_rows import Row, gather_rows, log_figures, write_rows
from kochat.engine.ranks import sum_over_ranks
from kochat.functional import masked_mean
from kochat.nn.decoding import Generation, decode, generate
from kochat.runs import PPO_SAMPLES_FILE
from kochat.stages.ppo.answer_quality import JUDGED, Figures, answer_health
from kochat.stages.ppo.metrics import objective
from kochat.stages.ppo.rollout import judge_answers

if TYPE_CHECKING:
    from kochat.stages.ppo.module import PPOModule


@torch.no_grad()
def validation_figures(module: PPOModule, batch: PromptBatch, number: int) -> Figures:
    """Return the figures of sampled and greedy answers to a batch of prompts.

    Args:
        module: the policy, its options and its other roles.
        batch: the prompts.
        number: the batch's number, which seeds the draw: it is the same at every validation.
    """
    sampled = module.rollout(batch, torch.Generator(module.device).manual_seed(number))
    rewards, kl = module.rewards(sampled)
    answers, greedy = len(rewards), greedy_answers(module, batch)
    return {
        "val_reward": (rewards.mean(), answers),
        "val_kl": (masked_mean(kl, sampled.mask), int(sampled.mask.sum())),
        "val_kl_sequence": (kl.sum(1).mean(), answers),
        "val_objective": (objective(rewards, kl, module.kl_weight).mean(), answers),
        "val_response_length": (sampled.mask.sum(1).float().mean(), answers),
        "val_greedy_reward": (greedy_rewards(module, batch, greedy).mean(), answers),
        **_health(module, batch, greedy),
    }


def _health(module: PPOModule, batch: PromptBatch, answers: Generation) -> Figures:
    """Return `answer_health` of a batch; the judge's figures only where it knows a prompt on any rank, so that all ranks log the same."""
    texts = decode(module.tokenizer, answers.responses, answers.mask)
    found = answer_health(batch.prompts, texts, answers.responses, answers.mask)
    judged = torch.tensor(float(found["val_accuracy"][1]), device=module.device)
    known = float(sum_over_ranks(module.trainer, judged)) > 0
    return {name: (value.to(module.device), n) for name, (value, n) in found.items() if known or name not in JUDGED}


@torch.no_grad()
def greedy_answers(module: PPOModule, batch: PromptBatch) -> Generation:
    """Return the policy's most probable answers."""
    return generate(module.roles.policy, batch.input_ids, batch.mask, module.answering.settings())


@torch.no_grad()
def greedy_rewards(module: PPOModule, batch: PromptBatch, answers: Generation) -> torch.Tensor:
    """Return the rewards (b,) of the policy's most probable answers, with the penalties."""
    settings = module.answering.settings()
    judged = judge_answers(module.roles, batch, answers, settings, unpad=module.options.unpad)
    return judged.scores - module.penalties(answers, judged.disagreement)


def log_start(module: PPOModule) -> None:
    """Validate the SFT model before the first update, and log its figures as step 0: a run must rise above them."""
    trainer = module.trainer
    loader, limits = trainer.val_dataloaders, trainer.num_val_batches
    if loader is None or not limits:
        return
    figures = _means(module, islice(loader, int(min(limits[0], len(loader)))))
    for logger in trainer.loggers:
        logger.log_metrics({"epoch": trainer.current_epoch, **figures}, step=0)


def _means(module: PPOModule, batches: Iterable[PromptBatch]) -> dict[str, float]:
    """Return the means of `validation_figures` over the batches of all ranks."""
    sums: dict[str, torch.Tensor] = {}
    for number, batch in enumerate(batches):
        found = validation_figures(module, module.trainer.strategy.batch_to_device(batch), number)
        for name, (value, weight) in found.items():
            pair = torch.stack([value.float() * weight, torch.tensor(float(weight), device=value.device)])
            sums[name] = sums.get(name, 0.0) + pair
    totals = {name: sum_over_ranks(module.trainer, pair) for name, pair in sums.items()}
    return {f"ppo/{name}": float(total / count) for name, (total, count) in totals.items()}


@torch.no_grad()
def sampled_rows(module: PPOModule, batch: PromptBatch, number: int) -> list[Row]:
    """Sample ``test_samples`` answers to each prompt; return a row a prompt, as ``ppo_samples.jsonl`` has it.

    Args:
        module: the policy, its options and its other roles.
        batch: the prompts.
        number: the batch's number, which seeds the draw.
    """
    generator = torch.Generator(module.device).manual_seed(number)
    rows: list[Row] = [
        {"id": id_, "prompt": prompt, "answers": [], "rewards": [], "raw_scores": [], "kl": []}
        for id_, prompt in zip(batch.ids, batch.prompts, strict=True)
    ]
    for _ in range(module.options.test_samples):
        sampled = module.rollout(batch, generator)
        rewards, kl = module.rewards(sampled)
        columns = {
            "answers": decode(module.tokenizer, sampled.responses, sampled.mask),
            "rewards": rewards.tolist(),
            "raw_scores": sampled.raw_scores.tolist(),
            "kl": kl.sum(1).tolist(),
        }
        for name, values in columns.items():
            for row, value in zip(rows, values, strict=True):
                row[name].append(value)
    return rows


def finish_test(module: PPOModule, rows: list[Row]) -> None:
    """Write the rows of all ranks as ``ppo_samples.jsonl``, and log the means over their answers; every rank must call this."""
    rows = gather_rows(rows)
    if not rows:  # only the policy is loaded
        return
    write_rows(module.trainer, rows, PPO_SAMPLES_FILE)
    rewards, kl = (torch.tensor([row[name] for row in rows]) for name in ("rewards", "kl"))
    figures = {"test_reward": rewards, "test_kl_sequence": kl, "test_objective": rewards - module.kl_weight * kl}
    log_figures(module, "ppo/", {name: float(values.mean()) for name, values in figures.items()})
