"""Show what a study would run, without running or writing anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kochat.study.earlier_runs import EarlierRun, basis_of, find_earlier_runs
from kochat.study.finished_runs import find_finished, needed_runs
from kochat.study.resolved_runs import ResolvedRun
from kochat.study.resolved_study import ResolvedStudy
from kochat.study.runner import StudyOptions, chosen_runs, known_arguments, resolved_study

COLUMNS = ("run", "stage", "state", "needs", "trained parameters", "minutes", "memory MiB", "basis")
_RIGHT = ("trained parameters", "minutes", "memory MiB")


def describe_study(options: StudyOptions) -> str:
    """Return a table of a study's runs, and a line on what is left.

    Minutes and memory are those of the finished run in the column ``basis`` (`basis_of`); ``-`` stands where there is none. The
    number of trained parameters is known only of the same run. Whether a run is finished is judged by the data files as they
    are now; they are not prepared.

    Raises:
        UserError: the plan or a run's config is wrong.
    """
    study = resolved_study(options)
    chosen = chosen_runs(study, options.only)
    finished = find_finished(chosen, {run.name: known_arguments(study.plan, run, options) for run in chosen})
    earlier = find_earlier_runs(options.logs_dir)
    bases = {run.name: _basis(study, run, finished, earlier, options.logs_dir) for run in chosen}
    rows = [_row(study, run, bases[run.name], "finished" if run.name in finished else "to run") for run in chosen]
    left = [bases[run.name] for run in chosen if run.name not in finished]
    return f"{aligned([COLUMNS, *rows])}\n{_summary(len(chosen), left)}"


def _basis(
    study: ResolvedStudy,
    run: ResolvedRun,
    finished: dict[str, Path],
    earlier: Sequence[EarlierRun],
    logs_dir: Path,
) -> EarlierRun | None:
    if run.name in finished:
        path = finished[run.name].relative_to(logs_dir)
        return next((each for each in earlier if each.path == path), None)
    return basis_of(run.name, run.stage.name, study.plan.name, earlier)


def _row(study: ResolvedStudy, run: ResolvedRun, basis: EarlierRun | None, state: str) -> tuple[str, ...]:
    names = [other.name for other in study.runs]
    needs = sorted(needed_runs(run).intersection(names), key=names.index)
    own = basis is not None and (basis.study, basis.name) == (study.plan.name, run.name)
    return (
        run.name,
        run.stage.name,
        state,
        ", ".join(needs) or "-",
        f"{basis.done['parameters']['trainable']:,}" if own and basis else "-",
        f"{basis.minutes:.1f}" if basis else "-",
        basis.memory if basis else "-",
        basis.path.as_posix() if basis else "-",
    )


def _summary(total: int, left: Sequence[EarlierRun | None]) -> str:
    """Return the line below the table; ``left`` are the bases of the runs that are not finished."""
    known = [basis.minutes for basis in left if basis is not None]
    text = f"{total - len(left)} of {total} runs are finished"
    if not known:
        return text
    more = "more than " if len(known) < len(left) else ""
    return (
        f"{text}; if each other run takes as long as its basis, {more}{sum(known):.1f} min are left, one run at a time, without "
        "data, scores and report"
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as text with aligned columns; the first row is the header, and numbers stand on the right."""
    header = rows[0]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if title in _RIGHT else cell.ljust(width)
            for cell, width, title in zip(row, widths, header, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
