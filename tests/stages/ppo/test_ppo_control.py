"""PPO's further controls: the adaptive KL weight, the early end of an update, ensembles, options that cannot be meant."""

import re
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from kochat.data.row_lengths import RowLengths
from kochat.errors import UserError
from kochat.stages.ppo.health_curves import CHARTS
from kochat.stages.ppo.module import PPOModule
from tests.stages.harness import BatchData, prompt_batch, trainer, write_stage


@pytest.fixture(scope="module")
def models(tmp_path_factory, base, tokenizer):
    folder = tmp_path_factory.mktemp("models")
    sft, rm = (write_stage(folder / str(rank), base, tokenizer, rank, rank == 16) for rank in (8, 16))
    return sft, rm, write_stage(folder / "second", base, tokenizer, 4, value=True)


def module(models, **options):
    small = {"max_new_tokens": 6, "minibatch_size": 2, "ppo_epochs": 2, "learning_rate": 1e-2, "critic_warmup": 0}
    return PPOModule(policy=str(models[0]), reward_model=str(models[1]), **(small | options))


def fitted(tmp_path, models, tokenizer, rollouts=2, **options):
    ppo = module(models, **options)
    run = trainer(tmp_path)
    run.fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * rollouts))
    return ppo, run


def test_a_fixed_weight_stays(tmp_path, models, tokenizer):
    ppo, run = fitted(tmp_path, models, tokenizer, kl_coef=0.3)
    assert ppo.kl_weight == run.callback_metrics["ppo/kl_coef"] == pytest.approx(0.3)


def test_the_adaptive_weight_moves_after_each_rollout(tmp_path, models, tokenizer):
    """The first rollout's KL is 0, far under the target: * 0.98. The log has the weight that a rollout was charged with."""
    ppo, run = fitted(tmp_path, models, tokenizer, rollouts=1, kl_coef=0.3, kl_target=6.0)
    assert run.callback_metrics["ppo/kl_coef"] == pytest.approx(0.3)
    assert ppo.kl_weight == pytest.approx(0.3 * 0.98)


def test_the_adaptive_weight_follows_the_kl_of_answers_not_of_tokens(tmp_path, models, tokenizer):
    """Two answers of 2 and 4 tokens at 1.5 nats each: 4.5 nats an answer, a tenth over a target of 4.5 / 1.1."""
    ppo = module(models, kl_coef=0.2, kl_target=4.5 / 1.1)
    ppo.trainer = trainer(tmp_path)
    mask = torch.arange(4) < torch.tensor([[2], [4]])
    ppo.adapt_kl_weight(SimpleNamespace(kl=1.5 * mask.float()))
    assert ppo.kl_weight == pytest.approx(0.2 * 1.01)


def rates_of(ppo, run, batches):
    """Fit, and return the rates (policy, critic) of each optimizer step."""
    rates = []
    clip = ppo.on_before_optimizer_step

    def noted(optimizer):
        rates.append([group["lr"] for group in optimizer.param_groups])
        clip(optimizer)

    ppo.on_before_optimizer_step = noted
    run.fit(ppo, datamodule=BatchData(batches))
    return rates


def test_policy_and_critic_have_their_own_rates_which_fall_to_zero(tmp_path, models, tokenizer):
    """Two rollouts of four steps: before each the rates stand at 8, 7, 6, ... eighths."""
    ppo = module(models, learning_rate=1e-3, critic_learning_rate=4e-3, warmup=0.0)
    rates = rates_of(ppo, trainer(tmp_path), [prompt_batch(tokenizer)] * 2)
    assert rates == [pytest.approx([left / 8 * 1e-3, left / 8 * 4e-3]) for left in range(8, 0, -1)]
    sizes = [sum(p.numel() for p in group["params"]) for group in ppo.optimizers().param_groups]
    roles = (ppo.roles.policy, ppo.roles.critic)
    assert sizes == [sum(p.numel() for p in role.parameters() if p.requires_grad) for role in roles]


def test_the_rates_rise_over_the_warm_up_and_then_fall(tmp_path, models, tokenizer):
    """Eight steps, half of them warm-up: 1, 2, 3, 4 quarters, then 4, 3, 2, 1 quarters."""
    ppo = module(models, learning_rate=1e-3, warmup=0.5)
    rates = [policy for policy, _ in rates_of(ppo, trainer(tmp_path), [prompt_batch(tokenizer)] * 2)]
    assert rates == pytest.approx([share * 1e-3 for share in (0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25)])


def test_the_critics_warm_up_uses_none_of_the_policys_schedule(tmp_path, models, tokenizer):
    """Four rollouts of four steps, two for the critic alone: the policy's eight steps have a whole schedule."""
    ppo = module(models, learning_rate=1e-3, critic_learning_rate=1e-3, warmup=0.5, critic_warmup=2)
    policy, critic = zip(*rates_of(ppo, trainer(tmp_path), [prompt_batch(tokenizer)] * 4), strict=True)
    schedule = (0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25)
    assert policy == pytest.approx([0.0] * 8 + [share * 1e-3 for share in schedule])
    assert critic[:8] == pytest.approx([step / 8 * 1e-3 for step in range(1, 9)])


def test_the_rate_follows_the_steps_where_updates_end_early(tmp_path, models, tokenizer):
    """A run of 8 steps whose updates end after one step each: the rate falls by an eighth a step."""
    ppo = module(models, target_kl=1e-9, learning_rate=1e-2, warmup=0.0)
    run = trainer(tmp_path, max_steps=8, max_epochs=-1)
    rates = [policy for policy, _ in rates_of(ppo, run, [prompt_batch(tokenizer)])]
    assert rates == pytest.approx([1e-2 * (8 - step) / 8 for step in range(8)])


def test_the_policy_stays_while_the_critic_warms_up(tmp_path, models, tokenizer):
    """Four rollouts, two for the critic alone: until then no weight of the policy moves, nor AdamW's state for it."""
    ppo = module(models, critic_warmup=2)
    ppo.configure_model()
    start = {role.name: [p.detach().clone() for p in role.parameters()] for role in ppo.roles.trained()}
    moved = []

    def changed(name):
        return not all(torch.equal(p, old) for p, old in zip(ppo.role(name).parameters(), start[name], strict=True))

    step = ppo.training_step

    def noted(batch, batch_idx):
        step(batch, batch_idx)
        state = ppo.optimizers().optimizer.state
        has_state = any(len(state[p]) for p in ppo.trained_parameters("policy") if p in state)
        moved.append((changed("policy"), changed("critic"), has_state))

    ppo.training_step = noted
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * 4))
    assert moved == [(False, True, False)] * 2 + [(True, True, True)] * 2


def test_the_critics_warm_up_leaves_half_of_the_rollouts_to_the_policy(tmp_path, models, tokenizer):
    """Two rollouts, and eight steps that are two rollouts: one of them; a single rollout trains the policy."""
    for rollouts, limits, expected in ((2, {}, 1), (1, {"max_steps": 8, "max_epochs": -1}, 1), (1, {}, 0)):
        ppo = module(models, critic_warmup=5)
        with pytest.warns(
            UserWarning, match=r"critic_warmup=5 is more than half of the run's \d rollouts; the critic is"
        ):
            trainer(tmp_path, **limits).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * rollouts))
        assert ppo.schedule.critic_rollouts == expected


def test_max_steps_ends_a_run_in_the_middle_of_an_update(tmp_path, models, tokenizer):
    """A rollout takes four steps; a run of six, as of a study's v1 beside its v2, takes six and not eight."""
    run = trainer(tmp_path, max_steps=6, max_epochs=-1)
    run.fit(module(models), datamodule=BatchData([prompt_batch(tokenizer)]))
    assert run.global_step == 6


def test_the_gradients_norms_are_clipped_apart(tmp_path, models, tokenizer):
    """Each of the two has the norm that it is clipped to, however large the other's is."""
    ppo = module(models, max_grad_norm=1e-3, vf_coef=100.0)
    norms = []
    clip = ppo.on_before_optimizer_step

    def measured(optimizer):
        clip(optimizer)
        parts = [ppo.trained_parameters(name) for name in ("policy", "critic")]
        norms.extend(torch.stack([p.grad.norm() for p in part]).norm().item() for part in parts)

    ppo.on_before_optimizer_step = measured
    run = trainer(tmp_path)
    run.fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
    logged = [run.callback_metrics[f"ppo/{name}_grad_norm"] for name in ("policy", "critic")]
    assert min(logged) > 1e-3
    assert norms == pytest.approx([1e-3] * len(norms), rel=1e-3)


def test_a_run_bounded_by_time_alone_is_refused(tmp_path, models, tokenizer):
    run = trainer(tmp_path, max_epochs=-1, max_time="00:00:01:00")
    with pytest.raises(UserError, match=r"max_epochs=-1 leaves the schedule without an end; give trainer\.max_steps"):
        run.fit(module(models), datamodule=BatchData([prompt_batch(tokenizer)]))


def test_a_prompt_and_answer_that_outgrow_the_positions_are_refused_at_the_start(tmp_path, models, tokenizer):
    """128 positions: prompts of up to 120 with 8 new tokens leave none for the EOS behind a cut answer."""
    data = BatchData([prompt_batch(tokenizer)])

    def with_prompts_of(length):
        ppo = module(models, max_new_tokens=8)
        ppo.row_lengths = RowLengths(prompt=length)
        return ppo

    message = r"max_prompt_length \+ model\.max_new_tokens \+ 1: 129 tokens are more than the 128 positions of policy"
    with pytest.raises(UserError, match=message):
        trainer(tmp_path).fit(with_prompts_of(120), datamodule=data)
    trainer(tmp_path).fit(with_prompts_of(119), datamodule=data)


def test_the_adaptive_weight_is_in_the_checkpoint_and_a_fixed_one_is_the_configs(tmp_path, models, tokenizer):
    _, run = fitted(tmp_path, models, tokenizer, kl_coef=0.3, kl_target=6.0)
    run.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    adaptive, fixed = module(models, kl_coef=0.3, kl_target=6.0), module(models, kl_coef=0.3)
    for ppo in (adaptive, fixed):
        ppo.on_load_checkpoint(checkpoint)
    assert 0.3 * 0.98**2 <= adaptive.kl_weight < 0.3
    assert fixed.kl_weight == 0.3


def test_an_update_ends_where_the_policy_has_gone_too_far(tmp_path, models, tokenizer):
    """Four minibatches are planned; a tiny target ends the update at the second, where the first step shows."""
    _, free = fitted(tmp_path, models, tokenizer, rollouts=1)
    assert free.callback_metrics["ppo/minibatches"] == 4
    ppo, held = fitted(tmp_path, models, tokenizer, rollouts=1, target_kl=1e-9)
    assert held.callback_metrics["ppo/minibatches"] == 2
    assert held.global_step == 1
    assert all(parameter.grad is None for parameter in ppo.trainable_parameters())


def test_an_ensemble_shares_the_base_and_its_disagreement_is_logged_and_charged(tmp_path, models, tokenizer):
    ppo, run = fitted(
        tmp_path, models, tokenizer, 1, reward_ensemble=[str(models[2])], disagreement_coef=0.5, missing_eos_penalty=0.0
    )
    assert len({id(role.host) for role in ppo.roles.all()}) == 1
    assert len(ppo.roles.all()) == 5
    figures = {name: run.callback_metrics[f"ppo/{name}"] for name in ("reward", "centred_score", "reward_disagreement")}
    assert figures["reward_disagreement"] > 0
    torch.testing.assert_close(figures["reward"], figures["centred_score"] - 0.5 * figures["reward_disagreement"])
    assert ppo.sources()["model.reward_ensemble[0]"] == str(models[2])


def test_the_length_penalty_is_charged_by_the_token(tmp_path, models, tokenizer):
    _, run = fitted(tmp_path, models, tokenizer, 1, length_penalty=0.25, missing_eos_penalty=0.0)
    figures = {name: run.callback_metrics[f"ppo/{name}"] for name in ("reward", "centred_score", "response_length")}
    torch.testing.assert_close(figures["reward"], figures["centred_score"] - 0.25 * figures["response_length"])


def test_the_reward_is_logged_raw_and_centred(tmp_path, models, tokenizer):
    _, run = fitted(tmp_path, models, tokenizer, 1, reward_unit="held_out")
    raw, centred = run.callback_metrics["ppo/raw_score"], run.callback_metrics["ppo/centred_score"]
    torch.testing.assert_close(centred, (raw - 0.25) / 2.0)  # write_stage's mean and spread


def test_a_stop_token_needs_no_eos_and_escapes_the_penalty(models, tokenizer):
    """Every token of the vocabulary but one ends an answer: nearly all answers are one token, and stopped."""
    others = [token for token, id_ in tokenizer.get_vocab().items() if id_ != 5]
    ppo = module(models, stop_tokens=others)
    ppo.configure_model()
    rollout = ppo.rollout(prompt_batch(tokenizer, ["안녕"] * 32), torch.Generator().manual_seed(0))
    ended = (
        rollout.sequences[:, -rollout.mask.shape[1] :].gather(1, rollout.mask.sum(1, keepdim=True) - 1).squeeze(1) != 5
    )
    assert torch.equal(rollout.stopped, ended)
    assert rollout.stopped.float().mean() > 0.9


def test_memory_is_said_before_training(tmp_path, models, tokenizer, capsys):
    fitted(tmp_path, models, tokenizer, 1)
    said = capsys.readouterr().err
    assert "kochat: models in memory" in said
    assert "shared by policy, reference, critic, reward_model" in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient_accumulation": 0}, r"gradient_accumulation=0 is too small"),
        ({"gradient_accumulation": 9, "minibatch_size": 8}, r"gradient_accumulation=9 is more than minibatch_size=8"),
        ({"kl_coef": -0.1}, r"kl_coef=-0.1 is no such weight"),
        ({"kl_coef": float("nan")}, r"kl_coef=nan is no such weight"),
        ({"learning_rate": -1e-5}, r"learning_rate=-1e-05 is no such weight or rate"),
        ({"kl_target": 0.0}, r"kl_target=0.0 is no target"),
        ({"target_kl": -1.0}, r"target_kl=-1.0 is no target"),
        ({"clip_range": 0.0}, r"clip_range=0.0 leaves nothing"),
        ({"gamma": 1.1}, r"gamma=1.1 is no share"),
        ({"gae_lambda": -0.1}, r"gae_lambda=-0.1 is no share"),
        ({"disagreement_coef": 0.5}, r"disagreement_coef=0.5 needs several reward models"),
        ({"temperature": float("nan")}, r"temperature=nan draws nothing"),
        ({"temperature": float("inf")}, r"temperature=inf draws nothing"),
        ({"kl_target": float("inf")}, r"kl_target=inf is no target"),
        ({"kl_coef": 0.0, "kl_target": 6.0}, r"kl_coef=0 never moves towards kl_target"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UserError, match=r"model\." + message):
        PPOModule(**options)


def test_tensorboard_gets_the_health_curves_and_each_is_logged(tmp_path, models, tokenizer):
    logger = TensorBoardLogger(tmp_path, name="run", version=0)
    run = trainer(tmp_path, logger=logger)
    run.fit(module(models, reward_unit="held_out"), datamodule=BatchData([prompt_batch(tokenizer)] * 2))
    logger.finalize("success")
    (path,) = (tmp_path / "run" / "version_0").glob("events.*")
    events = EventAccumulator(str(path)).Reload()
    (content,) = [event.tensor_proto.string_val[0] for event in events.Tensors("custom_scalars__config__")]
    (category,) = layout_pb2.Layout.FromString(content).category
    assert [chart.title for chart in category.chart] == list(CHARTS)
    for pattern in (tag for chart in category.chart for tag in chart.multiline.tag):
        assert [tag for tag in events.Tags()["scalars"] if re.match(pattern, tag)] == [pattern[1:-1]]
