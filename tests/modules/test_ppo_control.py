"""PPO's further controls: the adaptive KL weight, the early end of an update, ensembles, options that cannot be meant."""

import pytest
import torch

from kochat.errors import UserError
from kochat.modules import PPOModule
from tests.modules.harness import BatchData, prompt_batch, trainer, write_stage


@pytest.fixture(scope="module")
def models(tmp_path_factory, base, tokenizer):
    folder = tmp_path_factory.mktemp("models")
    sft, rm = (write_stage(folder / str(rank), base, tokenizer, rank, rank == 16) for rank in (8, 16))
    return sft, rm, write_stage(folder / "second", base, tokenizer, 4, value=True)


def module(models, **options):
    small = {"max_new_tokens": 6, "minibatch_size": 2, "ppo_epochs": 2, "learning_rate": 1e-2}
    return PPOModule(policy=str(models[0]), reward_model=str(models[1]), **(small | options))


def fitted(tmp_path, models, tokenizer, rollouts=2, **options):
    ppo = module(models, **options)
    run = trainer(tmp_path)
    run.fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * rollouts))
    return ppo, run


def test_a_fixed_weight_stays(tmp_path, models, tokenizer):
    ppo, run = fitted(tmp_path, models, tokenizer, kl_coef=0.3)
    assert ppo.kl_coef == run.callback_metrics["ppo/kl_coef"] == pytest.approx(0.3)


def test_the_adaptive_weight_moves_after_each_rollout(tmp_path, models, tokenizer):
    """The first rollout's KL is 0, far under the target: * 0.98. The log has the weight that a rollout was charged with."""
    ppo, run = fitted(tmp_path, models, tokenizer, rollouts=1, kl_coef=0.3, kl_target=6.0)
    assert run.callback_metrics["ppo/kl_coef"] == pytest.approx(0.3)
    assert ppo.kl_coef == pytest.approx(0.3 * 0.98)


def test_the_adaptive_weight_is_in_the_checkpoint_and_a_fixed_one_is_the_configs(tmp_path, models, tokenizer):
    _, run = fitted(tmp_path, models, tokenizer, kl_coef=0.3, kl_target=6.0)
    run.save_checkpoint(tmp_path / "last.ckpt")
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    adaptive, fixed = module(models, kl_coef=0.3, kl_target=6.0), module(models, kl_coef=0.3)
    for ppo in (adaptive, fixed):
        ppo.on_load_checkpoint(checkpoint)
    assert 0.3 * 0.98**2 <= adaptive.kl_coef < 0.3
    assert fixed.kl_coef == 0.3


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
    _, run = fitted(tmp_path, models, tokenizer, 1)
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
        ({"kl_target": 0.0}, r"kl_target=0.0 leaves nothing"),
        ({"target_kl": -1.0}, r"target_kl=-1.0 leaves nothing"),
        ({"clip_range": 0.0}, r"clip_range=0.0 leaves nothing"),
        ({"gamma": 1.1}, r"gamma=1.1 is no share"),
        ({"gae_lambda": -0.1}, r"gae_lambda=-0.1 is no share"),
        ({"disagreement_coef": 0.5}, r"disagreement_coef=0.5 needs several reward models"),
        ({"temperature": float("nan")}, r"temperature=nan draws nothing"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(UserError, match=r"model\." + message):
        PPOModule(**options)
