"""Check the models before the first rollout: find silent errors of RLHF code in seconds, on a few of the run's own prompts.

Most checks compute one number in two ways and compare the results. Rounding makes a small difference. A broken
assumption (positions that ignore the mask, dropout that stays on, a wrong reference model) makes a large one.
`tolerance` is the limit of the mean absolute difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch

from kochat.data.batches import PromptBatch
from kochat.errors import UserError
from kochat.nn.decoding import Generation, GenerationSettings, generate
from kochat.nn.roles import Role
from kochat.stages.ppo.models import PPORoles
from kochat.stages.ppo.rollout import Rollout, score_answers

ROWS, PROMPT, TOKENS, PADS = 4, 32, 8, 3
# Mean absolute difference, in nats or in score. At KoGPT2's shape (python -m benchmarks.tolerances) rounding causes
# 1.2e-6 in float32 and 9.5e-3 in bfloat16; positions that ignore the mask cause 1.8. float16 has three more bits than
# bfloat16.
TOLERANCES = {"32": 1e-4, "bf16": 0.05, "16": 0.02}


def tolerance(precision: str) -> float:
    """Return the tolerance, in nats or in score, for a Trainer's ``precision``, such as ``32-true`` or ``bf16-mixed``."""
    return next((value for kind, value in TOLERANCES.items() if str(precision).startswith(kind)), TOLERANCES["32"])


@torch.no_grad()
def check_roles(
    roles: PPORoles,
    prompts: PromptBatch,
    settings: GenerationSettings,
    limit: float,
    *,
    at_start: bool,
    unpad: bool = True,
) -> None:
    """Stop a run whose roles would make PPO's ratio, KL or reward wrong.

    Args:
        roles: all roles.
        prompts: prompts of the run; the first `ROWS` are used.
        settings: the run's sampling settings.
        limit: the tolerance, in nats or in score.
        at_start: True if the policy has not been trained yet, so that its KL from the reference must be 0.
        unpad: the run's setting; decoding, which pads, is compared with it.

    Raises:
        UserError: a check fails; the message gives the cause and the remedy.
    """
    prompts = first_prompts(prompts)
    short = replace(settings, max_new_tokens=min(TOKENS, settings.max_new_tokens))
    generator = torch.Generator(prompts.input_ids.device).manual_seed(0)
    drawn = generate(roles.policy, prompts.input_ids, prompts.mask, short, generator)
    rollout = score_answers(roles, prompts, drawn, short, unpad=unpad)
    check_finite(rollout)
    check_repeatable(rollout, score_answers(roles, prompts, drawn, short, unpad=unpad), limit)
    check_generation(drawn, rollout, limit)
    check_padding(rollout, score_answers(roles, more_padded(prompts, short.eos_id), drawn, short, unpad=False), limit)
    if at_start:
        check_reference(rollout, limit)


def first_prompts(prompts: PromptBatch) -> PromptBatch:
    """Return the last `PROMPT` tokens of the first `ROWS` prompts."""
    return replace(
        prompts, input_ids=prompts.input_ids[:ROWS, -PROMPT:], lengths=prompts.lengths[:ROWS].clamp(max=PROMPT)
    )


def more_padded(prompts: PromptBatch, eos_id: int) -> PromptBatch:
    """Return prompts with `PADS` more pads on the left; every pad holds the EOS id."""
    pads = prompts.input_ids.new_full((len(prompts.input_ids), PADS), eos_id)
    padded = torch.cat([pads, torch.where(prompts.mask, prompts.input_ids, eos_id)], dim=1)
    return replace(prompts, input_ids=padded)


def check_finite(rollout: Rollout) -> None:
    """Refuse roles whose output is NaN or infinite."""
    for name, field in (("policy", "old_logprobs"), ("reference", "ref_logprobs"), ("critic", "values")):
        if not getattr(rollout, field)[rollout.mask].isfinite().all():
            raise UserError(
                f"{name}: its output is not finite before a step was taken; its weights are broken, train it again"
            )
    if not rollout.scores.isfinite().all():
        raise UserError("reward_model: its score is not finite; its weights are broken, train it again")


def check_repeatable(rollout: Rollout, again: Rollout, limit: float) -> None:
    """Refuse roles whose two forward passes differ."""
    for name, (first, second) in _outputs(rollout, again).items():
        if _distance(first, second) > limit:
            raise UserError(
                f"{name}: two forward passes differ, so dropout is on; set the dropouts in its config.json or adapter_config.json to 0"
            )


def check_generation(drawn: Generation, rollout: Rollout, limit: float) -> None:
    """Refuse a policy whose log-probabilities in decoding differ from those of the training forward pass."""
    distance = _distance(drawn.logprobs[drawn.mask], rollout.old_logprobs[drawn.mask])
    if distance > limit:
        raise UserError(
            f"policy: log-probabilities while decoding differ from the forward pass by {distance:.2g} nats (at most {limit:g}); this "
            "architecture's key-value cache or positions are not understood, use a GPT-2, GPT-NeoX, Llama or Qwen2 base"
        )


def check_padding(rollout: Rollout, wide: Rollout, limit: float) -> None:
    """Refuse roles whose outputs change with more padding on the left (``wide``), filled with EOS."""
    for name, (narrow, padded) in _outputs(rollout, wide).items():
        if (distance := _distance(narrow, padded)) > limit:
            raise UserError(
                f"{name}: padding moves its output by {distance:.2g} (at most {limit:g}); this architecture takes no position_ids or "
                "no attention mask, use a GPT-2, GPT-NeoX, Llama or Qwen2 base"
            )


def check_reference(rollout: Rollout, limit: float) -> None:
    """Refuse a reference that is not the model from which the policy starts."""
    distance = _distance(rollout.old_logprobs[rollout.mask], rollout.ref_logprobs[rollout.mask])
    if distance > limit:
        raise UserError(
            f"reference: its log-probabilities are {distance:.2g} nats from the policy's before a step was taken (at most {limit:g}); "
            "both must be model.policy's export, which was changed while it was loaded; start the run again"
        )


def check_gradients(roles: Iterable[Role]) -> None:
    """Refuse a role if a trained parameter has no gradient after a backward pass.

    Raises:
        UserError: parameters have no gradient; the message says how many.
    """
    for role in roles:
        trained = [parameter for parameter in role.parameters() if parameter.requires_grad]
        lost = sum(parameter.grad is None for parameter in trained)
        if lost or not trained:
            raise UserError(
                f"{role.name}: {lost} of {len(trained)} trained tensors get no gradient; its adapter does not reach the output, "
                "give other model.lora.targets in the run that made it"
            )


def _outputs(one: Rollout, other: Rollout) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Pair the outputs of each role in two rollouts of the same answers; values and scores with a mean size above 1 are divided by it."""
    mask = one.mask
    values, scores = (max(1.0, float(x.abs().mean())) for x in (one.values[mask], one.scores))
    return {
        "policy": (one.old_logprobs[mask], other.old_logprobs[mask]),
        "reference": (one.ref_logprobs[mask], other.ref_logprobs[mask]),
        "critic": (one.values[mask] / values, other.values[mask] / values),
        "reward_model": (one.scores / scores, other.scores / scores),
    }


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one.float() - other.float()).abs().mean()) if one.numel() else 0.0
