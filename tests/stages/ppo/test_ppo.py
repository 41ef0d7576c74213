"""PPO: nothing moves before the first step, only what should is trained, and it learns."""

import pytest
import torch

from kochat.errors import UserError
from kochat.functional import kl_estimate
from kochat.nn.unpadded import rows_of
from kochat.rewards.centring import Centring
from kochat.stages.ppo import module as ppo_module
from kochat.stages.ppo.metrics import UpdateStatistics, summed
from kochat.stages.ppo.module import PPOModule
from kochat.stages.ppo.options import PPOOptions
from kochat.stages.ppo.rollout import response_logprobs
from kochat.stages.ppo.schedule import minibatches
from tests.conftest import head_outputs
from tests.stages.harness import BatchData, prompt_batch, trainer, write_stage


def module(tmp_path, base, tokenizer, policy_rank=8, reward_rank=16, **options):
    sft = write_stage(tmp_path / "sft", base, tokenizer, policy_rank)
    rm = write_stage(tmp_path / "rm", base, tokenizer, reward_rank, value=True)
    defaults = {
        "max_new_tokens": 8,
        "minibatch_size": 2,
        "ppo_epochs": 2,
        "learning_rate": 1e-2,
        "critic_learning_rate": 1e-2,
        "critic_warmup": 0,
    }
    return PPOModule(policy=str(sft), reward_model=str(rm), **(defaults | options))


def loaded(tmp_path, base, tokenizer, **options):
    ppo = module(tmp_path, base, tokenizer, **options)
    ppo.configure_model()
    return ppo


RANKS = [(0, 0), (8, 16), (0, 8), (8, 0), (16, 8)]


@pytest.mark.parametrize("temperature", [0.7, 1.0])
@pytest.mark.parametrize(("policy_rank", "reward_rank"), RANKS)
def test_kl_is_zero_and_the_ratio_one_before_the_first_step(
    tmp_path, base, tokenizer, policy_rank, reward_rank, temperature
):
    """The reference is the SFT policy itself, whose adapter is not zero."""
    ppo = loaded(tmp_path, base, tokenizer, policy_rank=policy_rank, reward_rank=reward_rank, temperature=temperature)
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    assert torch.equal(rollout.old_logprobs[rollout.mask], rollout.ref_logprobs[rollout.mask])
    rows = rows_of(rollout.sequences, rollout.sequence_mask, unpad=True)
    again = response_logprobs(ppo.role("policy"), rows, rollout.mask, temperature)
    assert torch.equal(again[rollout.mask], rollout.old_logprobs[rollout.mask])


def test_generation_logprobs_equal_the_training_forward(tmp_path, base, tokenizer):
    from kochat.nn.decoding import generate

    ppo = loaded(tmp_path, base, tokenizer, temperature=0.7)
    batch = prompt_batch(tokenizer, width=20)
    mask = batch.mask
    drawn = generate(
        ppo.role("policy"), batch.input_ids, mask, ppo.answering.settings(0.7), torch.Generator().manual_seed(1)
    )
    sequences, full = torch.cat([batch.input_ids, drawn.responses], 1), torch.cat([mask, drawn.mask], 1)
    forward = response_logprobs(ppo.role("policy"), rows_of(sequences, full, unpad=True), drawn.mask, 0.7)
    torch.testing.assert_close(forward[drawn.mask], drawn.logprobs[drawn.mask], atol=1e-5, rtol=0)


@pytest.mark.parametrize("unpad", [True, False])
@pytest.mark.parametrize("pad", [2, 0, 9])
def test_padding_moves_no_reward_or_value(tmp_path, base, tokenizer, pad, unpad):
    """Wider prompts, garbage in the pads, pad == eos: the same rewards, values and log-probabilities."""
    from kochat.nn.decoding import generate
    from kochat.stages.ppo.rollout import score_answers

    ppo = loaded(tmp_path, base, tokenizer)
    roles = ppo.roles
    settings = ppo.answering.settings(1.0)
    narrow = prompt_batch(tokenizer)
    drawn = generate(roles.policy, narrow.input_ids, narrow.mask, settings, torch.Generator().manual_seed(0))
    first = score_answers(roles, narrow, drawn, settings, unpad=unpad)
    wide = prompt_batch(tokenizer, width=narrow.input_ids.shape[1] + 5)
    wide.input_ids = torch.where(wide.mask, wide.input_ids, pad)
    second = score_answers(roles, wide, drawn, settings, unpad=unpad)
    torch.testing.assert_close(first.scores, second.scores, atol=1e-5, rtol=0)
    for name in ("values", "old_logprobs"):
        left, right = getattr(first, name), getattr(second, name)
        torch.testing.assert_close(left[first.mask], right[first.mask], atol=1e-5, rtol=0)


def attached(tmp_path, ppo):
    """Give a loaded module a trainer that is not running."""
    ppo.trainer = trainer(tmp_path)
    ppo.trainer.strategy.connect(ppo)
    return ppo


@pytest.mark.parametrize("index", [[0, 1, 2, 3], [3, 1]])
@pytest.mark.parametrize("trained", [False, True])
def test_clip_fraction_is_zero_and_gradient_is_vanilla_on_the_first_minibatch(
    tmp_path, base, tokenizer, index, trained
):
    """At ratio 1 the surrogate's gradient is that of -mean(A * log p): also of some rows, and of a later rollout."""
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer, vf_coef=0.0, temperature=0.7))
    if trained:
        for parameter in ppo.roles.policy.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    whole = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    targets = ppo.targets(whole)
    if trained:
        assert targets.kl.abs().max() > 0.01
    index = torch.tensor(index)
    rollout = whole.rows(index)
    loss, statistics = summed(ppo.losses(rollout, targets.rows(index), rollout.mask.sum()))
    policy = [p for p in ppo.role("policy").parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss, policy)
    rows = rows_of(rollout.sequences, rollout.sequence_mask, unpad=True)
    logprobs = response_logprobs(ppo.role("policy"), rows, rollout.mask, 0.7)
    vanilla = -(targets.advantages[index] * logprobs)[rollout.mask].sum() / rollout.mask.sum()
    for ours, plain in zip(gradients, torch.autograd.grad(vanilla, policy), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-4)
    assert statistics["clip_fraction"] == 0
    assert statistics["approx_kl"] < 1e-9
    assert (rollout.entropy[rollout.mask] >= 0).all()


@pytest.mark.parametrize(("policy_rank", "reward_rank"), RANKS)
def test_only_policy_and_critic_change(tmp_path, base, tokenizer, policy_rank, reward_rank):
    ppo = module(tmp_path, base, tokenizer, policy_rank=policy_rank, reward_rank=reward_rank)
    ppo.configure_model()
    before = {name: parameter.detach().clone() for name, parameter in ppo.named_parameters()}
    trained = {id(p) for role in (ppo.roles.policy, ppo.roles.critic) for p in role.parameters()}
    frozen = {name for name, parameter in ppo.named_parameters() if id(parameter) not in trained}
    assert len(frozen) > 10
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * 2))
    changed = {name for name, parameter in ppo.named_parameters() if not torch.equal(parameter, before[name])}
    assert not changed & frozen
    for role in ("policy", "critic"):
        own = {id(p) for p in ppo.role(role).parameters()}
        assert any(id(p) in own for name, p in ppo.named_parameters() if name in changed), role


def test_a_minibatchs_losses_are_those_of_its_own_rows(tmp_path, base, tokenizer):
    """Rows 2 and 0: the value loss by hand from the critic's own forward pass, each row alone and without padding."""
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    targets, index = ppo.targets(rollout), torch.tensor([2, 0])
    _, statistics = summed(ppo.losses(rollout.rows(index), targets.rows(index), rollout.mask[index].sum()))
    errors = []
    for row in index.tolist():
        ids = rollout.sequences[row][rollout.sequence_mask[row]].unsqueeze(0)
        length = int(rollout.mask[row].sum())
        with torch.no_grad():
            values = head_outputs(ppo.roles.critic, ids, torch.ones_like(ids, dtype=torch.bool))[0]
        before = values[-length - 1 : -1]  # V stands at the token before the one that it precedes
        torch.testing.assert_close(rollout.values[row][rollout.mask[row]], before, atol=1e-5, rtol=0)
        errors += ((before - targets.returns[row][rollout.mask[row]]) ** 2).tolist()
    assert statistics["value_loss"].item() == pytest.approx(0.5 * sum(errors) / len(errors), rel=1e-4)


def test_advantages_are_whitened_and_returns_are_not(tmp_path, base, tokenizer):
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    targets = ppo.targets(rollout)
    advantages = targets.advantages[rollout.mask]
    assert advantages.mean().abs() < 1e-5
    assert advantages.var(correction=0).item() == pytest.approx(1.0, abs=1e-4)
    # lambda 0.95 and no KL: the return of an answer's last token is its score.
    last = rollout.mask.sum(1, keepdim=True) - 1
    torch.testing.assert_close(targets.returns.gather(1, last).squeeze(1), targets.scores)


def test_the_references_outputs_stay_where_the_head_has_adapters(tmp_path, tokenizer):
    """A LoRA on Llama's untied output embedding: the reference keeps its own while the policy's moves."""
    from kochat.nn.adapters import LoraSettings
    from kochat.nn.exports import export_info, write_export
    from kochat.nn.role_loading import new_role
    from tests.conftest import write_base

    base = write_base(tmp_path / "llama", tokenizer, "llama")
    settings = LoraSettings(4, targets=["q_proj", "lm_head"])
    for name, value in (("sft", False), ("rm", True)):
        role = new_role("role", base, settings if not value else LoraSettings(4, targets=["q_proj"]), value=value)
        for parameter in role.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
        reward = {"reward_mean": 0.0, "reward_std": 1.0} if value else {}
        info = export_info("rm" if value else "sft", str(base), role.base_digest, tokenizer, **reward)
        write_export(role, tokenizer, tmp_path / name, info)
    ppo = PPOModule(
        policy=str(tmp_path / "sft"), reward_model=str(tmp_path / "rm"), max_new_tokens=8, learning_rate=1e-2
    )
    ppo.configure_model()
    ids, mask = torch.tensor([[5, 6, 7, 8]]), torch.ones(1, 4, dtype=torch.bool)
    logits = {}
    for when in ("before", "after"):
        with torch.no_grad():
            logits[when] = [head_outputs(role, ids, mask) for role in (ppo.roles.policy, ppo.roles.reference)]
        if when == "before":
            trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
    assert torch.equal(logits["before"][0], logits["before"][1])
    assert torch.equal(logits["before"][1], logits["after"][1])
    assert not torch.equal(logits["before"][0], logits["after"][0])


@pytest.mark.parametrize("rank", [0, 8])
def test_a_reward_model_given_as_policy_is_refused(tmp_path, base, tokenizer, rank):
    rm = write_stage(tmp_path / "rm", base, tokenizer, rank, value=True)
    ppo = PPOModule(policy=str(rm), reward_model=str(rm))
    with pytest.raises(UserError, match=r"rm: is a reward model, which answers nothing"):
        ppo.configure_model()


def test_a_reward_model_that_was_never_validated_is_refused(tmp_path, base, tokenizer):
    import json

    ppo = module(tmp_path, base, tokenizer)
    path = tmp_path / "rm" / "kochat.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"reward_mean": None, "reward_std": None}))
    with pytest.raises(UserError, match=r"model\.reward_model: .*rm was exported without a validation"):
        ppo.configure_model()


def test_stop_tokens_are_those_of_the_policy_unless_given(tmp_path, base, tokenizer):
    import json

    ppo = module(tmp_path, base, tokenizer)
    path = tmp_path / "sft" / "kochat.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stop_tokens": ["."]}))
    stop = tokenizer.get_vocab()["."]
    assert ppo.answering.settings(1.0).stop_ids == (tokenizer.eos_token_id, stop)
    assert module(tmp_path, base, tokenizer, stop_tokens=[]).answering.settings(1.0).stop_ids == (0,)


def test_policy_loss_never_reaches_the_critic(tmp_path, base, tokenizer):
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer, vf_coef=0.0))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    loss, _ = summed(ppo.losses(rollout, ppo.targets(rollout), rollout.mask.sum()))
    loss.backward()
    critic = [p for p in ppo.role("critic").parameters() if p.requires_grad]
    assert all(p.grad is None or not p.grad.any() for p in critic)
    assert any(p.grad is not None and p.grad.any() for p in ppo.role("policy").parameters())


def test_the_two_losses_in_turn_have_the_gradient_of_their_sum(tmp_path, base, tokenizer, monkeypatch):
    """And the critic runs only when the policy's graph is gone: the two never take memory at once."""
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    targets, index, share = ppo.targets(rollout), torch.arange(4), rollout.mask.sum()
    summed(ppo.losses(rollout, targets, share))[0].backward()
    trained = ppo.trainable_parameters()
    expected = [parameter.grad.clone() for parameter in trained]
    ppo.zero_grad()
    done = []
    values = ppo_module.response_values
    monkeypatch.setattr(ppo_module, "response_values", lambda *args: done.append("critic") or values(*args))
    monkeypatch.setattr(ppo, "manual_backward", lambda loss: done.append("backward") or loss.backward())
    ppo.accumulate_gradients(rollout, targets, index)
    assert done == ["backward", "critic", "backward"]
    for parameter, gradient in zip(trained, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-7, rtol=1e-5)


def test_missing_eos_penalty_touches_exactly_the_unfinished(tmp_path, base, tokenizer):
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer, missing_eos_penalty=3.0))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    penalty = rollout.scores - ppo.targets(rollout).scores
    torch.testing.assert_close(penalty, torch.where(rollout.stopped, 0.0, 3.0))


def test_reward_is_centred_by_the_reward_models_own_statistics(tmp_path, base, tokenizer):
    ppo = loaded(tmp_path, base, tokenizer)
    (judge,) = ppo.roles.reward_models
    torch.testing.assert_close(judge.centring(torch.tensor([0.25, 2.25])), torch.tensor([0.0, 1.0]))
    rollout = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(0))
    torch.testing.assert_close(rollout.scores, judge.centring(rollout.raw_scores))


def test_reward_model_on_another_tokenizer_is_refused(tmp_path, base, tokenizer):
    from kochat.nn.tokenizers import train_tokenizer
    from tests.conftest import TEXTS, write_base

    other = train_tokenizer(TEXTS, 380)
    ppo = module(tmp_path, base, tokenizer)
    write_stage(tmp_path / "rm", write_base(tmp_path / "other", other), other, 4, value=True)
    with pytest.raises(UserError, match=r"uses another tokenizer than model\.policy"):
        ppo.configure_model()


@pytest.mark.parametrize("model", ["sft", "rm"])
def test_a_model_of_another_template_is_refused(tmp_path, base, tokenizer, model):
    import json

    ppo = module(tmp_path, base, tokenizer)
    path = tmp_path / model / "kochat.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"template": "0" * 16}))
    field = {"sft": r"model\.policy", "rm": r"model\.reward_model"}[model]
    with pytest.raises(UserError, match=rf"{field}: .*was trained with another prompt template; train it again"):
        ppo.configure_model()


def test_a_reward_model_that_kochat_did_not_make_is_held_to_its_own_tokenizer(tmp_path, base, tokenizer):
    from kochat.nn.tokenizers import train_tokenizer
    from tests.conftest import TEXTS

    ppo = module(tmp_path, base, tokenizer, reward_rank=0)
    (tmp_path / "rm" / "kochat.json").unlink()
    with pytest.warns(UserWarning, match="scores are taken as they are"):
        ppo.configure_model()
    assert ppo.roles.reward_models[0].centring == Centring(0.0, 1.0)
    train_tokenizer(TEXTS, 380).save_pretrained(tmp_path / "rm")
    other = PPOModule(policy=str(tmp_path / "sft"), reward_model=str(tmp_path / "rm"))
    with pytest.raises(UserError, match=r"model\.reward_model: .* uses another tokenizer than model\.policy"):
        other.configure_model()


def test_a_run_that_diverges_ends_with_cause_and_remedy():
    from kochat.errors import RunError

    statistics = UpdateStatistics()
    for loss in (1.0, 3.0):
        statistics.add({"policy_loss": torch.tensor(loss)})
    assert statistics.means() == {"policy_loss": 2.0, "minibatches": 2.0}
    diverged = UpdateStatistics()
    diverged.add({"policy_loss": torch.tensor(1.0), "value_loss": torch.tensor(float("nan"))})
    with pytest.raises(RunError, match=r"ppo/value_loss is not finite .* lower model\.learning_rate"):
        diverged.means()


def test_temperature_zero_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"temperature=0\.0"):
        PPOModule(temperature=0.0)


@pytest.mark.parametrize(
    "options", [{"kl_kind": "k4"}, {"minibatch_size": 0}, {"ppo_epochs": 0}, {"max_new_tokens": 0}]
)
def test_options_that_cannot_be_meant_are_refused(options):
    with pytest.raises(UserError, match=rf"model\.{next(iter(options))}="):
        PPOModule(**options)


@pytest.mark.parametrize(("rows", "sizes"), [(1, [0, 0, 1]), (4, [1, 1, 2]), (6, [2, 2, 2])])
def test_a_rank_with_fewer_rows_takes_as_many_steps(tmp_path, monkeypatch, rows, sizes):
    """Another rank has 6 rows, 3 minibatches of 2 an epoch; every row is dealt once an epoch all the same."""
    run = trainer(tmp_path)
    monkeypatch.setattr(run.strategy, "reduce", lambda x, reduce_op: torch.tensor(3))
    parts = list(minibatches(run, rows, PPOOptions(ppo_epochs=1, minibatch_size=2), torch.Generator().manual_seed(0)))
    assert sorted(len(part) for part in parts) == sizes
    assert sorted(torch.cat(parts).tolist()) == list(range(rows))


@pytest.mark.parametrize(("policy_rank", "reward_rank"), [(0, 0), (8, 16)])
def test_an_empty_minibatch_gives_every_parameter_a_gradient_of_zero(
    tmp_path, base, tokenizer, monkeypatch, policy_rank, reward_rank
):
    """DDP waits for every gradient, that of a rank without rows too."""
    ppo = module(tmp_path, base, tokenizer, policy_rank=policy_rank, reward_rank=reward_rank)
    monkeypatch.setattr(ppo_module, "minibatches", lambda *given: [torch.zeros(0, dtype=torch.long)])
    gradients = []
    monkeypatch.setattr(
        ppo, "on_before_optimizer_step", lambda optimizer: gradients.extend(p.grad for p in ppo.trainable_parameters())
    )
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
    assert len(gradients) == len(ppo.trainable_parameters())
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_export_of_a_lora_policy_is_one_adapter_on_the_original_base(tmp_path, base, tokenizer):
    import json

    from kochat.nn.role_loading import HostPool

    ppo = module(tmp_path, base, tokenizer)
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
    ppo.export(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert written["base_model_name_or_path"] == str(base)
    ids = torch.tensor([[5, 6, 7]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        again = head_outputs(HostPool().load("policy", tmp_path / "out"), ids, mask)
        torch.testing.assert_close(again, head_outputs(ppo.role("policy"), ids, mask), atol=1e-6, rtol=0)


class EmitEvenTokens(PPOModule):
    """A reward that anyone can check: the share of tokens whose id is even."""

    def rollout(self, batch, generator):
        from dataclasses import replace

        rollout = super().rollout(batch, generator)
        response = rollout.sequences[:, -rollout.mask.shape[1] :]
        return replace(rollout, scores=((response % 2 == 0) & rollout.mask).sum(1) / rollout.mask.sum(1))


def learned(tmp_path, base, tokenizer, kl_coef):
    """Return (reward, KL in nats per token) of the policy after 30 rollouts of 16 answers."""
    torch.manual_seed(0)
    sft, rm = (write_stage(tmp_path / f"{value}", base, tokenizer, 0, value) for value in (False, True))
    rewards = {"kl_coef": kl_coef, "reward_unit": "raw", "missing_eos_penalty": 0.0}
    rates = {"learning_rate": 1e-2, "critic_learning_rate": 1e-2, "minibatch_size": 16, "max_new_tokens": 8}
    ppo = EmitEvenTokens(policy=str(sft), reward_model=str(rm), **rewards, **rates)
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer, ["안녕"] * 16)] * 30))
    rollout = ppo.rollout(prompt_batch(tokenizer, ["안녕"] * 64), torch.Generator().manual_seed(5))
    kl = kl_estimate(rollout.old_logprobs, rollout.ref_logprobs, "k1")[rollout.mask].mean()
    return rollout.scores.mean().item(), kl.item()


@pytest.mark.slow
def test_it_learns_and_a_larger_kl_coef_stays_closer(tmp_path, base, tokenizer):
    """A random policy emits even ids half of the time; PPO nearly always, unless the KL penalty holds it back."""
    free, held = learned(tmp_path, base, tokenizer, 0.0), learned(tmp_path, base, tokenizer, 1.0)
    assert free[0] > 0.9
    assert held[1] < 0.5 * free[1]
