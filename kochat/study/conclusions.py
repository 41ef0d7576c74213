"""Make the report's findings from a study's contrasts; no stage is treated by its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kochat.report.findings import Finding, compare, course, lowest_loss
from kochat.report.study_results import DATA
from kochat.report.study_view import Contrast, StudyView
from kochat.study.stage_reports import StageReport

_TEXT = ("bleu", "rouge_l")
_FACTS = ("accuracy", "hallucination")


def make_findings(view: StudyView, reports: Sequence[StageReport]) -> list[Finding]:
    """Return (heading, sentences) for the data, each stage, each other factor of it, and the chains; no sentence is repeated."""
    texts = view.texts
    found: list[Finding] = [(texts("finding.data"), _about_data(view))]
    for report in reports:
        found.append((report.view.word, list(report.offers("findings", _nothing)(report.view))))
        for contrast in view.varied(stage=report.view.stage.name):
            if contrast.entry.vary != DATA:
                found.append((_heading(view, report, contrast), _about_factor(view, report, contrast)))
    found.append((texts("finding.steps"), [said for chain in view.chains for said in _about_chain(view, chain)]))
    said: set[str] = set()
    unique = [(heading, [s for s in sentences if s and not (s in said or said.add(s))]) for heading, sentences in found]  # type: ignore[func-returns-value]
    return [(heading, sentences) for heading, sentences in unique if sentences]


def _nothing(view: object) -> list[str]:
    return []


def contrast_title(view: StudyView, contrast: Contrast) -> str:
    """Return the name of a contrast from the study's YAML, else the name of its factor."""
    return contrast.entry.name or view.texts.named("factor_name", contrast.entry.vary or "")


def _heading(view: StudyView, report: StageReport, contrast: Contrast) -> str:
    return view.texts("finding.vary", stage=report.view.word, factor=contrast_title(view, contrast))


def _about_data(view: StudyView) -> list[str]:
    pairs = [pair for contrast in view.varied(DATA) for pair in contrast.pairs]
    return [compare(view, new, old, metric) for new, old in pairs for metric in _TEXT]


def _about_factor(view: StudyView, report: StageReport, contrast: Contrast) -> list[str]:
    """Return the stage's own sentences; without any, the lowest loss and a comparison of first and last run of each group."""
    own = report.offers("vary_findings")
    if own is not None:
        return list(own(report.view, contrast))
    sentences: list[str] = []
    for group in contrast.groups:
        sentences.append(lowest_loss(view, group))
        sentences += [compare(view, group[-1], group[0], metric) for metric in (*_TEXT, *_FACTS)]
    return sentences


def _about_chain(view: StudyView, chain: Contrast) -> Iterable[str]:
    for later, earlier in chain.pairs:
        yield from (compare(view, later, earlier, metric) for metric in (*_TEXT, "reward", *_FACTS))
    yield from (course(view, chain, metric) for metric in _TEXT)
