"""Best-of-n: sample n answers to each prompt from an SFT model, and keep the one that the reward model likes best.

Nothing is trained. PPO aims at the same: a higher reward at a small KL from the SFT model. So this is the control that PPO must be
compared with (Stiennon et al. 2020, arXiv:2009.01325; Gao et al. 2022, arXiv:2210.10760).
"""

from __future__ import annotations

from typing import Any, ClassVar

from kochat.data.batches import PromptBatch
from kochat.engine.answering import AnsweredBatch, Answering
from kochat.engine.rank_rows import Row, gather_rows, log_figures, write_rows
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.nn.exports import read_info
from kochat.nn.role_loading import HostPool
from kochat.rewards.model_checks import check_reward_model, check_template
from kochat.rewards.reward_models import RewardModel, export_centring, load_reward_model
from kochat.runs import BEST_OF_N_FILE
from kochat.stages.best_of_n import STAGE
from kochat.stages.best_of_n.candidates import Candidates
from kochat.stages.best_of_n.options import BestOfNOptions
from kochat.stages.best_of_n.rewards_of_n import curve, per_prompt_centring, scored_rows


class BestOfNModule(StageModule):
    """Answer with the best of n sampled answers, without training.

    Args:
        options: the fields of `BestOfNOptions`, as keywords.

    Attributes:
        reward_model: the model that chooses; loaded by `configure_model`.
    """

    stage: ClassVar[Stage] = STAGE
    reward_model: RewardModel
    answering: Answering

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = BestOfNOptions(**options)
        self.answering = Answering(self, self.options)
        self._rows: list[Row] = []

    def sources(self) -> dict[str, str]:
        """Name the SFT model and the reward model."""
        return self.options.sources()

    def configure_model(self) -> None:
        """Load both models; adapters on one base share it.

        Raises:
            UserError: a model is missing, has the wrong kind, or was trained with another tokenizer or template.
        """
        if self.configured:
            return
        policy, judge = (self.inputs.folder(field, value) for field, value in self.sources().items())
        check_template("model.policy", policy, read_info(policy))
        check_reward_model("model.reward_model", judge, self.tokenizer)
        centring = export_centring("model.reward_model", judge, scale=self.options.reward_unit != "raw")
        pool = HostPool()
        self.adopt(pool.load("policy", policy))
        self.reward_model = load_reward_model(pool, "reward_model", judge, centring)
        self.adopt(self.reward_model.role)
        self.requires_grad_(False)

    def candidates(self, batch: PromptBatch) -> list[Row]:
        """Sample n answers to each prompt and score them; see `Candidates.rows`."""
        settings = self.answering.settings(self.options.temperature)
        sampler = Candidates(
            self.role("policy"), self.reward_model, self.tokenizer, settings, self.options.n, self.options.unpad
        )
        return sampler.rows(batch)

    def answered(self, batch: PromptBatch) -> AnsweredBatch:
        """Answer a prompt batch, each prompt with the best of its n answers."""
        return best_answers(batch, self.candidates(batch))

    def on_test_epoch_start(self) -> None:
        """Clear the answers of the previous test."""
        self._rows = []

    def test_step(self, batch: PromptBatch, batch_idx: int) -> AnsweredBatch:  # type: ignore[override]
        """Sample and score n answers to each test prompt; `AnswerEvaluation` scores and writes the best."""
        rows = self.candidates(batch)
        self._rows += rows
        return best_answers(batch, rows)

    def on_test_epoch_end(self) -> None:
        """Write ``best_of_n.jsonl``, and log reward and KL of the best of k answers, over all ranks and without the fixed prompts.

        Raises:
            RunError: the unit per_prompt is 0 or not finite.
        """
        rows = gather_rows(self._rows)
        if not rows:
            return
        scored, centring = scored_rows(rows), self.reward_model.centring
        if self.options.reward_unit == "per_prompt":
            centring = per_prompt_centring(scored, centring)
        for row in rows:
            row["rewards"] = [centring(score) for score in row["raw_scores"]]
        write_rows(self.trainer, rows, BEST_OF_N_FILE)
        scale = {"reward_zero": centring.mean, "reward_unit": centring.std}
        log_figures(self, "best_of_n/", curve([row["rewards"] for row in scored]) | scale)


def best_answers(batch: PromptBatch, rows: list[Row]) -> AnsweredBatch:
    """Return the answer with the highest score to each prompt, of several equal ones the first; ``rows`` are the prompts' candidates."""
    best = [row["answers"][row["raw_scores"].index(max(row["raw_scores"]))] for row in rows]
    return AnsweredBatch(batch.ids, batch.prompts, batch.references, batch.kinds, best)
