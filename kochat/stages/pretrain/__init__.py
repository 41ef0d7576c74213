"""Pretraining: train a small base model from scratch, for users without a pretrained model."""

from kochat.engine.stage import Stage

STAGE = Stage(name="pretrain", package=__name__, compared=False, per_seed=False, order=10)
