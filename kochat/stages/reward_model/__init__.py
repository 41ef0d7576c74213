"""The reward model: score answers so that better ones score higher."""

from kochat.engine.stage import Stage

STAGE = Stage(
    name="rm",
    package=__name__,
    answers=False,
    compared=False,
    scores=True,
    order=40,
    config_modules=("module", "data", "preference_scores", "reward_evaluation"),
)
