"""The options of best-of-n."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from kochat.config_types import ModelSource
from kochat.engine.common_options import AnswerOptions
from kochat.errors import UserError
from kochat.option_fields import count


@dataclass(kw_only=True)
class BestOfNOptions(AnswerOptions):
    """Which model answers, which one chooses, and among how many answers.

    Args:
        policy: the SFT model that samples the answers: a directory, a run name or a hub id.
        reward_model: the frozen reward model that chooses the best one.
        n: answers sampled for each prompt.
        temperature: sampling temperature, above 0.
        reward_unit: what the centred score is divided by: per_prompt, the standard deviation of this run's own answers to
            one prompt; held_out, that of all held-out answers; raw, nothing.
        unpad: run the reward model without padding, and only once on a prompt with its answers; false pads every row.
    """

    policy: ModelSource = ModelSource("sft_lora16")
    reward_model: ModelSource = ModelSource("rm_lora16")
    n: int = count(16)
    temperature: float = 1.0
    reward_unit: Literal["per_prompt", "held_out", "raw"] = "per_prompt"
    unpad: bool = True

    def check(self) -> None:
        """Refuse a temperature at which nothing is sampled, an unknown unit, and one answer a prompt for a standard deviation."""
        super().check()
        if not 0 < self.temperature < math.inf:
            raise UserError(
                f"model.temperature={self.temperature} draws nothing; best-of-n needs a temperature above 0, such as 1.0"
            )
        if self.reward_unit not in ("per_prompt", "held_out", "raw"):
            raise UserError(
                f"model.reward_unit={self.reward_unit!r} is no unit; choose one of per_prompt, held_out, raw"
            )
        if self.reward_unit == "per_prompt" and self.n < 2:
            raise UserError(
                f"model.n={self.n} has no standard deviation for reward_unit per_prompt; give n of 2 or more, or reward_unit held_out"
            )

    def sources(self) -> dict[str, str]:
        """Return the models that are used: config field -> model, the policy first."""
        return {"model.policy": self.policy, "model.reward_model": self.reward_model}
