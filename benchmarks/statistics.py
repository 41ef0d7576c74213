"""Check the report's statistics by simulation: how often equal models are told apart, and how often a planted difference is found.

    python -m benchmarks.statistics

Each comparison is that of a study: test prompts in clusters of two (two wordings of one fact), one training seed or three, and scores
that vary with prompt, seed and answer. "Equal" models have the same mean; a planted difference is the one that a comparison of this kind
calls its smallest visible difference, so it should be found in 80% of cases. The sizes are like those of the quickstart's report.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kochat.metrics.text_overlap import text_metrics
from kochat.report.variant_records import statistic
from kochat.statistics.differences import Comparison, compare, is_clear

COMPARISONS = 500
PROMPTS = 300
WORDINGS = 2  # prompts of one fact
RESULTS = Path("benchmarks/results/statistics.json")


@dataclass(frozen=True)
class Case:
    """One kind of comparison.

    Args:
        metric: reward (a number an answer), accuracy (0 or 1) or bleu (counts of matching characters).
        seeds: training seeds of each model.
        seed_spread: standard deviation of the difference between seeds, in the unit of the metric; with one seed it cannot be seen.
    """

    metric: str
    seeds: int
    seed_spread: float

    @property
    def name(self) -> str:
        """The name in the table."""
        return f"{self.metric}, {self.seeds} seed{'s' if self.seeds > 1 else ''}"


CASES = (
    Case("reward", 1, 0.0),
    Case("reward", 3, 0.05),
    Case("accuracy", 1, 0.0),
    Case("accuracy", 3, 0.03),
    Case("bleu", 1, 0.0),
    Case("bleu", 3, 0.0),
)
_SPREAD = 0.5  # of rewards between prompts, and between the answers of two models to one prompt
_LENGTH = 20  # characters of an answer


def draw(case: Case, effect: float, rng: np.random.Generator) -> Comparison:
    """Draw the scores of two models, the second better by `effect`, and compare them."""
    facts = np.repeat(np.arange(PROMPTS // WORDINGS), WORDINGS)
    ease = rng.normal(0, 1, PROMPTS // WORDINGS)[facts]  # of a fact, for both models
    clusters = {str(prompt): int(fact) for prompt, fact in enumerate(facts)}
    runs = []
    for lift in (effect, 0.0):
        liking = rng.normal(0, 1, PROMPTS // WORDINGS)[facts]  # of this model for a fact, in all of its seeds
        runs.append([_rows(case, lift, ease, liking, rng) for _ in range(case.seeds)])
    found = compare(runs[0], runs[1], clusters, statistic(case.metric))
    assert found is not None
    return found


def _rows(
    case: Case, lift: float, ease: np.ndarray, liking: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    shift = lift + rng.normal(0, case.seed_spread / np.sqrt(2))
    if case.metric == "reward":
        values = shift + _SPREAD * (ease + 0.5 * liking + rng.normal(0, 1, len(ease)))
        return {str(prompt): np.array([value, 1.0]) for prompt, value in enumerate(values)}
    chance = np.clip(0.7 + shift + 0.15 * ease + 0.1 * liking, 0.02, 0.98)
    if case.metric == "accuracy":
        return {str(prompt): np.array([value, 1.0]) for prompt, value in enumerate(rng.random(len(ease)) < chance)}
    return _bleu_rows(chance, rng)


def _bleu_rows(chance: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Write answers whose characters are those of the reference with a given chance, and count their n-grams."""
    alphabet = np.array(list("가나다라마바사아자차카타파하고노도로모보소오조초코토포호"))
    references = rng.choice(alphabet, (len(chance), _LENGTH))
    kept = rng.random(references.shape) < chance[:, None]
    answers = np.where(kept, references, rng.choice(alphabet, references.shape))
    metric = text_metrics()["bleu"]
    ids = [str(prompt) for prompt in range(len(chance))]
    metric.update(ids, ["".join(row) for row in answers], ["".join(row) for row in references])
    names, counts = metric.unique_rows()
    return dict(zip(names, counts.numpy(), strict=True))


def rates(case: Case, comparisons: int, seed: int) -> dict[str, float]:
    """Return the share of equal models that are told apart, the planted difference, and the share in which it is found."""
    rng = np.random.default_rng(seed)
    equal = [draw(case, 0.0, rng) for _ in range(comparisons)]
    planted = float(np.median([found.estimate.detectable for found in equal]))
    scale = _effect_scale(case, planted, rng)
    apart = [draw(case, planted * scale, rng) for _ in range(comparisons)]
    return {
        "false positives": _share(equal, lambda found: is_clear(found, found.p_value)),
        "covered": _share(equal, lambda found: not found.interval.excludes_zero),
        "planted": planted,
        "true difference": float(np.mean([found.value for found in apart])),
        "found": _share(apart, lambda found: is_clear(found, found.p_value) and found.value > 0),
    }


def _effect_scale(case: Case, planted: float, rng: np.random.Generator) -> float:
    """Return by how much the lift of a chance must be larger than the wanted difference of the score (clipping, n-grams)."""
    if case.metric == "reward":
        return 1.0
    measured = float(np.mean([draw(case, planted, rng).value for _ in range(30)]))
    return planted / measured


def _share(found: Sequence[Comparison], holds: Callable[[Comparison], bool]) -> float:
    return float(np.mean([holds(one) for one in found]))


def table(results: dict[str, dict[str, float]]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| case | equal models told apart | planted difference | found |", "|---|--:|--:|--:|"]
    lines += [
        f"| {name} | {row['false positives']:.1%} | {row['true difference']:.3f} | {row['found']:.0%} |"
        for name, row in results.items()
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all cases, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=main.__doc__)
    parser.add_argument("--comparisons", type=int, default=COMPARISONS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    results = {case.name: rates(case, options.comparisons, options.seed) for case in CASES}
    print(table(results))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
