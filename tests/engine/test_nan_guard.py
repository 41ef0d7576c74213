"""A run with NaN stops with a remedy, and no checkpoint of it is left."""

import math

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from kochat.engine.nan_guard import NaNGuard, NonFiniteError
from kochat.errors import UserError
from tests.engine.toy import ToyChat, ToyData, toy_trainer


class BadLoss(ToyChat):
    """Its loss is infinite at batch 1 and has no gradient, so that the weights stay finite."""

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss + (math.inf if batch_idx == 1 else 0.0)


class BadWeights(ToyChat):
    """Manual optimisation returns no loss, as PPO does; a weight turns to NaN at batch 2."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        if batch_idx == 2:
            self.policy.weight.data.fill_(math.nan)
        self.optimizers().step()


def run(tmp_path, model, guard=None, limit_val_batches=1.0, **checkpoint):
    checkpoints = ModelCheckpoint(tmp_path / "checkpoints", save_top_k=-1, **checkpoint)
    settings = {"enable_checkpointing": True, "limit_val_batches": limit_val_batches}
    trainer = toy_trainer(tmp_path, checkpoints, guard or NaNGuard(), **settings)
    trainer.fit(model, ToyData())
    return checkpoints


@pytest.mark.parametrize("every_n_steps", [1, 20])
def test_a_bad_loss_is_named_by_its_batch(tmp_path, every_n_steps):
    with pytest.raises(NonFiniteError, match=r"loss of training batch 1 is NaN or infinite.*Try a lower learning rate"):
        run(tmp_path, BadLoss(), NaNGuard(every_n_steps))
    assert not list(tmp_path.glob("checkpoints/*"))


# Weights alone pass no save hook, so that each moment of saving is guarded by itself.
AFTER_STEPS = {"every_n_train_steps": 3, "save_on_train_epoch_end": False}
AFTER_VALIDATION = {"save_weights_only": True, "save_on_train_epoch_end": False}
AFTER_EPOCH = {"save_weights_only": True, "save_on_train_epoch_end": True, "limit_val_batches": 0}


@pytest.mark.parametrize("settings", [{}, AFTER_STEPS, AFTER_VALIDATION, AFTER_EPOCH])
def test_bad_weights_are_never_saved(tmp_path, settings):
    with pytest.raises(NonFiniteError, match=r"1 of 2 trained parameters are NaN or infinite, policy.weight first"):
        run(tmp_path, BadWeights(), **settings)
    assert not list(tmp_path.glob("checkpoints/*"))


def test_the_last_good_checkpoint_is_named(tmp_path):
    with pytest.raises(NonFiniteError, match=r"last good checkpoint is .*step=1.ckpt"):
        run(tmp_path, BadLoss(), NaNGuard(1), every_n_train_steps=1)
    assert [path.name for path in tmp_path.glob("checkpoints/*")] == ["epoch=0-step=1.ckpt"]


def test_a_good_run_and_frozen_nan_are_left_alone(tmp_path):
    model = ToyChat()
    model.register_parameter("frozen", torch.nn.Parameter(torch.tensor(math.nan), requires_grad=False))
    checkpoints = run(tmp_path, model, NaNGuard(1))
    assert checkpoints.best_model_path.endswith(".ckpt")


def test_a_senseless_interval_is_refused():
    with pytest.raises(UserError, match="every_n_steps=0 is too small"):
        NaNGuard(0)
