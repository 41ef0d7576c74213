"""PPO by TRL 1.12's `PPOTrainer`, on the same work; README.md in this folder says what is set alike and why.

python -m benchmarks.peers.trl_ppo RUN
"""

from __future__ import annotations

import sys
import tempfile

import torch
from datasets import Dataset
from peft import get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer, ppo_trainer

from benchmarks.peers import settings
from benchmarks.peers.lengths import LengthForcer, length_table
from benchmarks.peers.measure import Meter
from benchmarks.peers.peer_common import Metering, common_arguments, force_lengths, load_tokenizer, lora, quiet
from benchmarks.peers.settings import Run


class Phases(TrainerCallback):
    """End a step's update when the step ends."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_step_end(self, args, state, control, **kwargs) -> None:
        """Count what follows as other."""
        self.meter.enter("other")


def mark_phases(meter: Meter, pad_id: int) -> None:
    """Tell the meter when decoding begins and ends, and when the update's first forward pass begins."""
    generate, forward = ppo_trainer.batch_generation, ppo_trainer.forward

    def decoding(model, queries, *args, **kwargs):
        meter.enter("rollout")
        sequences, logits = generate(model, queries, *args, **kwargs)
        meter.enter("score")
        meter.tokens["prompt"] += int((queries != pad_id).sum())
        meter.tokens["response"] += int((sequences[:, queries.shape[1] :] != pad_id).sum())
        return sequences, logits

    def forwarding(model, *args, **kwargs):
        if torch.is_grad_enabled():
            meter.enter("update")
        return forward(model, *args, **kwargs)

    ppo_trainer.batch_generation, ppo_trainer.forward = decoding, forwarding


def models(run: Run) -> tuple:
    """Return (policy, reference, value, reward); under LoRA the value model gets the policy's adapter too."""

    def classifier():
        return AutoModelForSequenceClassification.from_pretrained(run.path("value"), num_labels=1, dtype=torch.float32)

    policy = AutoModelForCausalLM.from_pretrained(run.path("base"), dtype=torch.float32)
    value, reward = classifier(), classifier().requires_grad_(False)
    if run.tuning == "lora":
        return policy, None, get_peft_model(value, lora("SEQ_CLS")), reward
    return policy, None, value, reward


def arguments(run: Run, folder: str) -> PPOConfig:
    """Return TRL's arguments."""
    return PPOConfig(
        **common_arguments(folder),
        per_device_train_batch_size=run.batch_size,
        gradient_accumulation_steps=1,
        num_mini_batches=2,
        num_ppo_epochs=settings.PPO_EPOCHS,
        total_episodes=run.steps * run.batch_size,
        local_rollout_forward_batch_size=run.batch_size,
        num_sample_generations=0,
        response_length=run.response_tokens,
        stop_token="eos",
        temperature=1.0,
        missing_eos_penalty=settings.MISSING_EOS_PENALTY,
        whiten_rewards=False,
        kl_coef=settings.KL_COEF,
        kl_estimator="k1",
        cliprange=settings.CLIP,
        cliprange_value=settings.CLIP,
        vf_coef=settings.VALUE_COEF,
        gamma=1.0,
        lam=settings.GAE_LAMBDA,
        learning_rate=settings.LEARNING_RATE,
    )


def main() -> None:
    """Run once and print the result."""
    run = Run.load(sys.argv[1])
    quiet()
    tokenizer = load_tokenizer(run.path("base"), "left")
    meter = Meter(count_flops=run.count_flops)
    table = length_table(run.lengths, run.steps, run.batch_size, run.response_tokens)
    force_lengths(LengthForcer(table), tokenizer.eos_token_id, tokenizer.pad_token_id)
    mark_phases(meter, tokenizer.pad_token_id)
    policy, reference, value, reward = models(run)
    rows = run.rows("ppo")[: run.steps * run.batch_size]
    with tempfile.TemporaryDirectory() as folder:
        trainer = PPOTrainer(
            args=arguments(run, folder),
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=reward,
            value_model=value,
            train_dataset=Dataset.from_dict({"input_ids": [row["prompt_ids"] for row in rows]}),
            peft_config=lora("CAUSAL_LM") if run.tuning == "lora" else None,
            callbacks=[Metering(meter), Phases(meter)],
        )
        trainer.train()
    meter.report(work=len(rows))


if __name__ == "__main__":
    main()
