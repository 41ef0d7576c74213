"""PPO: raise the score of sampled answers while staying near the SFT model."""

from kochat.engine.stage import Stage

STAGE = Stage(name="ppo", package=__name__, order=50)
