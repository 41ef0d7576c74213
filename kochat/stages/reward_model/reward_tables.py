"""The report's tables of reward models: how well they order answers, their scores, calibration and length bias."""

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
FEW_RECORDS = 100  # with fewer, the accuracy's interval is wider than +-5 points


def accuracy_table(view: StageView, records: Records) -> Table | None:
    """Return a table of size, time, pair accuracy with its interval and margin, one row per reward model."""

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
    """Return a table of the mean score of each grade, raw and centred; a dash where no centring was saved."""

    def cells(run: Run, record: RewardRecord) -> Cells:
        centred = record.centred or {}
        return {f"score_{grade}": view.texts.number("score", record.means[grade]) for grade in GRADES} | {
            f"centred_{grade}": view.texts.number("score", centred.get(grade), signed=True) for grade in GRADES
        }

    return _table("caption.rm_means", cells, view, records)


def calibration_table(view: StageView, records: Records) -> Table | None:
    """Return a table of pair accuracy, calibration error and overconfidence, one row per reward model."""

    def cells(run: Run, record: RewardRecord) -> Cells:
        curve = record.quality.calibration
        return {
            "pair_accuracy": view.texts.interval("accuracy", record.accuracy),
            "calibration_error": view.texts.number("calibration_error", curve.error),
            "overconfidence": view.texts.number("overconfidence", curve.overconfidence, signed=True),
        }

    return _table("caption.rm_calibration", cells, view, records)


def length_table(view: StageView, records: Records) -> Table | None:
    """Return a table of the effect of answer length on the score; dashes where no texts were saved."""

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
    """Return a sentence: how many pairs differ in length, and how often the longer answer is better; none without texts."""
    found = [records[run.name].quality.length for run in _scored(view, records)]
    lengths = {(bias.n_longer, bias.n_shorter, bias.n_equal, bias.longer_wins) for bias in found if bias is not None}
    if len(lengths) != 1:  # models were tested on different records, so there is no common sentence
        return []
    longer, shorter, equal, share = lengths.pop()
    if share is None:
        return []
    words = {"longer": count(longer), "shorter": count(shorter), "equal": count(equal)}
    return [view.texts("rm.longer", **words, share=view.texts.number("accuracy", share))]


def size_notes(view: StageView, records: Records) -> list[str]:
    """Return a warning if there are fewer than `FEW_RECORDS` records."""
    found = [len(records[run.name].quality.margins) for run in _scored(view, records)]
    return [view.texts("rm.few", n=min(found))] if found and min(found) < FEW_RECORDS else []


def _table(
    caption: str, cells: Callable[[Run, RewardRecord], Cells], view: StageView, records: Records
) -> Table | None:
    """Return a table with one row per reward model; None if no model has scored records."""
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
