"""The logged training loss is the mean over all tokens since the line before, not the value of one batch."""

import csv

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from kochat.engine.interval_means import IntervalMean
from kochat.nn.adapters import LoraSettings
from kochat.stages.reward_model.module import RewardModule
from kochat.stages.sft.module import SFTModule
from tests.engine.test_token_means import PAIRS
from tests.stages.harness import BatchData, preference_batch, text_batch, trainer

STARTS = ["파리", "날씨", "도시", "안녕"]


def added(mean, total, count, step, kept=2):
    return mean.add(torch.tensor(float(total)), torch.tensor(float(count)), step=step, kept=kept).item()


def test_the_mean_by_hand():
    """Two steps are kept; batches of one step stand together, and each token weighs alike."""
    mean = IntervalMean()
    assert added(mean, 6, 2, step=0) == 3
    assert added(mean, 2, 6, step=0) == 8 / 8
    assert added(mean, 10, 1, step=1) == 18 / 9
    assert added(mean, 5, 5, step=2) == 15 / 6  # step 0 has left
    mean.reset()
    assert added(mean, 4, 2, step=2) == 2


def rows_logged(folder, name):
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def logged(tmp_path, module, batches, accumulate=1):
    """Train with a line of the log every two optimizer steps; return the column of the training loss."""
    logger = CSVLogger(tmp_path, name="run", version=0)
    run = trainer(tmp_path, logger=logger, log_every_n_steps=2, accumulate_grad_batches=accumulate, limit_val_batches=0)
    run.fit(module, datamodule=BatchData(batches))
    return rows_logged(tmp_path / "run" / "version_0", f"{module.stage.name}/train_loss")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_sft_logs_the_mean_of_all_tokens_of_the_interval(tmp_path, base, tokenizer, accumulate):
    torch.manual_seed(0)
    module = SFTModule(base=str(base), lora=LoraSettings(0), learning_rate=0.0)
    batches = [text_batch(tokenizer, [pair]) for pair in PAIRS * accumulate]
    found = logged(tmp_path, module, batches, accumulate)
    sums = [(float(loss * count), int(count)) for loss, count in map(module.loss, batches)]
    parts = [sums[: len(sums) // 2], sums[len(sums) // 2 :]]
    assert found == pytest.approx([sum(s for s, _ in part) / sum(n for _, n in part) for part in parts], abs=1e-4)
    assert found[1] != pytest.approx(sum(s / n for s, n in parts[1]) / len(parts[1]), abs=1e-4)  # a mean of means


def test_a_reward_model_logs_the_mean_of_all_pairs_of_the_interval(tmp_path, base, tokenizer):
    records = [(start, [f"{start} 좋네요!!!", f"{start} 좋네요.", f"{start} ###"]) for start in STARTS]
    batches = [preference_batch(tokenizer, rows) for rows in (records[:3], records[3:])]

    def rate_zero():
        torch.manual_seed(0)
        return RewardModule(base=str(base), lora=LoraSettings(0), learning_rate=0.0)

    (found,) = logged(tmp_path / "two", rate_zero(), batches)
    (whole,) = logged(tmp_path / "one", rate_zero(), [preference_batch(tokenizer, records)] * 2)
    assert found == pytest.approx(whole, abs=1e-5)
