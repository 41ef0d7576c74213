"""Judge the answers of an old study again if its verdicts are those of an earlier judge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kochat.errors import UserError
from kochat.report.study_files import Answer
from kochat.report.study_results import Run, StudyResults
from kochat.world.judgement import Verdict, embedded_judge


def with_current_verdicts(results: StudyResults) -> StudyResults:
    """Return a study's results with verdicts of today's judge; its files stay as they are.

    If all verdicts are of today's kinds, the results are returned unchanged. Otherwise every judged answer of the study is judged again,
    so that its runs can be compared.

    Raises:
        UserError: a verdict is unknown, and the study is not of the embedded world or asks a fact that is no longer in it.
    """
    known = {verdict.value for verdict in Verdict}
    unknown = {answer.verdict for run in results.runs.values() for answer in run.answers} - known - {None}
    if not unknown:
        return results
    old = ", ".join(sorted(map(str, unknown)))
    if results.study.data.dirt_scores is None:  # only the embedded world has planted dirt
        raise UserError(
            f"{results.folder}: the verdict {old} is of another judge, and the facts are not those of the embedded world; "
            "run `kochat study` again to score the answers"
        )
    return replace(results, runs={name: _judged(run) for name, run in results.runs.items()})


def _judged(run: Run) -> Run:
    return replace(run, answers=list(_with_verdicts(run)))


def _with_verdicts(run: Run) -> Iterable[Answer]:
    judge = embedded_judge()
    for answer in run.answers:
        if answer.verdict is None:
            yield answer
            continue
        # The id is kind/relation/subject: it names the fact even if the world asks it in other words by now.
        question = judge.question(answer.prompt) or judge.question_named(answer.id.partition("/")[2])
        if question is None:
            raise UserError(
                f"{run.home}: {answer.id}: the study has verdicts of an earlier judge, and the embedded world no longer has "
                "this fact; run `kochat study` again"
            )
        verdict = judge.judge_question(question, answer.answer).value
        yield answer.model_copy(update={"scores": answer.scores | {"verdict": verdict}})
