"""The baseline: the untrained base model answers prompts with the same template."""

from kochat.engine.stage import Stage

STAGE = Stage(name="baseline", package=__name__, trains=False, per_seed=False, order=20, config_modules=("module",))
