"""PPO by kochat: `PPOModule` under a Lightning Trainer, as `python -m kochat fit` runs it, without logging and checkpoints.

python -m benchmarks.peers.kochat_ppo RUN
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module

import torch

from benchmarks.peers import settings
from benchmarks.peers.kochat_common import begin, fit, force_lengths, rank
from benchmarks.peers.lengths import LengthForcer, length_table
from benchmarks.peers.measure import Meter
from benchmarks.peers.settings import Run
from benchmarks.peers.workload import data_options
from kochat.stages.ppo.data import PromptDataModule
from kochat.stages.ppo.module import PPOModule


class MeteredPPO(PPOModule):
    """PPO that tells the meter in which phase it is."""

    meter: Meter
    forcer: LengthForcer
    prompt_tokens: int

    def training_step(self, batch, batch_idx) -> None:
        """Train on the batch, or on random prompts of the length that is asked for."""
        if self.prompt_tokens:
            shape = (len(batch.ids), self.prompt_tokens)
            ids = torch.randint(4, len(self.tokenizer), shape, generator=torch.Generator().manual_seed(batch_idx))
            batch = replace(batch, input_ids=ids, lengths=torch.full(shape[:1], self.prompt_tokens))
        super().training_step(batch, batch_idx)

    def check_before_training(self, batch) -> None:
        """Check the roles; a phase of its own, since it is done once a run."""
        with self.meter.phase("checks"):
            super().check_before_training(batch)

    def rollout(self, batch, generator):
        """Roll out with forced lengths; what follows decoding is scoring."""
        self.meter.enter("rollout")
        self.forcer.begin()
        rollout = super().rollout(batch, generator)
        self.forcer.end()
        self.meter.tokens["response"] += int(rollout.mask.sum())
        self.meter.tokens["prompt"] += int(batch.lengths.sum())
        return rollout

    def update(self, rollout, targets):
        """Update; what follows is Lightning's and logging's."""
        with self.meter.phase("update"):
            losses = super().update(rollout, targets)
        self.meter.enter("other")
        return losses


def mark_decoding(meter: Meter, forcer: LengthForcer) -> None:
    """Begin the phase of scoring when `generate` returns."""
    collect = import_module("kochat.stages.ppo.rollout")
    generate = collect.generate

    def marked(*args, **kwargs):
        result = generate(*args, **kwargs)
        if forcer.running:  # the checks before training are a phase of their own
            meter.enter("score")
        return result

    collect.generate = marked


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    begin(run)
    lora = run.tuning == "lora"
    module = MeteredPPO(
        policy=str(run.path("sft" if lora else "base")),
        reward_model=str(run.path("rm" if lora else "value")),
        kl_coef=settings.KL_COEF,
        kl_kind="k1",
        gae_lambda=settings.GAE_LAMBDA,
        clip_range=settings.CLIP,
        value_clip_range=settings.CLIP,
        vf_coef=settings.VALUE_COEF,
        ppo_epochs=settings.PPO_EPOCHS,
        minibatch_size=run.batch_size // run.ranks // 2,
        learning_rate=settings.LEARNING_RATE,
        critic_learning_rate=settings.LEARNING_RATE,
        temperature=1.0,
        max_new_tokens=run.response_tokens,
        reward_unit="held_out",  # nothing is sampled to measure it
        warmup=0.0,
        critic_warmup=0,
        missing_eos_penalty=settings.MISSING_EOS_PENALTY,
        **run.options,
    )
    module.prompt_tokens = run.prompt_tokens
    module.meter = meter = Meter(count_flops=run.count_flops)
    table = length_table(run.lengths, run.steps, run.batch_size, run.response_tokens)
    module.forcer = LengthForcer(table[:, rank() :: run.ranks])
    force_lengths(module.forcer, module.tokenizer.eos_token_id)
    mark_decoding(meter, module.forcer)
    data = PromptDataModule(
        batch_size=run.batch_size // run.ranks,
        limit_train=run.steps * run.batch_size,
        **data_options(run.path("")),
    )
    fit(module, data, meter, run)
    meter.report(work=run.steps * run.batch_size)


if __name__ == "__main__":
    main()
