"""The critic's head is fitted to the first rollout before it steers an update."""

import torch

from kochat.functional import gae, shaped_rewards
from kochat.nn.heads import ScalarHead
from kochat.stages.ppo.critic_fit import RIDGE, fit_head
from kochat.stages.ppo.metrics import explained_variance
from tests.stages.harness import BatchData, prompt_batch, trainer
from tests.stages.ppo.test_ppo import attached, loaded, module


def test_the_head_is_the_ridge_regression_with_an_intercept(tmp_path):
    """Compared with the augmented least-squares problem; the mean of the values is that of the returns."""
    generator = torch.Generator().manual_seed(0)
    states, head = torch.randn(40, 5, generator=generator) + 3, ScalarHead(5, bias=True)
    returns = torch.randn(40, generator=generator) - 7
    fit_head(trainer(tmp_path), head, states, returns)
    centred = states - states.mean(0)
    penalty = RIDGE * centred.var(0, correction=0).mean()
    wide = torch.cat([centred, (40 * penalty).sqrt() * torch.eye(5)])
    expected = torch.linalg.lstsq(wide, torch.cat([returns - returns.mean(), torch.zeros(5)]).unsqueeze(1)).solution
    torch.testing.assert_close(head.weight.data.T, expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(head(states).mean(), returns.mean(), atol=1e-5, rtol=1e-5)


def test_the_first_values_are_near_the_returns(tmp_path, base, tokenizer):
    """The reward model's own head is off by its raw mean; the fitted head explains a part of the returns."""
    ppo = attached(tmp_path, loaded(tmp_path, base, tokenizer))
    ppo.roles = ppo.roles.in_unit(0.3)
    rollout = ppo.rollout(
        prompt_batch(tokenizer, ["안녕", "반갑습니다", "오늘 날씨", "도시"] * 8), torch.Generator().manual_seed(0)
    )
    shaped = shaped_rewards(*ppo.rewards(rollout), rollout.mask, ppo.kl_weight)
    returns = gae(shaped, torch.zeros_like(shaped), rollout.mask, 1.0, 1.0)[1]
    fitted = ppo.fit_critic(rollout)
    wrong, right = ((values - returns)[rollout.mask].pow(2).mean() for values in (rollout.values, fitted.values))
    assert right < 0.5 * wrong
    assert explained_variance(ppo.trainer, fitted.values, returns, rollout.mask) > 0
    again = ppo.rollout(prompt_batch(tokenizer), torch.Generator().manual_seed(1))
    assert (again.values[again.mask].mean() - returns[rollout.mask].mean()).abs() < wrong.sqrt()


def test_only_the_first_rollout_fits_the_head(tmp_path, base, tokenizer, monkeypatch):
    ppo, fits = module(tmp_path, base, tokenizer), []
    fit = ppo.fit_critic
    monkeypatch.setattr(ppo, "fit_critic", lambda rollout: fits.append(ppo.schedule.rollouts) or fit(rollout))
    trainer(tmp_path).fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)] * 3))
    assert fits == [0]
