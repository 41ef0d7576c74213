"""Describe a stage: its name, its package and what it can do.

A stage is a folder, that is, a Python package. Its ``module.py`` has the LightningModule, whose class attribute
``stage`` is the `Stage`. It may have ``data.py`` and ``options.py``, and for the report ``report.py``, ``ko.yaml`` and
``en.yaml``. The folder may be part of kochat or of another package: a config names the module by its class path, and
kochat finds the other files from there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage's name, package and abilities.

    Args:
        name: its name in ``done.json``, and the prefix of its metrics (``sft/train_loss``).
        package: the name of its package, such as ``kochat.stages.sft``.
        trains: ``fit`` trains a model; False if the stage only evaluates an existing model, by ``test``.
        answers: its model answers prompts, so ``test`` writes samples.jsonl and ``predict`` works.
        compared: a report compares its answers with those of other stages.
        per_seed: a study repeats its runs for every seed; False if all seeds share one run.
        scores: its export is a reward model, which can score the answers of a study.
        order: its place among kochat's stages; lower numbers come first. Stages of other packages follow kochat's.
        config_modules: modules of its package with classes that a config names. Only for kochat's own stages: others
            are named by class path.
    """

    name: str
    package: str
    trains: bool = True
    answers: bool = True
    compared: bool = True
    per_seed: bool = True
    scores: bool = False
    order: int = 100
    config_modules: tuple[str, ...] = ("module", "data")
