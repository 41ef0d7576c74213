"""The input of a report's sections: the study's results, their numbers and the report's words, as one object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from kochat.report.run_labels import label_runs, stage_word
from kochat.report.study_files import ContrastEntry, StageEntry
from kochat.report.study_results import Run, StudyResults
from kochat.report.variant_records import VariantRecord, make_records
from kochat.report.words import Texts


@dataclass(frozen=True)
class Contrast:
    """A contrast of finished runs.

    Args:
        entry: its entry in `study.json`.
        groups: groups of two or more runs that differ only in the factor ``entry.vary``, sorted by its value. A chain
            has one group, its runs in order.
    """

    entry: ContrastEntry
    groups: list[list[Run]]

    @property
    def pairs(self) -> list[tuple[Run, Run]]:
        """The (run, against) pairs: in a chain each run and the one before it, else each run and the first of its group."""
        if self.entry.chain:
            runs = {run.name: run for group in self.groups for run in group}
            steps = [step for step in pairwise(self.entry.chain) if runs.keys() >= set(step)]
            return [(runs[later], runs[earlier]) for earlier, later in steps]
        return [(run, group[0]) for group in self.groups for run in group[1:]]


@dataclass(frozen=True)
class StudyView:
    """A study, its numbers and the report's words.

    Args:
        results: the finished runs.
        texts: the words.
        records: run name -> numbers of every run that answers; computed once.
    """

    results: StudyResults
    texts: Texts
    records: Mapping[str, VariantRecord] = field(default_factory=dict)

    @cached_property
    def _labels(self) -> dict[str, str]:
        return label_runs(self.results.study, self.texts)

    def label(self, run: Run) -> str:
        """Return the label of a run, the same in every table, legend and sentence."""
        return self._labels[run.name]

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """The study's contrasts with their finished runs: groups of at least two, chains of at least one run."""
        found = []
        for entry in self.results.study.contrasts:
            least = 1 if entry.chain else 2
            groups = [self.results.finished(names) for names in ([entry.chain] if entry.chain else entry.groups)]
            found.append(Contrast(entry, [group for group in groups if len(group) >= least]))
        return [contrast for contrast in found if contrast.groups]

    def varied(self, factor: str | None = None, stage: str | None = None) -> list[Contrast]:
        """Return the contrasts that vary a factor (of one stage), without the chains."""
        return [
            contrast
            for contrast in self.contrasts
            if not contrast.entry.chain
            and factor in (None, contrast.entry.vary)
            and stage in (None, contrast.entry.stage)
        ]

    @property
    def chains(self) -> list[Contrast]:
        """The contrasts that are chains."""
        return [contrast for contrast in self.contrasts if contrast.entry.chain]


@dataclass(frozen=True)
class StageView:
    """The input of a stage's section.

    Args:
        study: the whole study.
        stage: the stage.
    """

    study: StudyView
    stage: StageEntry

    @property
    def texts(self) -> Texts:
        """The report's words, including those of the stages."""
        return self.study.texts

    @property
    def word(self) -> str:
        """The stage's name in the report."""
        return stage_word(self.stage.name, self.texts)

    @cached_property
    def runs(self) -> list[Run]:
        """The finished runs that the stage's chapter compares; runs on other data are in the chapter on data."""
        return self.study.results.main(self.stage.name)

    @cached_property
    def origins(self) -> list[Run]:
        """The runs from which this stage's runs start, if their answers are compared."""
        return self.study.results.origins(self.runs)

    @property
    def varying(self) -> list[str]:
        """The factors that vary among `runs`, without those that are tied to another one."""

        def values(name: str) -> list[object]:
            return [run.entry.factors.get(name) for run in self.runs]

        names = [name for name in self.stage.varying if name not in self.stage.tied]
        return [name for name in names if any(value != values(name)[0] for value in values(name))]

    @property
    def compared_by(self) -> str:
        """The names of the varying factors, for a title; empty if nothing varies."""
        return ", ".join(self.texts.named("factor_name", name) for name in self.varying)


def view_study(results: StudyResults, texts: Texts) -> StudyView:
    """Compute a study's numbers, and join them with its results and the report's words."""
    return StudyView(results, texts, make_records(results))
