"""A reward model's held-out figures: hand-worked, of the first loader alone, shown in TensorBoard, and the same on two ranks."""

import math
import os
import socket

import matplotlib.pyplot as plt
import pytest
import torch
import torch.multiprocessing as mp
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from kochat.engine.nan_guard import NonFiniteError
from kochat.metrics.reward_reliability import SCALARS
from kochat.stages.reward_model.reward_evaluation import RewardEvaluation
from kochat.stages.reward_model.scored_batch import ScoredBatch
from tests.engine.toy import ToyChat, toy_trainer

LOG3 = math.log(3)
# id, scores best to worst, lengths: all right and the longer higher; all wrong and the longer higher; a tie of all.
RECORDS = [
    {"id": "a", "scores": [2 * LOG3, LOG3, 0.0], "lengths": [3, 2, 1]},
    {"id": "b", "scores": [0.0, LOG3, 2 * LOG3], "lengths": [1, 2, 4]},
    {"id": "c", "scores": [1.0, 1.0, 1.0], "lengths": [2, 2, 2]},
]
FIGURES = {
    "calibration_error": (4 * 0.25 + 2 * 0.4)
    / 9,  # four pairs at 0.75, two at 0.9, half of them right; three ties at 0.5
    "overconfidence": (4 * 0.25 + 2 * 0.4) / 9,
    "length_correlation": 1.0,
    "accuracy_shorter_better": 0.0,
    "accuracy_longer_better": 1.0,
    "pairs_shorter_better": 3.0,
    "pairs_longer_better": 3.0,
}


def collate(rows):
    """Make a batch of records as plain values, which Lightning moves; the module's steps make a `ScoredBatch` of it."""
    return {
        "ids": [row["id"] for row in rows],
        "prompts": ["?" for _ in rows],
        "completions": [["가 " * length for length in row["lengths"]] for row in rows],
        "scores": torch.tensor([row["scores"] for row in rows]),
    }


def records_loader(records=RECORDS):
    return DataLoader(records, batch_size=1, collate_fn=collate)


class ToyReward(ToyChat):
    """Two validation loaders: ranked records, and demonstrations, of which nothing is returned."""

    def val_dataloader(self):
        return [records_loader(), DataLoader(torch.ones(3, 1), batch_size=1)]

    def train_dataloader(self):
        return DataLoader(torch.ones(4, 1), batch_size=1)

    def test_dataloader(self):
        return records_loader()

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        return ScoredBatch(**batch) if dataloader_idx == 0 else None

    def test_step(self, batch, batch_idx):
        return ScoredBatch(**batch)


def logged(trainer, prefix):
    return {
        name.removeprefix(prefix): value.item()
        for name, value in trainer.callback_metrics.items()
        if name.startswith(prefix)
    }


def test_validation_logs_each_figure_of_the_records(tmp_path):
    trainer = toy_trainer(tmp_path, RewardEvaluation())
    trainer.fit(ToyReward())
    figures = logged(trainer, "rm/")
    assert set(figures) == set(SCALARS)
    assert {name: figures[name] for name in FIGURES} == pytest.approx(FIGURES)
    # Records stand at 1, 0 and 0.5: one draw in 27 (3.7%) is all wrong, one all right, and 2.5% are cut on each side.
    assert (figures["accuracy_low"], figures["accuracy_high"]) == (0.0, 1.0)


def test_test_has_names_of_its_own_and_the_means_too(tmp_path):
    trainer = toy_trainer(tmp_path, RewardEvaluation())
    trainer.test(ToyReward(), verbose=False)
    figures = logged(trainer, "rm/test_")
    means = {
        "accuracy": 0.5,
        "margin": 0.0,
        "score_best": (2 * LOG3 + 1) / 3,
        "score_middle": (2 * LOG3 + 1) / 3,
        "score_worst": (2 * LOG3 + 1) / 3,
    }
    assert set(figures) == set(SCALARS) | set(means)
    assert {name: figures[name] for name in FIGURES | means} == pytest.approx(FIGURES | means)
    assert logged(trainer, "rm/").keys() == {f"test_{name}" for name in figures}


def test_a_second_validation_forgets_the_first(tmp_path):
    callback = RewardEvaluation()
    trainer = toy_trainer(tmp_path, callback)
    trainer.validate(ToyReward(), records_loader(RECORDS[:2]), verbose=False)
    trainer.validate(ToyReward(), records_loader(RECORDS[:1]), verbose=False)
    assert logged(trainer, "rm/")["pairs_longer_better"] == 3
    assert logged(trainer, "rm/")["accuracy_low"] == 1.0


def test_what_cannot_be_measured_is_not_logged(tmp_path):
    trainer = toy_trainer(tmp_path, RewardEvaluation())
    trainer.test(ToyReward(), records_loader(RECORDS[2:]), verbose=False)
    figures = logged(trainer, "rm/test_")
    assert figures.keys().isdisjoint({"length_correlation", "length_correlation_overall", "accuracy_shorter_better"})
    assert figures["accuracy"] == 0.5
    assert not any(map(math.isnan, figures.values()))


def test_tensorboard_has_the_histogram_and_the_curve(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="run")
    trainer = toy_trainer(tmp_path, RewardEvaluation(), logger=logger, num_sanity_val_steps=1)
    trainer.fit(ToyReward())
    trainer.test(ToyReward(), verbose=False)
    events = EventAccumulator(logger.log_dir, size_guidance={"histograms": 0})
    events.Reload()
    assert {"rm/margins", "rm/test_margins"} <= set(events.Tags()["histograms"])
    assert {"rm/calibration", "rm/test_calibration"} <= set(events.Tags()["images"])
    (histogram,) = events.Histograms("rm/margins")
    assert (histogram.histogram_value.num, histogram.histogram_value.max) == (9, pytest.approx(2 * LOG3))
    assert plt.get_fignums() == []


def test_no_record_is_no_figure_and_no_crash(tmp_path):
    trainer = toy_trainer(tmp_path, RewardEvaluation(), logger=TensorBoardLogger(tmp_path, name="run"))
    callback = trainer.callbacks[0]
    callback.on_test_epoch_start(trainer, None)
    callback.on_test_epoch_end(trainer, None)  # a module would be asked to log if there were a figure


def test_scores_that_are_no_numbers_are_refused():
    callback = RewardEvaluation()
    bad = ScoredBatch(**collate(RECORDS[:1]) | {"scores": torch.full((1, 3), math.nan)})
    with pytest.raises(NonFiniteError, match="validation batch 7 is not finite"):
        callback.on_validation_batch_end(None, None, bad, None, 7)
    callback.on_validation_batch_end(None, None, None, None, 0, dataloader_idx=1)


def fit_and_test(folder, **settings):
    trainer = toy_trainer(folder, RewardEvaluation(), logger=CSVLogger(folder, name="run", version=0), **settings)
    trainer.fit(ToyReward())
    trainer.test(ToyReward(), verbose=False)


def run_rank(rank, port, folder):
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    fit_and_test(folder, devices=2, strategy="ddp")


def figures_in(folder):
    header, *lines = (folder / "run/version_0/metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return {name: float(row[name]) for row in rows for name in row if name.startswith("rm/") and row[name]}


@pytest.mark.slow
def test_two_ranks_equal_one(tmp_path):
    """Three records on two ranks: the sampler repeats one, which must not count twice."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run_rank, args=(port, tmp_path / "two"), nprocs=2)
    fit_and_test(tmp_path / "one")
    one, two = figures_in(tmp_path / "one"), figures_in(tmp_path / "two")
    assert len(one) == len(SCALARS) * 2 + 5
    assert two == pytest.approx(one)
