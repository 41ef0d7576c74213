"""Pretraining: a small base from scratch, for where no pretrained model is at hand."""

from kochat.engine.stage import Stage

STAGE = Stage(name="pretrain", package=__name__, compared=False, per_seed=False)
