"""A study before it runs: its runs, factors and contrasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.report.study_files import ContrastEntry
from kochat.stages import built_in, by_name
from kochat.study.contrasts import ContrastMaker
from kochat.study.factors import StudyFactors, find_factors
from kochat.study.plan import StudyPlan
from kochat.study.resolved_runs import ResolvedRun, resolve_runs

MAX_LENGTH = "data.init_args.max_length"


@dataclass(frozen=True)
class ResolvedStudy:
    """A study's plan, runs, factors and contrasts.

    Args:
        plan: the plan.
        runs: the runs of all seeds, in the order in which they run.
        factors: the factors in which they differ.
        contrasts: what the report compares.
    """

    plan: StudyPlan
    runs: list[ResolvedRun]
    factors: StudyFactors
    contrasts: list[ContrastEntry]

    @property
    def stages(self) -> dict[str, Stage]:
        """The stages of the runs by name, in the report's order: kochat's own first, then those of other packages as they appear."""
        return stages_of(self.runs)

    @property
    def scorer(self) -> ResolvedRun:
        """The run whose reward model scores all answers; with several seeds, that of the first."""
        return next(run for run in self.runs if run.origin == self.plan.reward_model)


def resolve_study(plan: StudyPlan, logs_dir: Path) -> ResolvedStudy:
    """Resolve a study from its plan; nothing is written, loaded or run.

    Raises:
        UserError: the plan or a run's config is wrong.
    """
    runs = resolve_runs(plan, logs_dir)
    factors = find_factors(runs, plan.factors)
    order = list(stages_of(runs))
    maker = ContrastMaker(sorted(runs, key=lambda run: order.index(run.stage.name)), factors)
    contrasts = maker.default() if plan.contrasts is None else maker.planned(plan.contrasts)
    study = ResolvedStudy(plan, runs, factors, contrasts)
    if not study.scorer.stage.scores:
        raise UserError(
            f"reward_model: {study.scorer.name} is a run of the stage {study.scorer.stage.name}, which scores nothing"
        )
    if MAX_LENGTH not in study.scorer.leaves:
        raise UserError(
            f"reward_model: {study.scorer.name} has no {MAX_LENGTH}, to which answers are cut before it scores them"
        )
    return study


def stages_of(runs: list[ResolvedRun]) -> dict[str, Stage]:
    """Return the stages of some runs by name, in the report's order."""
    own = {run.stage.name for run in runs}
    return {name: stage for name, stage in by_name([*built_in(), *(run.stage for run in runs)]).items() if name in own}
