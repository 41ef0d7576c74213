"""The comparisons and their goals."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class System:
    """One side of a comparison.

    Args:
        label: its name in the table.
        runner: the module that runs it.
        environment: kochat, trl-ppo or trl.
        variant: a variant of the system, see `Run`.
        changes: fields of `Run` in which it differs from the case.
        ours: another variant of kochat, shown but not counted as a competitor.
    """

    label: str
    runner: str
    environment: str = "kochat"
    variant: str = ""
    changes: dict = field(default_factory=dict)
    ours: bool = False


@dataclass(frozen=True)
class Case:
    """One comparison: the first system is kochat, and its gain is over the fastest of the others.

    Args:
        name: for the command line.
        title: for the table.
        size: the model.
        systems: kochat first.
        tuning: lora or full.
        lengths: fixed or eos.
        steps: see `Run`.
        unit: what a system's `work` counts.
        goal: least gain in CPU time.
        memory_goal: largest share of the peer's peak memory.
        against: label of the peer that the goal names; None takes the fastest.
    """

    name: str
    title: str
    size: str
    systems: tuple[System, ...]
    tuning: str = "lora"
    lengths: str = "fixed"
    steps: int = 16
    unit: str = "prompts"
    goal: float | None = None
    memory_goal: float | None = None
    against: str | None = None


_PPO = (System("kochat", "kochat_ppo"), System("TRL 1.12 PPOTrainer", "trl_ppo", "trl-ppo"))
_PPO_BF16 = (System("kochat, bf16-mixed", "kochat_ppo", variant="bf16"), _PPO[1])
_SFT = (
    System("kochat", "kochat_sft"),
    System("kochat, padded", "kochat_sft", changes={"options": {"unpad": False}}, ours=True),
    System("transformers Trainer", "hf_sft", "trl"),
    System("transformers Trainer, grouped by length", "hf_sft", "trl", variant="grouped"),
    System("TRL 1.16 SFTTrainer, packed", "trl_sft", "trl"),
)
_RM = (
    System("kochat", "kochat_rm"),
    System("kochat, padded", "kochat_rm", changes={"options": {"unpad": False}}, ours=True),
    System("TRL 1.16 RewardTrainer", "trl_rm", "trl"),
)
_ANSWERS = (
    System("kochat, with metrics", "kochat_answers"),
    System("generate, a prompt at a time", "hf_answers", variant="single"),
    System("generate, batches of 32", "hf_answers"),
)


def _ppo(size: str, tuning: str, lengths: str, steps: int, goal: float, memory_goal: float | None = None) -> Case:
    title = (
        f"PPO, {size}, {'LoRA 8' if tuning == 'lora' else 'full'}, {'fixed length' if lengths == 'fixed' else 'EOS'}"
    )
    return Case(
        f"ppo-{size}-{tuning}-{lengths}", title, size, _PPO, tuning, lengths, steps, goal=goal, memory_goal=memory_goal
    )


CASES = [
    _ppo("tiny", "lora", "fixed", 16, 2.2),
    _ppo("tiny", "lora", "eos", 16, 3.0),
    _ppo("tiny", "full", "fixed", 16, 1.9),
    _ppo("class", "lora", "fixed", 2, 1.5, 0.33),
    _ppo("class", "lora", "eos", 2, 2.0, 0.33),
    Case(
        "ppo-class-lora-eos-bf16",
        "PPO, class, LoRA 8, EOS: kochat in bf16, TRL in float32",
        "class",
        _PPO_BF16,
        lengths="eos",
        steps=2,
        goal=3.0,
    ),
    _ppo("class", "full", "eos", 1, 1.0, 0.75),
    *(
        Case(
            f"sft-{size}-{tuning}",
            f"SFT, {size}, {'LoRA 8' if tuning == 'lora' else 'full'}",
            size,
            _SFT,
            tuning,
            steps=steps,
            unit="real tokens",
            goal=2.2,
        )
        for size, steps in (("tiny", 8), ("class", 2))
        for tuning in ("lora", "full")
    ),
    *(
        Case(
            f"rm-{size}-{tuning}",
            f"reward model, {size}, {'LoRA 8' if tuning == 'lora' else 'full'}",
            size,
            _RM,
            tuning,
            steps=steps,
            unit="triples",
            goal=goal,
        )
        for size, steps in (("tiny", 3), ("class", 1))
        for tuning, goal in (("lora", 5.0), ("full", 4.0))
    ),
    Case(
        "answers-tiny",
        "evaluation, tiny: answer 300 prompts and score",
        "tiny",
        _ANSWERS,
        lengths="eos",
        steps=300,
        unit="answers",
        goal=3.0,
        against="generate, a prompt at a time",
    ),
    Case(
        "lightning-tiny",
        "Lightning's overhead, SFT, tiny: goal at least 0.95x of a bare loop",
        "tiny",
        (System("kochat", "kochat_sft"), System("bare loop", "bare_sft")),
        steps=8,
        unit="real tokens",
        goal=0.95,
    ),
]
