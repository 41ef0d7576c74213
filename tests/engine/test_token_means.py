"""Gradient accumulation gives the gradient of one large batch, whatever the parts' sizes; a mean of means would not."""

import lightning as L
import pytest
import torch
from lightning.pytorch import Callback

from kochat.engine.token_means import TokenWindow
from kochat.nn.adapters import LoraSettings
from kochat.stages.ppo.module import PPOModule
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.sft.module import SFTModule
from tests.stages.harness import BatchData, preference_batch, prompt_batch, text_batch, trainer, write_stage

PAIRS = [
    ("안녕하세요", "네."),
    ("프랑스의 수도는 어디인가요?", "파리입니다. 파리는 아름다운 도시예요."),
    ("오늘 날씨가 참 좋네요", "그래요!"),
    ("반갑습니다!", "무엇을 도와드릴까요? 궁금한 것이 있으면 말씀해 주세요."),
]


class Gradients(Callback):
    """Keep the gradients that the optimizer steps with, before they are clipped."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        """Lightning calls a callback's hook before the module's: look at the optimizer step itself."""

    def watch(self, module: L.LightningModule) -> None:
        original = module.configure_gradient_clipping

        def keep(*args, **kwargs):
            self.steps.append({n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None})
            return original(*args, **kwargs)

        module.configure_gradient_clipping = keep


def stepped(module, batches, tmp_path, accumulate, **options):
    """Return the gradients of each optimizer step of an epoch over ``batches``."""
    gradients = Gradients()
    gradients.watch(module)
    run = trainer(tmp_path, accumulate_grad_batches=accumulate, **options)
    run.fit(module, datamodule=BatchData(batches))
    return gradients.steps


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name], atol=1e-6, rtol=1e-4, msg=name)
    assert any(gradient.any() for gradient in one.values())


def sft(base):
    return SFTModule(base=str(base), lora=LoraSettings(0), learning_rate=0.0)


@pytest.mark.parametrize("parts", [2, 4])
def test_sft(tmp_path, base, tokenizer, parts):
    """Answers of very different lengths: parts of 4 / parts rows give the gradient of the four together."""
    (whole,) = stepped(sft(base), [text_batch(tokenizer, PAIRS)], tmp_path, 1)
    size = 4 // parts
    batches = [text_batch(tokenizer, PAIRS[start : start + size]) for start in range(0, 4, size)]
    (accumulated,) = stepped(sft(base), batches, tmp_path, parts)
    assert_same(whole, accumulated)


def test_the_last_window_of_an_epoch_counts_in_full(tmp_path, base, tokenizer):
    """Three batches in windows of two: the third stands alone, and Lightning has halved its loss."""
    batches = [text_batch(tokenizer, PAIRS[index : index + 1]) for index in range(3)]
    _, last = stepped(sft(base), batches, tmp_path, 2)
    (alone,) = stepped(sft(base), batches[2:], tmp_path, 1)
    assert_same(last, alone)


def test_reward_model(tmp_path, base, tokenizer):
    """Two records in one batch, then one: three pairs weigh alike."""
    starts = ["파리", "날씨", "도시"]
    rows = [(start, [f"{start} 좋네요!!!", f"{start} 좋네요.", f"{start} ###"]) for start in starts]

    def rm():
        torch.manual_seed(0)
        return RewardModule(base=str(base), lora=LoraSettings(0), learning_rate=0.0)

    (whole,) = stepped(rm(), [preference_batch(tokenizer, rows)], tmp_path, 1)
    parts = [preference_batch(tokenizer, rows[:2]), preference_batch(tokenizer, rows[2:])]
    (accumulated,) = stepped(rm(), parts, tmp_path, 2)
    assert_same(whole, accumulated)


@pytest.mark.parametrize("ranks", [(8, 16), (0, 0)])
def test_ppo(tmp_path, base, tokenizer, ranks):
    """A minibatch of four answers in one, two and four parts; three parts are uneven."""
    models = [write_stage(tmp_path / str(value), base, tokenizer, ranks[value], bool(value)) for value in (0, 1)]
    found = []
    for parts in (1, 2, 3, 4):
        rates = {"learning_rate": 0.0, "critic_learning_rate": 0.0, "max_grad_norm": 1e9}
        shape = {"ppo_epochs": 1, "minibatch_size": 4, "gradient_accumulation": parts, "max_new_tokens": 8}
        ppo = PPOModule(policy=str(models[0]), reward_model=str(models[1]), **shape, **rates)
        L.seed_everything(0, verbose=False)
        gradients = []
        ppo.on_before_optimizer_step = lambda _, ppo=ppo, gradients=gradients: gradients.append(
            {name: p.grad.clone() for name, p in ppo.named_parameters() if p.grad is not None}
        )
        run = trainer(tmp_path)
        run.fit(ppo, datamodule=BatchData([prompt_batch(tokenizer)]))
        found.append((gradients[0], run.callback_metrics["ppo/entropy"]))
    for gradients, entropy in found[1:]:
        assert_same(found[0][0], gradients)
        torch.testing.assert_close(entropy, found[0][1])


def test_the_window_by_hand():
    """Batches of 2 and 6 tokens, k = 2: sums S1, S2 are divided by 2 and halved, the mean is (S1 + S2) / 8."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    window = TokenWindow()
    first, second = window.divisor(torch.tensor(2.0)), window.divisor(torch.tensor(6.0))
    assert first == second == 2.0
    parameter.grad = torch.tensor([(10.0 + 30.0) / 2 / 2])
    window.close([parameter], 2)
    assert parameter.grad.item() == 40.0 / 8
    window.divisor(torch.tensor(5.0))
    window.close([parameter], 1)  # a window of one batch is right as it is
    assert parameter.grad.item() == 40.0 / 8
