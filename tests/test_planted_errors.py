"""Plant the errors that RLHF code is full of, one at a time, and see a test of the suite, or a start-up check, turn red.

A property test that no error can fail holds nothing. Each case here changes the code as the error would, then runs the test
that is meant to hold the property (and, where a user's own model could bring the error in, the start-up check).
"""

from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch import nn

from kochat.errors import UserError
from kochat.functional import length_mask
from kochat.nn import layouts
from tests.data import test_collators as samplers
from tests.engine import test_token_means as accumulation
from tests.functional import test_advantages as advantages
from tests.functional import test_masking as masking
from tests.nn import test_adapters as lora
from tests.nn import test_roles as roles
from tests.stages.ppo import test_checks as checks
from tests.stages.ppo import test_critic_fit as critic_fit
from tests.stages.ppo import test_policy_evaluation as evaluation
from tests.stages.ppo import test_ppo as ppo
from tests.stages.ppo import test_ppo_control as control
from tests.stages.ppo import test_rollout as collect
from tests.stages.ppo import test_unit_measurement as unit
from tests.stages.reward_model import test_reward as reward
from tests.stages.sft import test_sft as sft


def turns_red(test, *args, by: type[Exception] | tuple[type[Exception], ...] = (AssertionError, UserError)) -> None:
    with pytest.raises(by):
        test(*args)


def test_position_ids_dropped(tmp_path, base, tokenizer, monkeypatch):
    """Positions counted from the row's beginning, pads included."""
    sound = checks.load(tmp_path / "sound", tokenizer)
    monkeypatch.setattr("kochat.nn.roles.position_ids", lambda mask: torch.arange(mask.shape[1]).expand(mask.shape))
    turns_red(roles.test_padding_moves_no_logit_and_no_score, tmp_path / "a", tokenizer, "gpt2", 4)
    turns_red(ppo.test_padding_moves_no_reward_or_value, tmp_path / "b", base, tokenizer, 2, False)
    turns_red(checks.check, sound, tokenizer)


@pytest.mark.parametrize("policy_rank", [0, 8])
def test_reference_is_the_bare_base(tmp_path, base, tokenizer, monkeypatch, policy_rank):
    """What ``disable_adapter()`` gives where the SFT model is an adapter itself; of a full SFT, the base that it began as."""
    from kochat.nn.role_loading import HostPool

    load = HostPool.load

    def wrong(pool, name, folder, *, value=False):
        return load(pool, name, base if name == "reference" else folder, value=value)

    monkeypatch.setattr(HostPool, "load", wrong)
    turns_red(
        ppo.test_kl_is_zero_and_the_ratio_one_before_the_first_step,
        tmp_path / "a",
        base,
        tokenizer,
        policy_rank,
        16,
        1.0,
    )
    trained = ppo.module(tmp_path, base, tokenizer, policy_rank=policy_rank)
    with pytest.raises(UserError, match="reference: its log-probabilities are"):
        ppo.trainer(tmp_path).fit(trained, datamodule=ppo.BatchData([ppo.prompt_batch(tokenizer)]))


def test_dropout_left_on(tmp_path, base, tokenizer, monkeypatch):
    """The configuration's dropout kept, and nobody calls eval()."""
    from transformers import AutoConfig

    monkeypatch.setattr("kochat.nn.backbones.load_config", lambda folder: AutoConfig.from_pretrained(str(folder)))
    turns_red(roles.test_dropout_is_off_even_in_train_mode, base)
    trained = ppo.loaded(tmp_path, base, tokenizer)
    nn.Module.train(trained, True)
    with pytest.raises(UserError, match="two forward passes differ, so dropout is on"):
        ppo.trainer(tmp_path).fit(trained, datamodule=ppo.BatchData([ppo.prompt_batch(tokenizer)]))


def test_lora_on_linear_layers_alone(base, monkeypatch):
    """GPT-2's layers are Conv1D."""
    monkeypatch.setattr("kochat.nn.adapters.Conv1D", nn.Linear)
    turns_red(lora.test_parameter_count_is_the_closed_form_on_conv1d, base)


def test_lora_attached_to_fewer_layers_than_meant(base, monkeypatch):
    """PEFT takes a subset without a word."""
    from kochat.nn import adapters as room

    config = room.lora_config

    def fewer(model, settings, task_type="CAUSAL_LM"):
        made = config(model, settings, task_type)
        made.layers_to_transform = [0]
        return made

    monkeypatch.setattr("kochat.nn.role_loading.lora_config", fewer)
    turns_red(
        lora.test_parameter_count_is_the_closed_form_on_conv1d, base, by=RuntimeError
    )  # counted when it is attached


def test_masks_from_pad_ids(tmp_path, base, tokenizer, monkeypatch):
    """``ids != pad`` where pad is EOS: the EOS label goes, and the model never learns to stop."""
    from kochat.data.batches import TextBatch

    targets = TextBatch.targets.fget

    def from_ids(batch):
        return targets(batch) & (batch.input_ids != tokenizer.eos_token_id)[:, 1:]

    monkeypatch.setattr(TextBatch, "targets", property(from_ids))
    turns_red(sft.test_loss_is_the_cross_entropy_of_completion_and_eos, base, tokenizer)


def test_prompt_mask_from_pad_ids(tmp_path, base, tokenizer, monkeypatch):
    """A prompt mask that is all True where the pads hold other ids."""
    from kochat.data.batches import PromptBatch

    monkeypatch.setattr(PromptBatch, "mask", property(lambda batch: batch.input_ids != 9))
    turns_red(ppo.test_padding_moves_no_reward_or_value, tmp_path, base, tokenizer, 9, True)


@pytest.mark.parametrize("stage", ["sft", "ppo"])
def test_mean_of_means(tmp_path, base, tokenizer, monkeypatch, stage):
    """Each part divided by its own count."""
    if stage == "sft":
        monkeypatch.setattr("kochat.engine.token_means.TokenWindow.divisor", lambda self, share: share)
        turns_red(accumulation.test_sft, tmp_path, base, tokenizer, 2)
    else:
        from kochat.stages.ppo.module import PPOModule

        losses = PPOModule.losses
        monkeypatch.setattr(
            PPOModule,
            "losses",
            lambda self, rollout, targets, share: losses(self, rollout, targets, rollout.mask.sum().clamp(min=1)),
        )
        turns_red(accumulation.test_ppo, tmp_path, base, tokenizer, (8, 16))


def test_answers_re_tokenised(tmp_path_factory, base, tokenizer, monkeypatch):
    """The reward model is given decoded and encoded text: other ids for most draws."""
    room = import_module("kochat.stages.ppo.rollout")
    ended = room.ended

    def through_text(sequences, mask, stopped, eos_id):
        ids, kept = ended(sequences, mask, stopped, eos_id)
        rows = [
            tokenizer(tokenizer.decode(row[keep]), add_special_tokens=False)["input_ids"]
            for row, keep in zip(ids, kept, strict=True)
        ]
        width = max(map(len, rows))
        return torch.tensor([row + [2] * (width - len(row)) for row in rows]), length_mask(
            torch.tensor([len(row) for row in rows]), width
        )

    monkeypatch.setattr(room, "ended", through_text)
    turns_red(
        collect.test_sampled_ids_are_never_decoded_and_encoded_again,
        collect.roles.__wrapped__(tmp_path_factory, base, tokenizer),
        tokenizer,
    )


@pytest.mark.parametrize("where", ["kochat.stages.ppo.rollout", "kochat.stages.ppo.module"])
def test_temperature_forgotten_in_a_forward_pass(tmp_path, base, tokenizer, monkeypatch, where):
    """The reference's, or the update's, log-probabilities at temperature 1, the draw at 0.7."""
    room = import_module(where)
    logprobs = room.response_logprobs

    def forgetful(role, rows, mask, temperature):
        return logprobs(role, rows, mask, 1.0 if role.name == "reference" or where.endswith("module") else temperature)

    monkeypatch.setattr(room, "response_logprobs", forgetful)
    if where.endswith("rollout"):
        test = ppo.test_kl_is_zero_and_the_ratio_one_before_the_first_step
        turns_red(test, tmp_path, base, tokenizer, 8, 16, 0.7)
    else:
        test = ppo.test_clip_fraction_is_zero_and_gradient_is_vanilla_on_the_first_minibatch
        turns_red(test, tmp_path, base, tokenizer, [0, 1, 2, 3], False)


def test_targets_of_other_rows(tmp_path, base, tokenizer, monkeypatch):
    """A shuffled minibatch beside the first rows' targets."""
    from kochat.stages.ppo.rollout import Targets

    rows = Targets.rows
    monkeypatch.setattr(Targets, "rows", lambda self, index: rows(self, torch.arange(len(index))))
    turns_red(ppo.test_a_minibatchs_losses_are_those_of_its_own_rows, tmp_path, base, tokenizer)


def test_critic_trained_on_advantages(tmp_path, base, tokenizer, monkeypatch):
    from kochat import functional as room

    original = room.value_loss

    def on_advantages(values, old_values, returns, *rest, **options):
        return original(values, old_values, returns - old_values, *rest, **options)

    monkeypatch.setattr(room, "value_loss", on_advantages)
    turns_red(ppo.test_a_minibatchs_losses_are_those_of_its_own_rows, tmp_path, base, tokenizer)


def test_values_read_one_token_late(tmp_path, base, tokenizer, monkeypatch):
    room = import_module("kochat.stages.ppo.rollout")

    def late(mask, response_mask):
        where = torch.zeros_like(mask)
        where[:, -response_mask.shape[1] :] = response_mask
        return where

    monkeypatch.setattr(room, "before_responses", late)
    turns_red(ppo.test_a_minibatchs_losses_are_those_of_its_own_rows, tmp_path, base, tokenizer)


def test_advantages_left_as_they_are(tmp_path, base, tokenizer, monkeypatch):
    from kochat import functional

    monkeypatch.setattr(functional, "masked_whiten", lambda advantages, mask, **moments: advantages)
    turns_red(ppo.test_advantages_are_whitened_and_returns_are_not, tmp_path, base, tokenizer)


def test_a_head_outside_its_roles_adapter(tmp_path, tokenizer, monkeypatch):
    """The output embedding's adapter of whichever role was active last."""
    from kochat.nn import roles as room

    monkeypatch.setattr(
        room.Role,
        "project",
        lambda self, x: self.head(x) if self.head else room._base(self.host).get_output_embeddings()(x),
    )
    turns_red(ppo.test_the_references_outputs_stay_where_the_head_has_adapters, tmp_path, tokenizer)


def test_an_adapter_switch_that_freezes(base, monkeypatch):
    """PEFT's ``set_adapter`` alone: trainability changes with the active adapter."""

    def peft_switch(switch, adapters):
        for layer, names in zip(switch._layers, adapters, strict=True):
            layer.set_adapter(names)

    monkeypatch.setattr(lora.AdapterSwitch, "_set", peft_switch)
    turns_red(lora.test_switching_restores_the_active_adapter_and_trainability_after_an_error, base)


def test_score_read_at_the_last_column(base, tokenizer, monkeypatch):
    """The pads' hidden state in place of EOS's."""

    def last_column(role, rows):
        return role.project(role.hidden(rows.sequences, rows.mask)[:, -1])

    monkeypatch.setattr("kochat.stages.reward_model.module.last_scores", last_column)
    turns_red(reward.test_score_stands_at_the_last_real_token, base, tokenizer)


def test_ranking_read_as_a_rank_an_item(tmp_path, monkeypatch):
    """KoChatGPT's own notebook does: [1, 2, 0] would make completion_0 the middle one and not the worst but one."""
    from kochat.data.records import PreferenceRecord
    from tests.data import test_records as records

    def by_rank(self):
        completions = (self.completion_0, self.completion_1, self.completion_2)
        return tuple(text for _, text in sorted(zip(self.ranking, completions, strict=True)))

    monkeypatch.setattr(PreferenceRecord, "ordered", property(by_rank))
    turns_red(records.test_ranking_lists_indices_best_to_worst, tmp_path)


def test_whitening_that_adds_the_mean_back(monkeypatch):
    """Torchtune's ``whiten(shift_mean=True)`` did."""
    original = masking.masked_whiten
    monkeypatch.setattr(
        masking, "masked_whiten", lambda x, mask, **options: original(x, mask, **options | {"shift_mean": False})
    )
    turns_red(masking.test_whiten_gives_mean_zero_and_variance_one_under_the_mask)


def test_value_after_the_last_token_bootstrapped(monkeypatch):
    """V(pad) taken as the next value of the last token."""
    original = advantages.gae

    def bootstrapped(rewards, values, mask, **options):
        return original(rewards, values, torch.ones_like(mask), **options)

    monkeypatch.setattr(advantages, "gae", bootstrapped)
    turns_red(advantages.test_pads_on_either_side_change_nothing)


@pytest.mark.parametrize(
    "error", ["one row", "positions not restarted", "gradient of one row alone", "other prefixes shared"]
)
def test_unpadded_rows_that_are_other_rows(tmp_path, tokenizer, monkeypatch, error):
    """All tokens one row; positions counted through; a prefix that learns from one row alone; first tokens taken for equal."""
    build = layouts.Layout.__init__

    def broken(layout, *rows):
        build(layout, *rows)
        if error == "one row":
            layout.rows, layout.width = 1, len(layout.tokens)
            layout.slots = layout.places = torch.arange(len(layout.tokens))
            layout.copies = layout.copied = layout.copies[:0]
        elif error == "positions not restarted":
            layout.positions = torch.arange(len(layout.tokens))
        else:
            layout.copies, layout.copied = layout.copies[:0], layout.copied[:0]

    if error == "other prefixes shared":
        monkeypatch.setattr(layouts, "_common_prefix", lambda one, other: min(len(one), len(other), 3))
    else:
        monkeypatch.setattr(layouts.Layout, "__init__", broken)
    turns_red(sft.test_unpadded_rows_cannot_see_each_other, tmp_path, tokenizer, "gpt2", "sdpa")


def test_the_policys_gradient_in_the_critic(tmp_path, base, tokenizer, monkeypatch):
    """A critic on the policy's own adapter."""
    from kochat.stages.ppo import models as room

    load = room.load_roles

    def shared(*args, **options):
        loaded = load(*args, **options)
        return replace(loaded, critic=replace(loaded.critic, adapter="policy"))

    monkeypatch.setattr(room, "load_roles", shared)
    turns_red(ppo.test_policy_loss_never_reaches_the_critic, tmp_path, base, tokenizer)


def test_a_reward_model_that_is_trained(tmp_path, base, tokenizer, monkeypatch):
    """A role that counts the whole host, shared with others, as its own: refused before the first step."""
    from kochat.nn.roles import Role

    monkeypatch.setattr(Role, "parameters", lambda self: list(self.host.parameters()))
    turns_red(ppo.test_only_policy_and_critic_change, tmp_path, base, tokenizer, 8, 16, by=RuntimeError)


def test_an_optimizer_of_all_roles(tmp_path, base, tokenizer, monkeypatch):
    """Nothing frozen, everything stepped, weight decay included."""
    from kochat.stages.ppo.module import PPOModule

    def everything(self):
        self.requires_grad_(True)
        groups = [{"params": list(self.parameters())}, {"params": []}]
        return torch.optim.AdamW(groups, lr=1e-2, weight_decay=0.1)

    monkeypatch.setattr(PPOModule, "configure_optimizers", everything)
    turns_red(ppo.test_only_policy_and_critic_change, tmp_path, base, tokenizer, 8, 16)


def test_a_unit_with_the_differences_between_prompts_in_it(tmp_path, base, tokenizer, monkeypatch):
    """The spread of all answers: what no policy can change would be most of it."""
    monkeypatch.setattr("kochat.stages.ppo.unit_measurement.within_group_std", torch.std)
    turns_red(unit.test_the_unit_has_no_differences_between_prompts_in_it, tmp_path, base, tokenizer, by=AssertionError)


def test_a_unit_that_is_measured_again_on_resume(tmp_path, base, tokenizer, monkeypatch):
    """The policy has moved by then, or other prompts were drawn: the scale of the reward would jump."""
    from kochat.stages.ppo.module import PPOModule

    load = PPOModule.on_load_checkpoint
    monkeypatch.setattr(PPOModule, "on_load_checkpoint", lambda self, saved: load(self, {**saved, "reward_unit": None}))
    turns_red(
        unit.test_the_unit_is_the_same_in_every_run_and_is_restored,
        tmp_path,
        base,
        tokenizer,
        monkeypatch,
        by=pytest.fail.Exception,
    )


def test_one_norm_for_policy_and_critic(tmp_path_factory, tmp_path, base, tokenizer, monkeypatch):
    """A large value loss takes the policy's step away."""
    from kochat.stages.ppo.module import PPOModule

    def joint(self, optimizer):
        norm = torch.nn.utils.clip_grad_norm_(self.trainable_parameters(), self.options.max_grad_norm)
        for name in ("policy", "critic"):
            self.log(f"ppo/{name}_grad_norm", norm)

    monkeypatch.setattr(PPOModule, "on_before_optimizer_step", joint)
    models = control.models.__wrapped__(tmp_path_factory, base, tokenizer)
    turns_red(control.test_the_gradients_norms_are_clipped_apart, tmp_path, models, tokenizer)


@pytest.mark.parametrize("error", ["policy trained", "gradient of zero"])
def test_a_policy_that_moves_while_the_critic_warms_up(tmp_path_factory, tmp_path, base, tokenizer, monkeypatch, error):
    """Both trained as ever; or the policy stepped with gradients of zero, which fills AdamW's state."""
    from kochat.stages.ppo.module import PPOModule

    if error == "policy trained":
        monkeypatch.setattr("kochat.stages.ppo.schedule.RunSchedule.trains_policy", property(lambda self: True))
    else:

        def stepped_with_zeros(self, optimizer):
            for parameter in self.trained_parameters("policy"):
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)

        monkeypatch.setattr(PPOModule, "on_before_optimizer_step", stepped_with_zeros)
    models = control.models.__wrapped__(tmp_path_factory, base, tokenizer)
    turns_red(control.test_the_policy_stays_while_the_critic_warms_up, tmp_path, models, tokenizer)


def test_a_critic_that_keeps_the_reward_models_head(tmp_path, base, tokenizer, monkeypatch):
    """Its scores were only ever read at EOS."""
    monkeypatch.setattr("kochat.stages.ppo.critic_fit.fit_head", lambda *args: None)
    turns_red(critic_fit.test_the_first_values_are_near_the_returns, tmp_path, base, tokenizer)


def test_an_objective_with_the_kl_of_a_token(tmp_path, base, tokenizer, monkeypatch):
    """The mean over the answer's tokens in place of their sum, as in KoChatGPT."""
    monkeypatch.setattr(
        "kochat.stages.ppo.policy_evaluation.objective", lambda rewards, kl, weight: rewards - weight * kl.mean(1)
    )
    turns_red(evaluation.test_validation_figures_are_those_of_sampled_and_greedy_answers, tmp_path, base, tokenizer)


def test_rollouts_of_prompts_of_one_length(monkeypatch):
    """The length buckets of the other stages."""
    monkeypatch.setattr(
        samplers.LengthBucketSampler, "pool_batches", property(lambda self: 50, lambda self, _: None), raising=False
    )
    turns_red(samplers.test_pools_of_one_batch_are_a_uniform_draw_of_rows)
