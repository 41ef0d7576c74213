"""Two ranks (gloo) step with the gradient that one rank has on all rows, though their rows hold different numbers of tokens."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from kochat.nn.adapters import LoraSettings
from kochat.nn.role_loading import HostPool
from kochat.stages.ppo.module import PPOModule
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.sft.module import SFTModule
from tests.engine.test_token_means import PAIRS, assert_same
from tests.stages.harness import Batches, preference_batch, prompt_batch, text_batch, trainer, write_stage

pytestmark = pytest.mark.slow

RECORDS = [
    (p, [f"{p} 좋네요!!!", f"{p} 좋네요. 무엇을 도와드릴까요?", f"{p} ###"])
    for p in ("파리", "날씨", "도시 수도")  # two records and one
]


class Sharded(L.LightningDataModule):
    """Give every rank its share of the rows: rank r of n takes rows r, r + n, ..."""

    def __init__(self, make, rows) -> None:
        super().__init__()
        self.make, self.rows = make, rows

    def train_dataloader(self) -> DataLoader:
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        return DataLoader(Batches([self.make(self.rows[rank::ranks])]), batch_size=None)


class Saved:
    """Mix-in: save the gradients of the first optimizer step, as they are before clipping, from the first rank."""

    target: str = ""

    def keep(self) -> None:
        if self.global_rank == 0:
            torch.save({n: p.grad for n, p in self.named_parameters() if p.grad is not None}, self.target)


class SavedSFT(Saved, SFTModule):
    def configure_gradient_clipping(self, *args, **kwargs):
        self.keep()


class SavedReward(Saved, RewardModule):
    def configure_gradient_clipping(self, *args, **kwargs):
        self.keep()


class SavedPPO(Saved, PPOModule):
    """All ranks draw the same answers to all prompts and keep their own rows, in one minibatch of two parts."""

    def rollout(self, batch, generator):
        everything = super().rollout(self.everything, torch.Generator().manual_seed(0))
        rank, ranks = self.trainer.global_rank, self.trainer.world_size
        assert len(set(everything.mask[0::2].sum(1).tolist()) | set(everything.mask[1::2].sum(1).tolist())) > 1
        return everything.rows(torch.arange(4)[rank::ranks])

    def on_before_optimizer_step(self, optimizer):
        self.keep()


def first_step(folder, module, data, ranks):
    """Return the gradients of the first optimizer step, and the logged training losses."""
    module.target = str(folder / f"{ranks}.pt")
    strategy = {"strategy": "ddp_spawn", "devices": 2} if ranks == 2 else {}
    run = trainer(folder, use_distributed_sampler=False, limit_val_batches=0, **strategy)
    run.fit(module, datamodule=data)
    losses = {name: float(value) for name, value in run.callback_metrics.items() if name.endswith("train_loss")}
    return torch.load(module.target, weights_only=True), losses


def build(stage, folder, base, tokenizer):
    """Return a function that makes the stage's module anew, and its data."""
    if stage == "sft":
        return lambda: SavedSFT(base=str(base), lora=LoraSettings(4)), (TextBatch(tokenizer), PAIRS)
    if stage == "rm":
        return lambda: SavedReward(base=str(base), lora=LoraSettings(4)), (PreferenceBatch(tokenizer), RECORDS)
    sft, rm = (write_stage(folder / str(value), base, tokenizer, 4, value) for value in (False, True))

    stops = [token for token, id_ in tokenizer.get_vocab().items() if id_ % 5 == 1]  # answers of different lengths

    def ppo():
        module = SavedPPO(
            stop_tokens=stops,
            policy=str(sft),
            reward_model=str(rm),
            max_new_tokens=8,
            ppo_epochs=1,
            gradient_accumulation=2,
            reward_unit="held_out",
        )
        module.everything = prompt_batch(tokenizer)
        return module

    return ppo, (PromptBatch(tokenizer), [prompt for prompt, _ in PAIRS])


class UnevenPPO(PPOModule):
    """The second rank's policy seems to move, the first's does not: on their own they would part ways and wait for ever."""

    target = ""

    def losses(self, rollout, targets, share):
        (policy_loss, statistics), critic = super().losses(rollout, targets, share)
        yield policy_loss, statistics | {"approx_kl": torch.tensor(3.0 * self.global_rank)}
        yield critic

    def on_train_batch_end(self, *args):
        torch.save(self.trainer.global_step, f"{self.target}.{self.global_rank}")


@pytest.mark.parametrize(("target_kl", "steps"), [(0.99, 0), (1.01, 4)])
def test_ranks_end_an_update_together(tmp_path, base, tokenizer, target_kl, steps):
    """Their mean is 1.5 nats: over 1.5 * 0.99 both end at the first minibatch, under 1.5 * 1.01 neither ends."""
    sft, rm = (write_stage(tmp_path / str(value), base, tokenizer, 4, value) for value in (False, True))
    shape = {
        "max_new_tokens": 4,
        "ppo_epochs": 2,
        "minibatch_size": 1,
        "target_kl": target_kl,
        "reward_unit": "held_out",
    }
    module = UnevenPPO(policy=str(sft), reward_model=str(rm), **shape)
    module.target = str(tmp_path / "steps")
    data = Sharded(PromptBatch(tokenizer), [prompt for prompt, _ in PAIRS])
    trainer(tmp_path, use_distributed_sampler=False, limit_val_batches=0, strategy="ddp_spawn", devices=2).fit(
        module, data
    )
    assert [torch.load(f"{module.target}.{rank}") for rank in (0, 1)] == [steps, steps]


class WarmedPPO(PPOModule):
    """Note what each rank has after each rollout: the unit, the critic's head and the policy's weights."""

    target = ""

    def on_train_batch_end(self, *args):
        head, policy = self.roles.critic.head, torch.cat([p.flatten() for p in self.trained_parameters("policy")])
        kept = {"unit": self.roles.unit, "head": head.weight.detach().clone(), "policy": policy.detach().clone()}
        torch.save(kept, f"{self.target}.{self.global_rank}.{self.schedule.rollouts}")


class Repeated(Sharded):
    """Each rank's batch, twice."""

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Batches([*super().train_dataloader()] * 2), batch_size=None)

    def val_dataloader(self) -> DataLoader:
        return super().train_dataloader()

    def validation_prompts(self, limit: int) -> DataLoader:
        return DataLoader(Batches([self.make(self.rows)]), batch_size=None)


def test_ranks_warm_the_critic_up_together(tmp_path, base, tokenizer):
    """The critic alone, then both: the same unit and weights on both ranks, and a policy that moves in the second rollout."""
    sft, rm = (write_stage(tmp_path / str(value), base, tokenizer, 4, value) for value in (False, True))
    shape = {"max_new_tokens": 4, "ppo_epochs": 1, "minibatch_size": 2, "critic_warmup": 1, "learning_rate": 1e-2}
    module = WarmedPPO(policy=str(sft), reward_model=str(rm), **shape)
    module.target = str(tmp_path / "kept")
    data = Repeated(PromptBatch(tokenizer), ["파리", "오늘 날씨", "도시", "안녕하세요"])
    trainer(tmp_path, use_distributed_sampler=False, strategy="ddp_spawn", devices=2).fit(module, data)
    first, second = ([torch.load(f"{module.target}.{rank}.{number}") for number in (1, 2)] for rank in (0, 1))
    for one, other in zip(first, second, strict=True):
        assert one["unit"] == other["unit"]
        assert torch.equal(one["head"], other["head"])
        assert torch.equal(one["policy"], other["policy"])
    start = torch.cat([p.flatten() for p in loaded_policy(sft)])
    assert torch.equal(first[0]["policy"], start)
    assert not torch.equal(first[1]["policy"], start)


def loaded_policy(folder):
    return HostPool().load("policy", folder).parameters()


class TextBatch:
    """Batches are made in the ranks' processes: what makes them must pickle."""

    make = staticmethod(text_batch)

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer

    def __call__(self, rows):
        return self.make(self.tokenizer, rows)


class PreferenceBatch(TextBatch):
    make = staticmethod(preference_batch)


class PromptBatch(TextBatch):
    make = staticmethod(prompt_batch)


@pytest.mark.parametrize("stage", ["sft", "rm", "ppo"])
def test_two_ranks_step_as_one(tmp_path, base, tokenizer, stage):
    make, data = build(stage, tmp_path, base, tokenizer)
    found = []
    for ranks in (1, 2):
        torch.manual_seed(0)
        module = make()
        L.seed_everything(0, verbose=False)
        found.append(first_step(tmp_path, module, Sharded(*data), ranks))
    (one, loss_of_one), (two, loss_of_two) = found
    assert_same(one, two)
    assert loss_of_one == pytest.approx(loss_of_two, abs=1e-5)
