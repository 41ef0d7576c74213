"""Choose prompts and show the answers of several models to them side by side.

A rule chooses the prompts, not a person: the study's fixed prompts, then the first prompt of each kind in the frozen test set.
"""

from __future__ import annotations

from collections.abc import Sequence

from kochat.report.document import Comparison, Reply, SideBySide
from kochat.report.study_files import FIXED_KIND, Answer
from kochat.report.study_results import Run
from kochat.report.study_view import StudyView
from kochat.text.unicode_form import normalise

FIXED_IN_SECTIONS = 4  # the comparison at the end shows all of them


def side_by_side(
    view: StudyView, caption: str, runs: Sequence[Run], *, fixed: int | None = FIXED_IN_SECTIONS, kinds: bool = True
) -> SideBySide | None:
    """Show the runs' answers to up to `fixed` fixed prompts (None: all) and, with `kinds`, to one test prompt of each kind."""
    speaking = [run for run in runs if run.answers]
    if not speaking:
        return None
    chosen = chosen_prompts(speaking[0].answers, fixed, kinds=kinds)
    comparisons = [_comparison(view, prompt, speaking) for prompt in chosen]
    summary = view.texts("word.folded_answers", models=len(speaking), prompts=len(comparisons))
    return SideBySide(caption, summary, comparisons) if comparisons else None


def chosen_prompts(answers: Sequence[Answer], fixed: int | None, *, kinds: bool) -> list[Answer]:
    """Return the rows of the chosen prompts: fixed prompts in file order, then the first of each kind."""
    chosen = [answer for answer in answers if answer.kind == FIXED_KIND][:fixed]
    if kinds:
        first: dict[str, Answer] = {}
        for answer in answers:
            if answer.kind != FIXED_KIND:
                first.setdefault(answer.kind, answer)
        chosen.extend(first.values())
    return chosen


def _comparison(view: StudyView, shown: Answer, runs: Sequence[Run]) -> Comparison:
    texts = view.texts
    replies = [
        Reply(view.label(run), normalise(answer.answer), answer.verdict or "", texts.verdict(answer.verdict))
        for run in runs
        if (answer := run.answers_by_id.get(shown.id)) is not None
    ]
    reference = normalise(shown.reference) if shown.reference is not None else None
    return Comparison(normalise(shown.prompt), texts.kind(shown.kind), reference, replies)
