"""The report's tables of reward models: how well they order answers, their scores, and what to hold against them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kochat.metrics.intervals import Interval
from kochat.metrics.pair_accuracy import GRADES
from kochat.report.document import Cell, Table
from kochat.report.study_results import Run
from kochat.report.study_view import StageView
from kochat.report.words import NOTHING, count
from kochat.stages.reward_model.reward_records import RewardRecord

Records = Mapping[str, RewardRecord]
Cells = dict[str, str]  # metric -> text
FEW_RECORDS = 100  # with fewer the accuracy's interval reaches more than 5 points to either side


def accuracy_table(view: StageView, records: Records) -> Table | None:
    """Show per reward model its size and cost, pair accuracy with its interval, and the margin."""

    def cells(run: Run, record: RewardRecord) -> Cells:
        return {
            "trainable": count(run.done.parameters.trainable),
            "seconds": view.texts.duration(run.done.seconds),
            "val_loss": view.texts.number("val_loss", run.last("rm/val_loss")),
            "pair_accuracy": view.texts.interval("accuracy", record.accuracy),
            "pairs": count(record.n_pairs),
            "margin": view.texts.number("margin", record.margin),
            "effect": view.texts.number("effect", record.effect),
        }

    return _table("caption.rm", cells, view, records)


def scores_table(view: StageView, records: Records) -> Table | None:
    """Show per reward model the mean score of each grade, raw and centred; dashes where the centre was not kept."""

    def cells(run: Run, record: RewardRecord) -> Cells:
        centred = record.centred or {}
        return {f"score_{grade}": view.texts.number("score", record.means[grade]) for grade in GRADES} | {
            f"centred_{grade}": view.texts.number("score", centred.get(grade), signed=True) for grade in GRADES
        }

    return _table("caption.rm_means", cells, view, records)


def calibration_table(view: StageView, records: Records) -> Table | None:
    """Show per reward model how far its score differences may be read as probabilities."""

    def cells(run: Run, record: RewardRecord) -> Cells:
        curve = record.quality.calibration
        return {
            "pair_accuracy": view.texts.interval("accuracy", record.accuracy),
            "calibration_error": view.texts.number("calibration_error", curve.error),
            "overconfidence": view.texts.number("overconfidence", curve.overconfidence, signed=True),
        }

    return _table("caption.rm_calibration", cells, view, records)


def length_table(view: StageView, records: Records) -> Table | None:
    """Show per reward model what the length of an answer has to do with its score; dashes where no texts were kept."""

    def interval(metric: str, value: Interval | None) -> str:
        return NOTHING if value is None else view.texts.interval(metric, value)

    def cells(run: Run, record: RewardRecord) -> Cells:
        bias = record.quality.length
        return {
            "length_correlation": interval("length_correlation", bias.within if bias else None),
            "length_correlation_overall": view.texts.number("length_correlation", bias.overall if bias else None),
            "shorter_better": interval("accuracy", bias.shorter_better if bias else None),
            "n_shorter": count(bias.n_shorter if bias else None),
            "longer_better": interval("accuracy", bias.longer_better if bias else None),
            "n_longer": count(bias.n_longer if bias else None),
        }

    return _table("caption.rm_length", cells, view, records)


def length_notes(view: StageView, records: Records) -> list[str]:
    """Say how many pairs differ in length, and what choosing the longer answer unread would reach; nothing without texts."""
    found = [records[run.name].quality.length for run in _scored(view, records)]
    lengths = {(bias.n_longer, bias.n_shorter, bias.n_equal, bias.longer_wins) for bias in found if bias is not None}
    if (
        len(lengths) != 1
    ):  # the split is frozen: all models are tested on the same records, or nothing common can be said
        return []
    longer, shorter, equal, share = lengths.pop()
    if share is None:
        return []
    words = {"longer": count(longer), "shorter": count(shorter), "equal": count(equal)}
    return [view.texts("rm.longer", **words, share=view.texts.number("accuracy", share))]


def size_notes(view: StageView, records: Records) -> list[str]:
    """Say that the records are few where they are."""
    found = [len(records[run.name].quality.margins) for run in _scored(view, records)]
    return [view.texts("rm.few", n=min(found))] if found and min(found) < FEW_RECORDS else []


def _table(
    caption: str, cells: Callable[[Run, RewardRecord], Cells], view: StageView, records: Records
) -> Table | None:
    """Lay out one row a reward model; None where none has scored records."""
    rows = []
    for run in _scored(view, records):
        found = cells(run, records[run.name])
        rows.append([Cell(view.study.label(run)), *(Cell(text, run.name, metric) for metric, text in found.items())])
    return (
        Table(view.texts(caption), [view.texts("column.variant"), *map(view.texts.metric, found)], rows)
        if rows
        else None
    )


def _scored(view: StageView, records: Records) -> list[Run]:
    return [run for run in view.runs if run.name in records]
