"""What every training stage logs besides its loss: the gradient's norm, the learning rates, tokens per second."""

import csv

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from kochat.engine import token_rate
from kochat.engine.token_rate import TokenRate
from kochat.nn.adapters import LoraSettings
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.sft.module import SFTModule
from tests.engine.test_token_means import PAIRS, Gradients
from tests.stages.harness import BatchData, preference_batch, text_batch, trainer


def fitted(tmp_path, module, batches, **options):
    """Fit with a line of the log every two steps; return the lines with a gradient norm."""
    logger = CSVLogger(tmp_path, name="run", version=0)
    run = trainer(tmp_path, logger=logger, log_every_n_steps=2, limit_val_batches=0, **options)
    run.fit(module, datamodule=BatchData(batches))
    with (tmp_path / "run" / "version_0" / "metrics.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row[f"{module.stage.name}/grad_norm"]]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_norm_is_that_before_clipping_averaged_over_the_steps(tmp_path, base, tokenizer, accumulate):
    module, gradients = SFTModule(base=str(base), lora=LoraSettings(2)), Gradients()
    gradients.watch(module)
    batches = [text_batch(tokenizer, [pair]) for pair in PAIRS[:2] * accumulate]
    (row,) = fitted(tmp_path, module, batches, accumulate_grad_batches=accumulate, gradient_clip_val=1e-3)
    norms = [torch.cat([g.flatten() for g in step.values()]).norm().item() for step in gradients.steps]
    assert len(norms) == 2
    assert min(norms) > 1e-3
    assert float(row["sft/grad_norm"]) == pytest.approx(sum(norms) / 2, rel=1e-4)


def test_an_overflow_is_left_out_of_the_norms_mean(tmp_path, base, tokenizer):
    class Overflowing(SFTModule):
        """The first step's gradient is infinite, as while 16-mixed looks for its scale; it is mended after the log."""

        def on_before_optimizer_step(self, optimizer):
            broken = next(p for p in self.trainable_parameters() if p.grad is not None)
            kept = broken.grad.clone()
            if self.trainer.global_step == 0:
                broken.grad.fill_(float("inf"))
            super().on_before_optimizer_step(optimizer)
            broken.grad.copy_(kept)

    module = Overflowing(base=str(base), lora=LoraSettings(2))
    (row,) = fitted(tmp_path, module, [text_batch(tokenizer, PAIRS)] * 2)
    assert 0 < float(row["sft/grad_norm"]) < 1e6


def test_each_parameter_groups_rate_has_a_name(tmp_path, base, tokenizer):
    module = RewardModule(base=str(base), lora=LoraSettings(2), learning_rate=1e-3, head_learning_rate=3e-3, warmup=0.0)
    records = [(start, [f"{start} 좋네요!!!", f"{start} 좋네요.", f"{start} ###"]) for start in ("파리", "날씨")]
    (row,) = fitted(tmp_path, module, [preference_batch(tokenizer, records)] * 2)
    assert 0 < float(row["rm/learning_rate"]) < 1e-3
    assert float(row["rm/head_learning_rate"]) == pytest.approx(3 * float(row["rm/learning_rate"]))


def test_tokens_per_second_are_those_of_the_interval(tmp_path, base, tokenizer, monkeypatch):
    """A clock that goes on by half a second whenever it is read: one batch from its start, one from the batch before."""
    readings = iter(range(100))
    monkeypatch.setattr(token_rate.time, "perf_counter", lambda: next(readings) / 2)
    batches = [text_batch(tokenizer, [pair]) for pair in PAIRS[:2]]
    (row,) = fitted(tmp_path, SFTModule(base=str(base)), batches, callbacks=[TokenRate()])
    assert float(row["sft/tokens_per_second"]) == pytest.approx(sum(int(batch.lengths.sum()) for batch in batches))


def test_a_stage_that_counts_no_tokens_logs_no_rate(tmp_path, base, tokenizer):
    class Silent(SFTModule):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.tokens_read = 0
            return loss

    (row,) = fitted(tmp_path, Silent(base=str(base)), [text_batch(tokenizer, PAIRS)] * 2, callbacks=[TokenRate()])
    assert "sft/tokens_per_second" not in row
