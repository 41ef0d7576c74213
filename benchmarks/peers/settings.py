"""What is measured: model sizes, the hyper-parameters that all systems share, and the settings of one run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

PPO_BATCH, PPO_MINIBATCH, PPO_EPOCHS, PPO_TOKENS = 16, 8, 4, 64
KL_COEF, MISSING_EOS_PENALTY, CLIP, VALUE_COEF, GAE_LAMBDA = 0.1, 1.0, 0.2, 1.0, 0.95
LEARNING_RATE, GRADIENT_CLIP = 1e-5, 1.0
LORA_RANK, LORA_ALPHA, LORA_TARGETS = 8, 16, ("c_attn",)
SFT_BATCH, RM_BATCH, EVAL_BATCH = 16, 8, 32
MAX_LENGTH, MAX_PROMPT_LENGTH = 512, 256
SEED = 0


@dataclass(frozen=True)
class ModelSize:
    """A GPT-2: layers, hidden width, heads, rows of the embedding, positions."""

    layers: int
    hidden: int
    heads: int
    vocab: int
    positions: int


SIZES = {
    "tiny": ModelSize(4, 256, 4, 8_000, 1024),
    "2x128": ModelSize(2, 128, 2, 8_000, 1024),
    "6x384": ModelSize(6, 384, 6, 8_000, 1024),
    "8x512": ModelSize(8, 512, 8, 8_000, 1024),
    "class": ModelSize(12, 768, 12, 51_200, 1024),  # KoGPT2's own shape
}


@dataclass(frozen=True)
class Run:
    """One run of one system, as it is handed to its process.

    Args:
        workload: the folder that `workload.prepare` wrote.
        tuning: lora or full.
        lengths: fixed (every answer has all tokens) or eos (answers end at given lengths).
        steps: rollouts of PPO, optimizer steps of SFT and RM, prompts of the evaluation.
        variant: a variant of the system: grouped, single, bf16.
        batch_size: prompts a rollout; minibatches are half of it.
        response_tokens: length limit of answers.
        prompt_tokens: length of random prompts that replace those of the workload (only kochat's PPO); 0 uses the workload's.
        count_flops: count FLOP instead of measuring time.
        options: further arguments of kochat's module.
        attributes: attributes of kochat to replace, as [module path, attribute, value].
        ranks: number of processes that share each batch (only kochat).
    """

    workload: str
    tuning: str = "lora"
    lengths: str = "fixed"
    steps: int = 16
    variant: str = ""
    batch_size: int = PPO_BATCH
    response_tokens: int = PPO_TOKENS
    prompt_tokens: int = 0
    count_flops: bool = False
    options: dict = field(default_factory=dict)
    attributes: tuple = ()
    ranks: int = 1

    def dump(self) -> str:
        """Return the run as one argument."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Run:
        """Read what `dump` wrote."""
        return cls(**json.loads(text))

    def path(self, name: str) -> Path:
        """Return a file or folder of the workload."""
        return Path(self.workload) / name

    def rows(self, name: str) -> list:
        """Return the encoded rows of a stage."""
        return json.loads(self.path(f"{name}.json").read_text(encoding="utf-8"))
