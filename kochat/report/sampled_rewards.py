"""Read the rewards of answers that a run sampled for the test prompts: several answers a prompt, with their raw scores and KL.

Any stage may write such a file. Raw scores of two runs can be compared if one reward model gave them.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, FiniteFloat, field_validator

from kochat.report.record_files import read_records
from kochat.report.study_results import Run


class SampledRewards(BaseModel):
    """Sampled answers to one prompt.

    `raw_scores` are the reward model's, neither centred nor scaled. `kl` has one estimate for each answer, in nats an
    answer, of the KL from the SFT model; empty if it was not estimated.
    """

    id: str
    raw_scores: list[FiniteFloat] = Field(min_length=1)
    kl: list[FiniteFloat] = Field(default_factory=list)

    @field_validator("kl")
    @classmethod
    def _one_a_score(cls, kl: list[float], info: object) -> list[float]:
        scores = getattr(info, "data", {}).get("raw_scores", kl)
        if len(kl) not in (0, len(scores)):
            raise ValueError(f"{len(kl)} numbers for {len(scores)} answers")
        return kl


def read_sampled_rewards(run: Run, path: Path) -> dict[str, SampledRewards]:
    """Return the sampled answers to the test prompts by prompt id, without the fixed prompts; empty without the file.

    Raises:
        UserError: a line is broken; the message names file, line and field.
    """
    scored = {answer.id for answer in run.test_answers}
    return {row.id: row for row in read_records(SampledRewards, path) if row.id in scored}
