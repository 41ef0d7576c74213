"""The stages of training, one folder each, in the order in which they run and appear in a report.

Each folder's ``__init__.py`` holds its `Stage`; importing it loads neither torch nor Lightning. A stage of another package needs no
entry here: its config names it by class path, and ``kochat report --stages PACKAGE`` finds its section.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from kochat.engine.stage import Stage
from kochat.errors import UserError

BUILT_IN = (
    "kochat.stages.pretrain",
    "kochat.stages.baseline",
    "kochat.stages.sft",
    "kochat.stages.reward_model",
    "kochat.stages.ppo",
)


def stages_by_name(packages: Sequence[str] = ()) -> dict[str, Stage]:
    """Return kochat's stages and those of ``packages``: name -> `Stage`, kochat's first.

    Raises:
        UserError: a package cannot be imported, or has no ``STAGE``.
    """
    return {stage.name: stage for stage in map(_stage_of, [*BUILT_IN, *packages])}


def _stage_of(package: str) -> Stage:
    try:
        stage = getattr(import_module(package), "STAGE", None)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--stages: there is no package {package!r} ({error}); give a dotted name that Python imports"
        ) from error
    if not isinstance(stage, Stage):
        raise UserError(f"--stages: {package} has no STAGE; a stage's __init__.py holds one (docs/adding_a_stage.md)")
    return stage
