"""Turn the contrasts of a study's plan into groups and chains of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kochat.errors import UserError
from kochat.report.study_files import ContrastEntry
from kochat.report.study_results import value_order
from kochat.study.config_differences import SEED, lookup
from kochat.study.factors import StudyFactors, identity
from kochat.study.plan import PlannedContrast
from kochat.study.resolved_runs import ResolvedRun


@dataclass(frozen=True)
class ContrastMaker:
    """Find the runs of contrasts.

    Args:
        runs: the study's runs, in the report's order of stages.
        factors: the factors of the study.
    """

    runs: Sequence[ResolvedRun]
    factors: StudyFactors

    def planned(self, contrasts: Sequence[PlannedContrast]) -> list[ContrastEntry]:
        """Return the contrasts that a plan asks for.

        Raises:
            UserError: a run, factor or stage is unknown, or no two runs differ only in the factor.
        """
        return [entry for contrast in contrasts for entry in self._make(contrast)]

    def default(self) -> list[ContrastEntry]:
        """Return the default contrasts: every factor that varies, then the chain of models that ends in the last run."""
        entries = []
        for stage in self._stages:
            for factor in self.factors.varying[stage]:
                if factor not in self.factors.tied[stage]:
                    entries += self._vary(PlannedContrast(vary=factor, stage=stage))
        chain = self._last_chain()
        return entries + (self._chains(PlannedContrast(chain=tuple(chain))) if len(chain) > 1 else [])

    @property
    def _stages(self) -> list[str]:
        return list(dict.fromkeys(run.stage.name for run in self.runs))

    def _make(self, contrast: PlannedContrast) -> list[ContrastEntry]:
        if contrast.chain:
            return self._chains(contrast)
        if contrast.vary not in self.factors.keys:
            raise UserError(
                f"contrasts: vary: {contrast.vary!r} is no factor of this study; it has {', '.join(self.factors.keys)}"
            )
        if contrast.stage not in (None, *self._stages):
            raise UserError(
                f"contrasts: stage: {contrast.stage!r} is no stage of this study; it has {', '.join(self._stages)}"
            )
        entries = self._vary(contrast)
        if not entries:
            where = f" of the stage {contrast.stage}" if contrast.stage else ""
            raise UserError(
                f"contrasts: vary: no two runs{where} differ in {contrast.vary} alone; add such a run, or leave the contrast out"
            )
        return entries

    def _vary(self, contrast: PlannedContrast) -> list[ContrastEntry]:
        """Return the contrasts of one factor, one per stage; factors that are tied to it may change with it."""
        factor, entries = contrast.vary or "", []
        for stage in self._stages if contrast.stage is None else [contrast.stage]:
            tied = [name for name, leader in self.factors.tied[stage].items() if leader == factor]
            groups = self._groups(stage, factor, tied)
            if groups:
                told = [name for name in tied if any(self._differ(group, name) for group in groups)]
                entry = ContrastEntry(
                    name=contrast.name,
                    vary=factor,
                    stage=stage,
                    groups=groups,
                    tied=told,
                    primary=list(contrast.primary),
                )
                entries.append(entry)
        return entries

    def _groups(self, stage: str, factor: str, tied: Sequence[str]) -> list[list[str]]:
        held = [name for name in self.factors.varying[stage] if name not in (factor, *tied)]
        groups: dict[tuple[object, ...], list[str]] = {}
        for run in self.runs:
            if run.stage.name == stage and self._value(run.name, factor) is not None:
                setting = tuple(identity(self._value(run.name, name)) for name in held)
                groups.setdefault(setting, []).append(run.name)
        ordered = [sorted(group, key=lambda name: value_order(self._value(name, factor))) for group in groups.values()]
        return [group for group in ordered if self._differ(group, factor)]

    def _chains(self, contrast: PlannedContrast) -> list[ContrastEntry]:
        """Return a chain, one per seed if its runs are repeated; all its runs have one seed."""
        copies: dict[str, list[str]] = {}
        for run in self.runs:
            copies.setdefault(run.origin, []).append(run.name)
        own = {run.name: [run.name] for run in self.runs}
        unknown = [name for name in contrast.chain if name not in copies and name not in own]
        if unknown:
            raise UserError(f"contrasts: chain: {unknown[0]!r} is no run of this study; it has {', '.join(copies)}")
        steps = self._of_one_seed([copies.get(name) or own[name] for name in contrast.chain], contrast)
        silent = [run.name for run in self.runs if any(run.name in step for step in steps) and not run.stage.compared]
        if silent:
            raise UserError(
                f"contrasts: chain: the answers of {silent[0]!r} are not compared; give runs of stages such as baseline, SFT and PPO"
            )
        times = max(len(step) for step in steps)
        chains = [[step[number] if len(step) > 1 else step[0] for step in steps] for number in range(times)]
        return [ContrastEntry(name=contrast.name, chain=chain, primary=list(contrast.primary)) for chain in chains]

    def _of_one_seed(self, steps: list[list[str]], contrast: PlannedContrast) -> list[list[str]]:
        """Keep, beside a run that is named with its seed, only the copies of other rows that have this seed."""
        seeds = {run.name: lookup(run.parsed.config, SEED) for run in self.runs}
        repeated = {run.name for run in self.runs if run.name != run.origin}
        fixed = {seeds[name]: name for name in contrast.chain if name in repeated}
        if not fixed or all(len(step) == 1 for step in steps):
            return steps
        if len(fixed) > 1:
            raise UserError(
                f"contrasts: chain: {' and '.join(fixed.values())} have different seeds; name every run with its seed"
            )
        return [[name for name in step if seeds[name] in fixed] if len(step) > 1 else step for step in steps]

    def _last_chain(self) -> list[str]:
        """Return the chain from the first model to the last compared run; an untrained baseline comes first."""
        compared = {run.name: run for run in self.runs if run.stage.answers and run.stage.compared}
        trained = [run for run in compared.values() if run.stage.trains]
        if not trained:
            return []
        chain = [trained[-1]]
        while upstream := self._upstream(chain[0], compared):
            chain.insert(0, upstream)
        others = [run for run in compared.values() if not run.stage.trains and run not in chain]
        untrained = [run for run in others if self._upstream(run, compared) is None]  # best-of-n starts from SFT
        return [run.origin for run in [*untrained[:1], *chain]]

    def _upstream(self, run: ResolvedRun, compared: dict[str, ResolvedRun]) -> ResolvedRun | None:
        return next((compared[name] for name in self.factors.sources[run.name].values() if name in compared), None)

    def _value(self, run: str, factor: str) -> object:
        return self.factors.values[run][factor]

    def _differ(self, group: Sequence[str], factor: str) -> bool:
        return len({identity(self._value(name, factor)) for name in group}) > 1
