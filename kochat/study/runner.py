"""Run a study: prepare the data, start unfinished runs, score all answers with one reward model, write the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kochat import runs
from kochat.engine.warnings_shown import quiet_libraries
from kochat.errors import UserError
from kochat.lightning_cli import Ended
from kochat.stages import stages_by_name
from kochat.study.composing import write_report
from kochat.study.data_preparation import prepare_study
from kochat.study.duels import judge_chains
from kochat.study.finished_runs import earlier_seconds, find_finished, needed_runs
from kochat.study.plan import SAMPLE, StudyPlan
from kochat.study.plan_files import read_plan
from kochat.study.progress import RunTimes, StudyProgress
from kochat.study.resolved_runs import ResolvedRun, seeded_name
from kochat.study.resolved_study import MAX_LENGTH, ResolvedStudy, resolve_study
from kochat.study.run_processes import Started, run_pool, start_server
from kochat.study.run_queue import RunQueue
from kochat.study.scoring import RewardScorer, score_run
from kochat.study.stage_reports import check_stage_reports
from kochat.study.study_record import write_study_file
from kochat.world.judgement import embedded_judge

_CORPUS, _TOKENIZER = "data.init_args.path", "model.init_args.tokenizer_source"


@dataclass(frozen=True)
class StudyOptions:
    """The options of the command ``study``.

    Args:
        config: the study's YAML.
        logs_dir: the folder of all runs.
        raw: folder of raw data; overrides the plan's.
        corpus: file of pretraining text; overrides the plan's, but no path in a run's own config.
        tokenizer: folder of the tokenizer for the pretrained base; None trains a new one.
        only: names of the runs to run, with or without their seed; None runs all, scores them and writes the report.
        lang: the report's language, ko or en.
    """

    config: Path
    logs_dir: Path = Path("lightning_logs")
    raw: Path | None = None
    corpus: Path | None = None
    tokenizer: Path | None = None
    only: list[str] | None = None
    lang: str = "ko"


def run_study(options: StudyOptions) -> Path:
    """Run a whole study; finished runs are skipped, interrupted ones start again.

    Returns:
        The path of report.html (report.en.html with ``lang`` en); with ``only`` the path of the study's folder.

    Raises:
        UserError: the plan or a run's config is wrong; raised before anything is written or run.
    """
    study = resolved_study(options)
    plan, stages = study.plan, stages_by_name() | study.stages
    check_stage_reports(options.lang, stages)
    chosen = chosen_runs(study, options.only)
    raw = str(options.raw or plan.raw)
    start_server()  # unless the command line has done so; it imports the libraries while the data is prepared
    data = prepare_study(plan.data_dir, raw, plan.sample_size, plan.seed)
    folders = run_all(study, chosen, options)
    folder = options.logs_dir / plan.name
    if options.only is not None:
        return folder
    quiet_libraries()  # the reward model is loaded in this process
    score_all(study, folders, known_world=raw == SAMPLE)
    write_study_file(study, folder, folders, data)
    try:
        if plan.judge is not None:
            judge_chains(plan.judge, study.contrasts, folder, folders)
    finally:  # an endpoint that fails costs its own column alone
        report = write_report(folder, options.lang, stages)
    return report


def resolved_study(options: StudyOptions) -> ResolvedStudy:
    """Read a study and resolve its runs; nothing is written or run.

    Raises:
        UserError: the plan, a run's config or ``--only`` is wrong.
    """
    plan = read_plan(options.config)
    _known_runs(plan, options.only or ())
    _known_files(plan, options.config)
    return resolve_study(plan, options.logs_dir)


def chosen_runs(study: ResolvedStudy, only: Sequence[str] | None) -> list[ResolvedRun]:
    """Return the chosen runs: all, or the named ones; a name without a seed means all seeds."""
    return [run for run in study.runs if only is None or run.name in only or run.origin in only]


def _known_runs(plan: StudyPlan, only: Sequence[str]) -> None:
    names = [run.name for run in plan.runs]
    seeded = [seeded_name(name, seed) for name in names for seed in plan.seeds] if len(plan.seeds) > 1 else []
    unknown = sorted(set(only) - {*names, *seeded})
    if unknown:
        raise UserError(f"--only: {unknown[0]!r} is no run of this study; it has {', '.join(names)}")


def _known_files(plan: StudyPlan, config: Path) -> None:
    lost = [path for run in plan.runs for path in (run.config, *run.overlays) if not path.is_file()]
    if lost:
        raise UserError(f"{config}: runs: there is no config {lost[0]}; paths are relative to the study's YAML")


def run_all(study: ResolvedStudy, chosen: Sequence[ResolvedRun], options: StudyOptions) -> dict[str, Path]:
    """Run the chosen runs that are not finished, each after those that it needs; return run -> folder.

    Raises:
        UserError: a run's input is wrong; runs that still run are ended.
        RunError: a run failed.
    """
    by_name = {run.name: run for run in chosen}
    folders = find_finished(chosen, {name: known_arguments(study.plan, run, options) for name, run in by_name.items()})
    queue, pool = RunQueue({name: needed_runs(run) for name, run in by_name.items()}), run_pool()
    stages = {run.name: run.stage.name for run in study.runs}
    told = StudyProgress(list(by_name), RunTimes(stages, earlier_seconds(study, options.logs_dir)), pool.at_once)
    for name in folders:
        queue.finish(name)
        print(told.skipped(name), flush=True)
    try:
        while queue.unfinished:
            while pool.free and (next_one := queue.start_next()) is not None:
                print(told.started(next_one), flush=True)
                args = [*by_name[next_one].args, *late_arguments(study.plan, by_name[next_one], options)]
                pool.start(Started(next_one, args, progress_bar=pool.at_once == 1))
            name, ended = pool.wait()
            folders[name] = _folder_of(by_name[name], ended)
            queue.finish(name)
            told.finished(name, float(runs.read_done(folders[name])["seconds"]))
    finally:
        pool.close()
    return folders


def _folder_of(run: ResolvedRun, ended: Ended) -> Path:
    if ended.folder is None:
        raise UserError(
            f"{run.planned.config}: trainer.logger is off, so the study cannot find what it makes; set it to null"
        )
    return ended.folder


def known_arguments(plan: StudyPlan, run: ResolvedRun, options: StudyOptions) -> list[str] | None:
    """Return the command line of a run; None if it takes the steps of a run that is not finished."""
    steps_of = run.planned.steps_of
    if steps_of is not None and runs.RunSpace(options.logs_dir, plan.name).newest_finished(steps_of) is None:
        return None
    return [*run.args, *late_arguments(plan, run, options)]


def late_arguments(plan: StudyPlan, run: ResolvedRun, options: StudyOptions) -> list[str]:
    """Return the arguments that are known only at the start: another run's steps, and a base's corpus and tokenizer."""
    args: list[str] = []
    if run.planned.steps_of is not None:
        steps = steps_taken(plan, run.planned.steps_of, options.logs_dir)
        args += ["--trainer.max_steps", str(steps), "--trainer.max_epochs", "-1"]
    corpus = options.corpus or plan.corpus
    if run.leaves.keys() >= {_CORPUS, _TOKENIZER}:  # a run that trains a base on a corpus
        own = run.leaves  # what the run's config says itself is a setting of this run, which others may differ in
        args += [f"--{_CORPUS}", str(corpus)] if corpus and own[_CORPUS] is None else []
        args += (
            [f"--{_TOKENIZER}", str(options.tokenizer.resolve())]
            if options.tokenizer and own[_TOKENIZER] is None
            else []
        )
    return args


def steps_taken(plan: StudyPlan, name: str, logs_dir: Path) -> int:
    """Return the number of optimizer steps of a finished run.

    Raises:
        UserError: it is not finished.
    """
    run = runs.RunSpace(logs_dir, plan.name).newest_finished(name)
    if run is None:
        raise UserError(f"--only: a run that takes the steps of {name!r} needs that one finished; add it")
    return int(runs.read_done(run)["steps"])


def score_all(study: ResolvedStudy, folders: Mapping[str, Path], *, known_world: bool) -> None:
    """Score all compared answers with the study's reward model and, in the embedded world, with the judge."""
    scorer = study.scorer
    unpad = bool(scorer.leaves.get("model.init_args.unpad", True))
    reward = RewardScorer(folders[scorer.name] / runs.EXPORT_DIR, int(scorer.leaves[MAX_LENGTH]), unpad=unpad)
    judge = embedded_judge() if known_world else None
    for run in study.runs:
        if run.stage.answers and run.stage.compared and (folders[run.name] / runs.SAMPLES_FILE).is_file():
            score_run(folders[run.name], reward, judge)
