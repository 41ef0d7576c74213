"""The toy's chapter of the report."""

from kochat.report import figures as plots
from kochat.report.document import Paragraph, Section
from kochat.report.section_parts import chapter, figure, titled
from kochat.report.study_view import StageView
from kochat.report.tables import variants_table


def sections(view: StageView) -> list[Section]:
    """Return the chapter: the losses and a table."""
    curves = plots.curves(view.study, "toy_loss", view.runs, ("toy/train_loss", "toy/val_loss"))
    blocks = [
        Paragraph(view.texts("toy.what")),
        figure(view.texts, "toy_loss", curves),
        variants_table(view.study, titled(view, "caption"), view.runs, ("val_loss", "bleu", "reward")),
    ]
    return [chapter(view, blocks)]
