"""SFT's chapter of the report: loss, scores and answers of its runs."""

from __future__ import annotations

from kochat.report import figures as plots
from kochat.report.document import Paragraph, Section
from kochat.report.section_parts import answers, chapter, figure, missing, titled
from kochat.report.study_view import StageView
from kochat.report.tables import FACTS, variants_table

_METRICS = ("trainable", "seconds", "val_loss", "bleu", "rouge_l", *FACTS)


def sections(view: StageView) -> list[Section]:
    """Return the chapter and its section with answers."""
    study, texts, runs = view.study, view.texts, view.runs
    if not runs:
        return [chapter(view, [missing(texts)])]
    loss = plots.curves(study, "sft_loss", runs, ("sft/train_loss", "sft/val_loss"))
    blocks = [
        Paragraph(texts("sft.what")),
        figure(texts, "sft_loss", loss),
        variants_table(study, titled(view, "caption"), runs, _METRICS),
    ]
    return [chapter(view, blocks), *answers(view, runs)]
