"""What a stage is and can do, said by the stage itself.

A stage is a folder: a package with ``module.py``, its LightningModule, whose class attribute ``stage`` is the `Stage`; often
``data.py`` and
``options.py``; and for the study's report ``report.py`` and the words ``ko.yaml`` and ``en.yaml``. The folder may stand in kochat or in
anybody's package: a config names the module by its class path, and everything else is found from there.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A stage's name, home and abilities.

    Args:
        name: what ``done.json`` calls it, and the prefix of its metrics (``sft/train_loss``).
        package: the package that is its folder, such as ``kochat.stages.sft``.
        trains: ``fit`` makes a model; False where only the model at hand is evaluated, by ``test``.
        answers: its model answers prompts: ``test`` writes samples.jsonl, and ``predict`` works.
        compared: its answers stand beside those of other stages in a report.
        per_seed: a study's seeds multiply its runs; False where all seeds share one.
    """

    name: str
    package: str
    trains: bool = True
    answers: bool = True
    compared: bool = True
    per_seed: bool = True
