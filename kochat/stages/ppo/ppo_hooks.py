"""What Lightning and the command line ask of PPO besides its steps: models, checks, optimizer, checkpoints, export."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.trainer.states import TrainerFn

from kochat.data.batches import PromptBatch
from kochat.engine.answering import Answering
from kochat.engine.policy_export import write_policy
from kochat.engine.rank_rows import Row
from kochat.engine.ranks import rank_generator
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.errors import UserError
from kochat.stages.ppo import STAGE
from kochat.stages.ppo.checks import check_gradients, check_roles, tolerance
from kochat.stages.ppo.health_curves import arrange_curves
from kochat.stages.ppo.models import PPORoles, load_run_roles, train_only
from kochat.stages.ppo.options import PPOOptions
from kochat.stages.ppo.schedule import RunSchedule, policy_and_critic_adamw


class PPOHooks(StageModule):
    """The hooks of PPO; `PPOModule` has the algorithm.

    Args:
        options: the fields of `PPOOptions`, as keywords.

    Attributes:
        kl_weight: the current weight of the KL penalty; it starts at ``kl_coef`` and changes only with a ``kl_target``.
        reward_unit: the unit of the reward in raw scores; None before the first rollout.
        schedule: where the run stands.
        roles: policy, reference, critic and reward models; loaded by `configure_model`.
    """

    stage: ClassVar[Stage] = STAGE
    roles: PPORoles
    answering: Answering

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.automatic_optimization = False  # `update` takes the optimizer's steps
        self.options = PPOOptions(**options)
        self.answering = Answering(self, self.options)
        self.kl_weight = self.options.kl_coef
        self.reward_unit: float | None = None
        self.schedule = RunSchedule(self.options)
        self._prepared = False
        self._without_gradient: list[str] = []  # roles whose gradients are still to be checked
        self._sampled_rows: list[Row] = []

    def sources(self) -> dict[str, str]:
        """Name the SFT model and the reward models."""
        return self.options.sources()

    def configure_model(self) -> None:
        """Load all roles; adapters on one base share it. `predict` loads only a trained policy, `test` does where others are missing."""
        task = self.trainer.state.fn if self.inputs.trained is not None else TrainerFn.FITTING
        if self.configured or (task == TrainerFn.PREDICTING and self.load_trained("policy")):
            return
        try:
            self.roles = load_run_roles(self.inputs, self.options, self.tokenizer)
        except UserError as error:
            if task != TrainerFn.TESTING:
                raise
            warnings.warn(f"the figures of sampled answers are left out: {error}", stacklevel=2)
            self.load_trained("policy")
            return
        for role in self.roles.all():
            self.adopt(role)
        train_only(self, self.roles.trained(), self.roles.frozen())

    def train(self, mode: bool = True) -> PPOHooks:  # noqa: FBT001, FBT002 - torch's
        """Keep every role in eval mode: dropout would make the ratio differ from 1 before the first step."""
        return super().train(False)

    def longest_rows(self) -> dict[str, int]:
        """Return the length of the longest prompt with its answer and the EOS that is added to a cut answer."""
        return self.row_lengths.with_answer(self.options.max_new_tokens, more=1)

    def check_before_training(self, batch: PromptBatch) -> None:
        """Stop before the first step if a role would make ratio, KL or reward wrong."""
        settings, limit = self.answering.settings(self.options.temperature), tolerance(self.trainer.precision)
        check_roles(
            self.roles, batch, settings, limit, at_start=self.trainer.global_step == 0, unpad=self.options.unpad
        )

    def check_new_gradients(self) -> None:
        """Check the gradients of a role before its first step."""
        trained = [name for name in self._without_gradient if name == "critic" or self.schedule.trains_policy]
        check_gradients(self.role(name) for name in trained)
        self._without_gradient = [name for name in self._without_gradient if name not in trained]

    def trained_parameters(self, name: str) -> list[torch.nn.Parameter]:
        """List the trained parameters of a role."""
        return [parameter for parameter in self.role(name).parameters() if parameter.requires_grad]

    def on_train_start(self) -> None:
        """Give this rank its own random generator, so that ranks draw different answers, and arrange the curves."""
        self.sampler = rank_generator(self.device, self.global_rank)
        arrange_curves(self.trainer)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return one AdamW with a parameter group each for policy and critic; `RunSchedule` sets their rates."""
        return policy_and_critic_adamw(self.trainer, self.roles, self.options)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the trained weights, the unit of the reward, the place in the schedule, and the KL weight."""
        super().on_save_checkpoint(checkpoint)
        state = {"reward_unit": self.reward_unit, "schedule": self.schedule.state_dict(), "kl_weight": self.kl_weight}
        checkpoint |= state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore what `on_save_checkpoint` saved; a fixed KL weight comes from the config."""
        super().on_load_checkpoint(checkpoint)
        self.reward_unit = checkpoint["reward_unit"]
        self.schedule.load_state_dict(checkpoint["schedule"])
        if self.options.kl_target is not None:
            self.kl_weight = checkpoint["kl_weight"]

    def export(self, folder: Path) -> None:
        """Write the policy: one adapter on the original base, or a whole causal LM."""
        write_policy(self, "model.policy", self.options.policy, folder)
