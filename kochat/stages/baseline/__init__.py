"""The baseline: the base model as it is, answering through the same template; nothing is trained."""

from kochat.engine.stage import Stage

STAGE = Stage(name="baseline", package=__name__, trains=False, per_seed=False)
