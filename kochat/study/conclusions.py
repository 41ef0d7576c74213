"""Make the report's findings from a study's contrasts; no stage is treated by its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from kochat.report.arms import Arm
from kochat.report.findings import Finding, Sentence, compare, course, lowest_loss
from kochat.report.study_results import DATA
from kochat.report.study_view import Contrast, StudyView
from kochat.study.stage_reports import StageReport

_TEXT = ("bleu", "rouge_l")
_FACTS = ("accuracy", "hallucination")


def make_findings(view: StudyView, reports: Sequence[StageReport]) -> list[Finding]:
    """Return (heading, sentences) for the data, each stage, each other factor of it, and the chains; no sentence is repeated."""
    texts = view.texts
    found: list[Finding] = [(texts("finding.data"), _compared(view, view.varied(DATA), _TEXT))]
    for report in reports:
        found.append((report.view.word, list(report.offers("findings", _nothing)(report.view))))
        for contrast in view.varied(stage=report.view.stage.name):
            if contrast.entry.vary != DATA:
                found.append((_heading(view, report, contrast), _about_factor(view, report, contrast)))
    found.append((texts("finding.steps"), _about_chains(view)))
    said: set[str] = set()
    unique = [(heading, [one for one in sentences if not _repeated(one, said)]) for heading, sentences in found]
    return [(heading, sentences) for heading, sentences in unique if sentences]


def chosen(findings: Iterable[Finding], *, clear: bool | None) -> list[tuple[str, list[str]]]:
    """Return the findings that state a difference (True), see none (False) or compare by size alone (None): (heading, texts)."""
    found = [(heading, [one.text for one in sentences if one.clear == clear]) for heading, sentences in findings]
    return [(heading, texts) for heading, texts in found if texts]


def headline(view: StudyView, steps: Sequence[Arm]) -> list[str]:
    """Return the study's verdict, a sentence or two for each step of its first chain: facts and wrong facts, and the reward at the end."""
    judged = bool(steps) and view.value(steps[-1], "accuracy") is not None
    said: list[Sentence] = []
    for earlier, later in pairwise(steps):
        last = later is steps[-1]
        for metric in (("reward",) if last else ()) + (("accuracy", "hallucination") if judged else ("rouge_l",)):
            said += compare(view, later, earlier, metric)
    return [one.text for one in said]


def contrast_title(view: StudyView, contrast: Contrast) -> str:
    """Return the name of a contrast from the study's YAML, else the name of its factor."""
    return contrast.entry.name or view.texts.named("factor_name", contrast.entry.vary or "")


def _nothing(view: object) -> list[Sentence]:
    return []


def _repeated(sentence: Sentence, said: set[str]) -> bool:
    known = sentence.text in said
    said.add(sentence.text)
    return known


def _heading(view: StudyView, report: StageReport, contrast: Contrast) -> str:
    return view.texts("finding.vary", stage=report.view.word, factor=contrast_title(view, contrast))


def _compared(view: StudyView, contrasts: Sequence[Contrast], metrics: Sequence[str]) -> list[Sentence]:
    return [
        said
        for ours, theirs in view.arm_pairs(contrasts)
        for metric in metrics
        for said in compare(view, ours, theirs, metric)
    ]


def _about_factor(view: StudyView, report: StageReport, contrast: Contrast) -> list[Sentence]:
    """Return the stage's own sentences, then a comparison of each run with the first of its group."""
    own = list(report.offers("vary_findings", _no_findings)(report.view, contrast))
    losses = [said for group in contrast.groups for said in lowest_loss(view, group)]
    metrics = dict.fromkeys((*contrast.entry.primary, *_TEXT, *_FACTS))
    return [*own, *losses, *_compared(view, [contrast], list(metrics))]


def _no_findings(view: object, contrast: object) -> list[Sentence]:
    return []


def _about_chains(view: StudyView) -> list[Sentence]:
    """Compare each step of the chains with the one before."""
    said = _compared(view, view.chains, (*_TEXT, "reward", *_FACTS))
    for contrasts in view.chain_plans:
        steps = view.chain_arms(contrasts)
        said += [one for metric in _TEXT for one in course(view, steps, metric)]
    return said
