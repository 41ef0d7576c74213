"""The reward model's chapter of the report: how well it orders answers, and how far its scores can be trusted."""

from __future__ import annotations

from kochat.metrics.intervals import paired_interval
from kochat.report import figures as plots
from kochat.report.document import Paragraph, Section
from kochat.report.findings import Sentence
from kochat.report.section_parts import chapter, figure, missing, note, part
from kochat.report.study_results import Run
from kochat.report.study_view import Contrast, StageView
from kochat.stages.reward_model import pair_kinds, reward_figures, reward_tables
from kochat.stages.reward_model.reward_records import RewardRecord, make_reward_records

DEFINED = (
    "margin", "effect", "pair_accuracy", "own_prompt", "calibration_error", "overconfidence", "length_correlation",
    "shorter_better",
)  # fmt: skip


def sections(view: StageView) -> list[Section]:
    """Return the chapter and its sections on kinds of pairs and on how far the scores can be trusted."""
    study, texts, runs = view.study, view.texts, view.runs
    if not runs:
        return [chapter(view, [missing(texts)])]
    records = make_reward_records(runs)
    progress = plots.curves(study, "rm_progress", runs, ("rm/accuracy", "rm/margin"))
    blocks = [
        Paragraph(texts("rm.what")),
        figure(texts, "rm_loss", plots.curves(study, "rm_loss", runs, ("rm/train_loss", "rm/val_loss"))),
        reward_tables.accuracy_table(view, records),
        figure(texts, "rm_progress", progress),
        reward_tables.scores_table(view, records),
        note(texts, "rm.scale"),
        figure(texts, "rm_scores", reward_figures.score_distributions(view, "rm_scores")),
    ]
    return [chapter(view, blocks), *_kinds(view, records), *_trust(view, records)]


def _kinds(view: StageView, records: dict[str, RewardRecord]) -> list[Section]:
    """Return the section on kinds of pairs; none if the runs scored no such pair, as before kochat measured them."""
    texts, accuracies = view.texts, pair_kinds.pair_accuracies(view.runs, records)
    table = pair_kinds.kinds_table(view, accuracies)
    if table is None:
        return []
    blocks = [
        Paragraph(texts("rm.kinds")),
        *(Paragraph(said) for said in pair_kinds.prompt_findings(view, records)),
        table,
        note(texts, "rm.kinds_interval"),
        figure(texts, "rm_kinds", pair_kinds.kind_bars(view, "rm_kinds", accuracies)),
    ]
    return part(view, "rm_kinds", "section.rm_kinds", blocks)


def _trust(view: StageView, records: dict[str, RewardRecord]) -> list[Section]:
    texts = view.texts
    if not records:
        return part(view, "rm_trust", "section.rm_trust", [missing(texts)])
    blocks = [
        Paragraph(texts("rm.calibration")),
        reward_tables.calibration_table(view, records),
        *(Paragraph(said, note=True) for said in reward_tables.size_notes(view, records)),
        figure(texts, "rm_calibration", reward_figures.calibration_curves(view, "rm_calibration", records)),
        figure(texts, "rm_margins", reward_figures.margin_distributions(view, "rm_margins", records)),
        Paragraph(texts("rm.length")),
        reward_tables.length_table(view, records),
        *(Paragraph(said, note=True) for said in reward_tables.length_notes(view, records)),
    ]
    return part(view, "rm_trust", "section.rm_trust", blocks)


def findings(view: StageView) -> list[Sentence]:
    """Return a sentence for each reward model that hardly reads the prompt."""
    return [Sentence(said) for said in pair_kinds.prompt_findings(view, make_reward_records(view.runs))]


def vary_findings(view: StageView, contrast: Contrast) -> list[Sentence]:
    """Return sentences: which reward model has the highest pair accuracy, and whether it is clearly above the lowest."""
    return [sentence for group in contrast.groups for sentence in _best(view, group)]


def _best(view: StageView, group: list[Run]) -> list[Sentence]:
    texts, label, records = view.texts, view.study.label, make_reward_records(group)
    runs = [run for run in group if run.name in records]
    runs.sort(key=lambda run: records[run.name].accuracy.value, reverse=True)
    if not runs:
        return []
    best, last = records[runs[0].name], records[runs[-1].name]
    accuracy = texts.interval("accuracy", best.accuracy)
    sentences = [Sentence(texts("finding.best_rm", a=label(runs[0]), accuracy=accuracy, n=best.n_pairs), None)]
    if best.accuracy.low <= 0.5:
        sentences.append(Sentence(texts("finding.rm_chance")))
    interval = paired_interval(best.accuracy_by_id, last.accuracy_by_id) if len(runs) > 1 else None
    if interval is not None:
        clear = interval.excludes_zero
        difference = texts.interval("accuracy", interval, signed=True)
        said = texts(
            "finding.rm_apart" if clear else "finding.rm_alike",
            a=label(runs[0]),
            b=label(runs[-1]),
            difference=difference,
        )
        sentences.append(Sentence(said, clear))
    return sentences
