"""PPO: raise the score of sampled answers while staying near the SFT model."""

from kochat.engine.stage import Stage

UNIT_METRIC = "ppo/reward_unit"  # the unit of the reward in raw scores, in a run's done.json
STAGE = Stage(name="ppo", package=__name__, order=50)
