"""Best-of-n: answer with the best of n samples of an SFT model; PPO without the training, its control."""

from kochat.engine.stage import Stage

STAGE = Stage(name="best_of_n", package=__name__, trains=False, order=60, config_modules=("module",))
