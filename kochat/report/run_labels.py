"""Make the labels of runs for tables, legends and sentences: the stage, and the factors that distinguish its runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from kochat.report.study_files import RunEntry, StudyFile
from kochat.report.study_results import REFERENCES
from kochat.report.words import Texts

SEED = "seed_everything"  # the config key of the seed


def label_runs(study: StudyFile, texts: Texts) -> dict[str, str]:
    """Return the labels of all runs of a study: run name -> label; no two are the same.

    A label shows each factor that varies among the runs of a stage, with two exceptions. A value in `REFERENCES` is
    left out (v2, the cleaned data). A factor that always changes together with another one is shown only if its value
    is not that of most runs.
    """
    labels = {run.name: _label(run, study, texts) for run in study.runs}
    used = Counter(labels.values())
    return {name: label if used[label] == 1 else f"{label} ({name})" for name, label in labels.items()}


def label_arm(run: RunEntry, study: StudyFile, texts: Texts) -> str:
    """Return the label of runs that differ only in their seed, from one of them."""
    return _label(run, study, texts, hidden=(SEED,))


def stage_word(stage: str, texts: Texts) -> str:
    """Return the name of a stage in the report, or its `Stage.name` if its words are not loaded."""
    return texts.named("stage", stage)


def shown_factors(run: RunEntry, study: StudyFile) -> dict[str, object]:
    """Return the factors and values that a run's label shows."""
    stage = next((stage for stage in study.stages if stage.name == run.stage), None)
    varying = stage.varying if stage else []
    usual = _usual_values(run.stage, study, stage.tied if stage else {})
    return {
        name: value
        for name in varying
        if (value := run.factors.get(name)) is not None
        and not (name in REFERENCES and value == REFERENCES[name])
        and not (name in usual and value == usual[name])
    }


def _label(run: RunEntry, study: StudyFile, texts: Texts, hidden: Collection[str] = ()) -> str:
    shown = shown_factors(run, study)
    words = [texts.factor(name, value) for name, value in shown.items() if study.factors.get(name) not in hidden]
    return " ".join([stage_word(run.stage, texts), *words])


def _usual_values(stage: str, study: StudyFile, tied: Mapping[str, str]) -> dict[str, object]:
    """Return, for each tied factor, the value that more than half of the stage's runs have, where there is one."""
    runs = [run for run in study.runs if run.stage == stage]
    found: dict[str, object] = {}
    for name in tied:
        values = [run.factors.get(name) for run in runs]
        usual = max(values, key=values.count)
        if 2 * values.count(usual) > len(values):
            found[name] = usual
    return found
