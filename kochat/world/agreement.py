"""Measure the judge on a table of labelled answers: agreement, Cohen's kappa and the confusion of categories.

The figures are in judge_agreement.json, which is part of the package, because an installed package has no tests/. They are those of
tests/world/judged_answers_200.tsv, whose first lines say how the answers were sampled and who labelled them. The judge was mended on
them, so the figures are too high for new answers (`--development`, which the report says too). To compute them again, run

    python -m kochat.world.agreement tests/world/judged_answers_200.tsv --development
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binomtest

from kochat.errors import UserError
from kochat.storage import write_json
from kochat.world.judgement import Verdict, embedded_judge

CATEGORIES = tuple(verdict.value for verdict in Verdict)
COLUMNS = ["source", "prompt", "answer", "verdict"]
FIGURES = "judge_agreement.json"
LABELS = "one reader, an assistant language model"


class LabelledAnswer(NamedTuple):
    """An answer with the category that a reader gave it."""

    source: str  # run/kind of fact, or written/kind of fact if the reader wrote the answer
    prompt: str
    answer: str
    verdict: str


@dataclass(frozen=True)
class Agreement:
    """How often the judge's verdict equals the reader's label."""

    n: int  # answers
    agreement: float  # share of the answers, 0 to 1
    low: float  # the Wilson 95% interval of the agreement
    high: float
    kappa: float  # Cohen's kappa: 1 for full agreement, 0 for agreement by chance


@dataclass(frozen=True)
class JudgeAgreement:
    """The agreement of the judge with labelled answers."""

    all: Agreement
    by_source: Mapping[str, Agreement]  # "models": answers of trained models; "written": answers that the reader wrote
    kappa_by_category: Mapping[str, float]  # each category against all others
    confusion: Mapping[str, Mapping[str, int]]  # label -> the judge's verdict -> answers
    labels: str  # who labelled
    development: bool  # the judge was mended on these labels, so the figures are too high for new answers

    def precision(self, verdict: str) -> float | None:
        """Return the share of the answers with this verdict that have this label; None if the judge gave it to no answer."""
        given = sum(row[verdict] for row in self.confusion.values())
        return self.confusion[verdict][verdict] / given if given else None


def judge_agreement() -> JudgeAgreement:
    """Return the stored agreement of the embedded world's judge; the judge is not run."""
    kept: dict[str, Any] = json.loads(files("kochat.world").joinpath(FIGURES).read_text(encoding="utf-8"))
    return JudgeAgreement(
        **kept
        | {
            "all": Agreement(**kept["all"]),
            "by_source": {source: Agreement(**figures) for source, figures in kept["by_source"].items()},
        }
    )


def measured_agreement(answers: Sequence[LabelledAnswer], *, development: bool = False) -> JudgeAgreement:
    """Judge labelled answers and compare the verdicts with the labels.

    Args:
        answers: the labelled answers.
        development: the judge was mended on them.

    Raises:
        UserError: if a prompt asks no fact of the embedded world, or there are no model answers or no written answers.
    """
    judge = embedded_judge()
    pairs: dict[str, list[tuple[str, str]]] = {"models": [], "written": []}
    for row in answers:
        verdict = judge(row.prompt, row.answer)
        if verdict is None:
            raise UserError(f"prompt={row.prompt!r} asks no fact of the world; use one of its questions")
        source = "written" if row.source.startswith("written/") else "models"
        pairs[source].append((row.verdict, verdict.value))
    if lacking := [source for source, found in pairs.items() if not found]:
        raise UserError(f"source={' and '.join(lacking)} has no labelled answer; add some")
    every = [pair for part in pairs.values() for pair in part]
    counts = Counter(every)
    return JudgeAgreement(
        all=_figures(every),
        by_source={source: _figures(part) for source, part in pairs.items()},
        kappa_by_category={name: _kappa([(one == name, other == name) for one, other in every]) for name in CATEGORIES},
        confusion={label: {verdict: counts[label, verdict] for verdict in CATEGORIES} for label in CATEGORIES},
        labels=LABELS,
        development=development,
    )


def read_labelled_answers(path: Path) -> list[LabelledAnswer]:
    r"""Read a table of labelled answers: tab-separated, ``\n`` for a line break; lines that begin with # are skipped.

    Raises:
        UserError: if the header or a label is unknown, or a row has a wrong number of columns.
    """
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    header, *rows = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if header != COLUMNS:
        raise UserError(f"{path}: the header must be {' <tab> '.join(COLUMNS)}")
    answers = []
    for cells in rows:
        if len(cells) != len(COLUMNS) or cells[-1] not in CATEGORIES:
            raise UserError(f"{path}: {cells} needs {len(COLUMNS)} columns, the last one of {', '.join(CATEGORIES)}")
        answers.append(LabelledAnswer(*(cell.replace("\\n", "\n") for cell in cells)))
    return answers


def _figures(pairs: Sequence[tuple[str, str]]) -> Agreement:
    agreeing = sum(label == verdict for label, verdict in pairs)
    interval = binomtest(agreeing, len(pairs)).proportion_ci(0.95, method="wilson")
    return Agreement(len(pairs), agreeing / len(pairs), float(interval.low), float(interval.high), _kappa(pairs))


def _kappa(pairs: Sequence[tuple[object, object]]) -> float:
    """Return Cohen's kappa (1960): (observed - expected) / (1 - expected), expected from the frequencies of labels and verdicts."""
    n = len(pairs)
    labels, verdicts = (Counter(side) for side in zip(*pairs, strict=True))
    observed = sum(label == verdict for label, verdict in pairs) / n
    expected = sum(labels[name] * verdicts[name] for name in labels) / n**2
    return (observed - expected) / (1 - expected) if expected < 1 else 1.0


def main(arguments: Sequence[str]) -> None:
    """Measure the agreement on a table of labelled answers, and store it in the package."""
    parser = argparse.ArgumentParser(prog="python -m kochat.world.agreement", description=main.__doc__)
    parser.add_argument("table", type=Path, help="labelled answers, such as tests/world/judged_answers_200.tsv")
    parser.add_argument("--development", action="store_true", help="the judge was mended on these labels")
    options = parser.parse_args(arguments)
    found = measured_agreement(read_labelled_answers(options.table), development=options.development)
    write_json(Path(__file__).with_name(FIGURES), asdict(found))
    print(f"agreement {found.all.agreement:.3f} of {found.all.n}, kappa {found.all.kappa:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
