"""The input of a report's sections: the study's results, their numbers and the report's words, as one object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from statistics import fmean

from kochat.report.arms import Arm, paired_arms
from kochat.report.run_labels import label_arm, label_runs, stage_word
from kochat.report.study_files import ContrastEntry, StageEntry
from kochat.report.study_results import Run, StudyResults
from kochat.report.variant_records import VariantRecord, cluster, make_records, statistic
from kochat.report.words import Texts
from kochat.statistics.differences import Comparison, compare
from kochat.statistics.multiple_tests import holm


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
    _differences: dict[tuple[object, ...], Comparison | None] = field(default_factory=dict, repr=False)

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
    def chain_plans(self) -> list[list[Contrast]]:
        """The chains, those that the study's YAML names once together: the same chain of every seed."""
        return _of_one_plan(self.chains)

    def chain_arms(self, contrasts: Sequence[Contrast]) -> list[Arm]:
        """Return the steps of one chain as arms with the finished runs of every seed; steps whose answers are missing are left out."""
        steps = zip(*(contrast.entry.chain for contrast in contrasts), strict=True)
        runs = [[run for run in self.results.finished(names) if run.name in self.records] for names in steps]
        return [Arm(tuple(found)) for found in runs if found]

    @property
    def chains(self) -> list[Contrast]:
        """The contrasts that are chains."""
        return [contrast for contrast in self.contrasts if contrast.entry.chain]

    def arm_label(self, arm: Arm) -> str:
        """Return the label of an arm: that of its only run, or one without the seed."""
        names = dict.fromkeys(arm.names)
        return self.label(arm.first) if len(names) == 1 else label_arm(arm.first.entry, self.results.study, self.texts)

    def value(self, arm: Arm, metric: str) -> float | None:
        """Return a metric's mean over an arm's runs; None unless all have it."""
        found = [self.records[name].get(metric) if name in self.records else None for name in arm.names]
        numbers = [value for value in found if value is not None]
        return fmean(numbers) if len(numbers) == len(found) else None

    def difference(self, ours: Arm, theirs: Arm, metric: str) -> Comparison | None:
        """Compare two arms on the prompts that all of their runs answered; None if the metric was not measured."""
        key = ours.names, theirs.names, metric
        if key not in self._differences:
            self._differences[key] = self._difference(ours, theirs, metric)
        return self._differences[key]

    def _difference(self, ours: Arm, theirs: Arm, metric: str) -> Comparison | None:
        if not {*ours.names, *theirs.names} <= self.records.keys():
            return None
        left, right = ([self.records[name].rows(metric) for name in arm.names] for arm in (ours, theirs))
        if not all((*left, *right)):
            return None
        clusters = {answer.id: cluster(answer) for answer in ours.first.test_answers}
        return compare(left, right, clusters, statistic(metric))

    def arm_pairs(self, contrasts: Sequence[Contrast]) -> list[tuple[Arm, Arm]]:
        """Return the (arm, against) pairs of contrasts; runs that differ only in their seed are one arm."""
        known = (pair for contrast in contrasts for pair in contrast.pairs)
        return paired_arms(pair for pair in known if {run.name for run in pair} <= self.records.keys())

    @cached_property
    def primary(self) -> list[PrimaryTest]:
        """The tests that the study was made for, with p-values that are corrected for their number (Holm 1979)."""
        found = [
            (ours, theirs, metric, difference)
            for contrasts in _of_one_plan(self.contrasts)
            for ours, theirs in self.arm_pairs(contrasts)
            for metric in contrasts[0].entry.primary
            if (difference := self.difference(ours, theirs, metric)) is not None
        ]
        adjusted = holm([difference.p_value for *_, difference in found])
        return [PrimaryTest(*test, p_value) for test, p_value in zip(found, adjusted, strict=True)]

    def p_value(self, ours: Arm, theirs: Arm, metric: str) -> float | None:
        """Return the p-value of a difference; that of a primary test is corrected. None if the metric was not measured."""
        difference = self.difference(ours, theirs, metric)
        own = None if difference is None else difference.p_value
        return self._corrected.get((ours.names, theirs.names, metric), own)

    @cached_property
    def _corrected(self) -> dict[tuple[object, ...], float]:
        return {(test.ours.names, test.theirs.names, test.metric): test.p_value for test in self.primary}


@dataclass(frozen=True)
class PrimaryTest:
    """A test that the study was made for: arms, metric, their difference, and its corrected p-value."""

    ours: Arm
    theirs: Arm
    metric: str
    difference: Comparison
    p_value: float


def _of_one_plan(contrasts: Sequence[Contrast]) -> list[list[Contrast]]:
    """Join contrasts that the study's YAML names once: the same chain of every seed."""
    joined: dict[object, list[Contrast]] = {}
    for contrast in contrasts:
        runs = [run.entry.origin for run in contrast.groups[0]]
        key = (contrast.entry.name, *runs) if contrast.entry.chain else id(contrast)
        joined.setdefault(key, []).append(contrast)
    return list(joined.values())


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
