"""The stages of training, one folder each.

Each folder's ``__init__.py`` holds its `Stage`; importing it loads neither torch nor Lightning. A folder here is found by
itself. A stage of another package is named by class path in its config, and ``kochat report --stages PACKAGE`` finds its section.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module

from kochat.engine.stage import Stage
from kochat.errors import UserError


def built_in() -> list[Stage]:
    """Return kochat's own stages in the order in which they run and appear in a report."""
    packages = [f"{__name__}.{found.name}" for found in pkgutil.iter_modules(__path__) if found.ispkg]
    return sorted(map(_stage_of, packages), key=lambda stage: stage.order)


def import_config_modules() -> None:
    """Import the modules whose classes a config may name without their module."""
    for stage in built_in():
        for module in stage.config_modules:
            import_module(f"{stage.package}.{module}")


def stages_by_name(packages: Sequence[str] = ()) -> dict[str, Stage]:
    """Return kochat's stages and those of ``packages``: name -> `Stage`, kochat's first.

    Raises:
        UserError: a package cannot be imported, or has no ``STAGE``, or two stages have one name.
    """
    return by_name([*built_in(), *map(_stage_of, packages)])


def by_name(stages: Sequence[Stage]) -> dict[str, Stage]:
    """Return stages by name.

    Raises:
        UserError: stages of two packages have one name.
    """
    found: dict[str, Stage] = {}
    for stage in stages:
        known = found.setdefault(stage.name, stage)
        if known.package != stage.package:
            raise UserError(
                f"{stage.package}: its stage is called {stage.name!r}, as that of {known.package}; give its STAGE another name"
            )
    return found


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
