"""The report's accuracy of reward models by kind of pair: which differences between two answers they see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, Field, FiniteFloat

from kochat.metrics.choices import OWN_PROMPT_FLOOR, choice_accuracy
from kochat.metrics.intervals import Interval
from kochat.report.document import Cell, Table
from kochat.report.drawing import canvas, legend, reserve_left, to_svg
from kochat.report.figures import colours
from kochat.report.record_files import read_records
from kochat.report.study_results import Run
from kochat.report.study_view import StageView
from kochat.report.words import NOTHING, Texts, count
from kochat.runs import PAIR_SCORES_FILE
from kochat.stages.reward_model.reward_records import RewardRecord

OWN_PROMPT = "own_prompt"  # the pairs that are made without labels
LENGTH = "length"  # two equally good answers: the aim is 0.5
KINDS = (OWN_PROMPT, "other_prompt", "wrong", "unknown", "unknown_wrong", "rude", "half", "noise", LENGTH)

Accuracies = Mapping[str, Mapping[str, Interval]]  # run name -> kind -> accuracy


class PairScores(BaseModel):
    """A reward model's scores of a labelled pair: the better answer, the worse one."""

    id: str
    prompt: str
    kind: str
    scores: list[FiniteFloat] = Field(min_length=2, max_length=2)


def pair_accuracies(runs: Sequence[Run], records: Mapping[str, RewardRecord]) -> Accuracies:
    """Compute the accuracy of every run by kind of pair; runs without any scored pair are left out.

    Args:
        runs: runs of reward models.
        records: their results on held-out records, by run name.
    """
    found = {run.name: _by_kind(run, records.get(run.name)) for run in runs}
    return {name: kinds for name, kinds in found.items() if kinds}


def _by_kind(run: Run, record: RewardRecord | None) -> dict[str, Interval]:
    pairs: dict[str, list[PairScores]] = defaultdict(list)
    for pair in read_records(PairScores, run.home / PAIR_SCORES_FILE):
        pairs[pair.kind].append(pair)
    found = {OWN_PROMPT: record.own_prompt if record else None} | {kind: _accuracy(pairs[kind]) for kind in pairs}
    return {kind: interval for kind, interval in found.items() if interval is not None}


def _accuracy(pairs: Sequence[PairScores]) -> Interval | None:
    better, worse = ([pair.scores[side] for pair in pairs] for side in (0, 1))
    return choice_accuracy(better, worse, [pair.prompt for pair in pairs])


def kinds_in_order(accuracies: Accuracies) -> list[str]:
    """Return the kinds that any run has: the known ones in the order of `KINDS`, then others by name."""
    found = {kind for kinds in accuracies.values() for kind in kinds}
    return [*(kind for kind in KINDS if kind in found), *sorted(found - set(KINDS))]


def kinds_table(view: StageView, accuracies: Accuracies) -> Table | None:
    """Return a table with one row per kind: goal, number of pairs, and each reward model's accuracy; None without pairs."""
    texts, runs = view.texts, _measured(view, accuracies)
    if not runs:
        return None
    rows = []
    for kind in kinds_in_order(accuracies):
        by_run = [accuracies[run.name].get(kind) for run in runs]
        numbers = [
            Cell(NOTHING if found is None else texts.interval("accuracy", found), run.name, f"pairs_{kind}")
            for run, found in zip(runs, by_run, strict=True)
        ]
        sizes = sorted({found.n for found in by_run if found is not None})
        size = "–".join(dict.fromkeys([count(sizes[0]), count(sizes[-1])]))  # runs may have scored different numbers
        rows.append([Cell(pair_kind(texts, kind)), Cell(_goal(texts, kind)), Cell(size), *numbers])
    header = [texts("column.pair_kind"), texts("column.pair_goal"), texts.metric("pairs"), *map(view.study.label, runs)]
    return Table(texts("caption.rm_kinds"), header, rows, text_columns=2)


def kind_bars(view: StageView, name: str, accuracies: Accuracies) -> str | None:
    """Draw each reward model's accuracy by kind as bars with their intervals; the dashed line is chance. Return SVG text."""
    texts, runs, kinds = view.texts, _measured(view, accuracies), kinds_in_order(accuracies)
    if not runs or len(kinds) < 2:
        return None
    width = 0.8 / len(runs)
    with canvas(height=1.2 + 0.18 * len(kinds) * max(2, len(runs))) as (figure, [axes]):
        for index, (run, colour) in enumerate(zip(runs, colours(runs), strict=True)):
            bars = [(row, accuracies[run.name][kind]) for row, kind in enumerate(kinds) if kind in accuracies[run.name]]
            places = [row + width * (index - (len(runs) - 1) / 2) for row, _ in bars]
            values = [100 * found.value for _, found in bars]
            reach = [
                [100 * (found.value - found.low) for _, found in bars],
                [100 * (found.high - found.value) for _, found in bars],
            ]
            axes.barh(
                places, values, height=width, xerr=reach, color=colour, alpha=0.75, label=view.study.label(run),
                error_kw={"linewidth": 1, "ecolor": "#40464d"},
            )  # fmt: skip
        labels = [pair_kind(texts, kind) for kind in kinds]
        axes.set_yticks(range(len(kinds)), labels)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.axvline(50, linestyle="--", linewidth=1.2, color="#40464d", zorder=3)
        axes.set_xlim(0, 100)
        axes.set_xlabel(texts("axis.pair_share"))
        legend(figure, axes)
        reserve_left(figure, labels)
        return to_svg(figure, name)


def prompt_findings(view: StageView, records: Mapping[str, RewardRecord]) -> list[str]:
    """Return a sentence for each reward model that hardly reads the prompt (`OWN_PROMPT_FLOOR`)."""
    texts, said = view.texts, []
    for run in view.runs:
        found = records[run.name].own_prompt if run.name in records else None
        if found is not None and found.value < OWN_PROMPT_FLOOR:
            share = texts.interval("accuracy", found)
            said.append(texts("finding.own_prompt", a=view.study.label(run), share=share, n=count(found.n)))
    return said


def pair_kind(texts: Texts, kind: str) -> str:
    """Return the words for a kind of pair, or the kind itself if it has none."""
    return texts.named("pair_kind", kind)


def _goal(texts: Texts, kind: str) -> str:
    return texts(f"pair_goal.{kind}" if texts.has(f"pair_goal.{kind}") else "pair_goal.any")


def _measured(view: StageView, accuracies: Accuracies) -> list[Run]:
    return [run for run in view.runs if run.name in accuracies]
