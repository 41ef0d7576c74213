"""The unit of PPO's reward: how far apart the SFT model's own answers to one prompt are.

The spread of all held-out answers has the differences between prompts in it, which no policy can change. Only
differences between answers to one prompt can raise the reward, so they are the unit that gives `kl_coef` a meaning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from kochat.data.batches import PromptBatch
from kochat.errors import RunError, UserError
from kochat.functional import within_group_std
from kochat.nn.decoding import GenerationSettings, generate
from kochat.stages.ppo.models import PPORoles
from kochat.stages.ppo.rollout import judge_answers

if TYPE_CHECKING:
    from kochat.stages.ppo.module import PPOModule

_SEED = 0


def reward_unit(module: PPOModule) -> float:
    """Return the unit of a run's reward in raw scores of the first reward model, the same on all ranks.

    Raises:
        UserError: the unit is to be measured, and the data has no validation prompts.
        RunError: the measured unit is 0 or not finite.
    """
    options, trainer = module.options, module.trainer
    if options.reward_unit != "per_prompt":
        return module.roles.unit
    data: Any = getattr(trainer, "datamodule", None)
    loader = data.validation_prompts(options.unit_prompts) if hasattr(data, "validation_prompts") else []
    batches = (trainer.strategy.batch_to_device(batch) for batch in loader)
    settings = module.answering.settings(options.temperature)
    unit = measured_unit(module.roles, batches, settings, options.unit_samples, unpad=options.unpad)
    return trainer.strategy.broadcast(unit)  # kernels of different devices may round differently


@torch.no_grad()
def measured_unit(
    roles: PPORoles, batches: Iterable[PromptBatch], settings: GenerationSettings, samples: int, *, unpad: bool = True
) -> float:
    """Return the pooled standard deviation of the scores of the reference's answers to one prompt, in raw scores.

    The draw is the same in every run. With several reward models it is the spread of their mean centred score, in raw
    scores of the first.

    Args:
        roles: all roles; the reference samples.
        batches: the prompts.
        settings: the run's sampling settings.
        samples: answers to each prompt, 2 or more.
        unpad: run the roles without padding; see `UnpaddedRows`.

    Raises:
        UserError: there are no prompts.
        RunError: the result is 0 or not finite.
    """
    scores, generator = [], None
    for batch in batches:
        generator = generator or torch.Generator(batch.input_ids.device).manual_seed(_SEED)
        drawn = (generate(roles.reference, batch.input_ids, batch.mask, settings, generator) for _ in range(samples))
        judged = [judge_answers(roles, batch, answers, settings, unpad=unpad).scores for answers in drawn]
        scores.append(torch.stack(judged, dim=1))
    if not scores:
        raise UserError(
            "model.reward_unit=per_prompt is measured on validation prompts, and the data has none; give more data, or "
            "reward_unit held_out"
        )
    unit = float(within_group_std(torch.cat(scores).double())) * roles.unit
    if not 0 < unit < math.inf:
        raise RunError(
            f"model.reward_unit=per_prompt: the scores of the SFT model's answers to one prompt have a spread of {unit:g}, "
            "which cannot be a unit; train the reward model longer, raise model.temperature, or give reward_unit held_out"
        )
    return unit
