"""Sentences about the study, each decided by its numbers: nothing is claimed that the records do not show.

A difference is called one only where its paired 95% bootstrap interval excludes zero. A finding whose runs are missing is
left out.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from kochat.metrics.intervals import Interval, paired_interval
from kochat.report.study_results import Run, StudyResults
from kochat.report.variant_records import Records
from kochat.report.words import Texts

Finding = tuple[str, list[str]]  # heading, sentences


def make_findings(results: StudyResults, records: Records, texts: Texts) -> list[Finding]:
    """Return the study's findings, one per question of the report, in its order."""
    rules: dict[str, Callable[[StudyResults, Records, Texts], list[str]]] = {
        "data": _data,
        "sft": _sft,
        "ranks": _ranks,
        "rm": _reward_models,
        "reward": _reward,
        "kl": _kl,
        "facts": _facts,
        "steps": _steps,
    }
    found = ((key, [sentence for sentence in rule(results, records, texts) if sentence]) for key, rule in rules.items())
    return [(texts(f"finding.{key}"), sentences) for key, sentences in found if sentences]


def compare(run: Run, against: Run, metric: str, records: Records, texts: Texts) -> str:
    """Say how `run` compares with `against` on a metric: higher, lower or not told apart; empty if unmeasured."""
    ours, theirs = records.variants[run.name], records.variants[against.name]
    interval = ours.difference(theirs, metric)
    if interval is None:
        return ""
    verdict = "unclear" if not interval.excludes_zero else "higher" if interval.value > 0 else "lower"
    return texts(
        f"compare.{verdict}",
        metric=texts.metric(metric),
        a=texts.label(run),
        b=texts.label(against),
        va=texts.number(metric, ours.get(metric)),
        vb=texts.number(metric, theirs.get(metric)),
        difference=texts.interval(metric, interval, signed=True),
    )


def _data(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    pairs = [*results.version_pairs("sft"), *results.version_pairs("ppo")]
    return [compare(new, old, metric, records, texts) for old, new in pairs for metric in ("bleu", "rouge_l")]


def _sft(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    sft, baseline = results.final_sft, results.baseline
    if sft is None or baseline is None:
        return []
    return [compare(sft, baseline, metric, records, texts) for metric in ("bleu", "rouge_l", "accuracy")]


def _ranks(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    runs = results.of("sft", "v2")
    losses = {run.name: loss for run in runs if (loss := run.last("sft/val_loss")) is not None}
    sentences = []
    if len(losses) > 1:
        best = min(losses, key=lambda name: losses[name])
        sentences.append(
            texts(
                "finding.lowest_loss", a=texts.label(results.runs[best]), value=texts.number("val_loss", losses[best])
            )
        )
    full = [run for run in runs if run.entry.lora_rank == 0]
    lora = [run for run in runs if run.entry.lora_rank]
    if full and lora:
        sentences.append(compare(lora[-1], full[0], "hallucination", records, texts))
    return sentences


def _reward_models(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    runs = sorted(
        (run for run in results.of("rm", "v2") if run.name in records.rewards),
        key=lambda run: records.rewards[run.name].accuracy.value,
        reverse=True,
    )
    if not runs:
        return []
    best = records.rewards[runs[0].name]
    accuracy = texts.interval("accuracy", best.accuracy)
    sentences = [texts("finding.best_rm", a=texts.label(runs[0]), accuracy=accuracy, n=best.n_pairs)]
    if best.accuracy.low <= 0.5:
        sentences.append(texts("finding.rm_chance"))
    if len(runs) > 1:
        last = records.rewards[runs[-1].name]
        interval = paired_interval(best.accuracy_by_id, last.accuracy_by_id)
        if interval is not None:
            key = "finding.rm_apart" if interval.excludes_zero else "finding.rm_alike"
            difference = texts.interval("accuracy", interval, signed=True)
            sentences.append(texts(key, a=texts.label(runs[0]), b=texts.label(runs[-1]), difference=difference))
    return sentences


def _reward(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    sft = results.final_sft
    return [compare(run, sft, "reward", records, texts) for run in results.of("ppo", "v2")] if sft else []


def _kl(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    measured = [
        (run, kl) for run in results.of("ppo", "v2") if (kl := records.variants[run.name].get("kl")) is not None
    ]
    if len(measured) < 2:
        return []
    (loose, loose_kl), (tight, tight_kl) = measured[0], measured[-1]
    words = {
        "tight": texts.label(tight), "loose": texts.label(loose),
        "vt": texts.number("kl", tight_kl), "vl": texts.number("kl", loose_kl),
    }  # fmt: skip
    return [texts("finding.kl_closer" if tight_kl < loose_kl else "finding.kl_not_closer", **words)]


def _facts(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    ppo, sft = results.final_ppo, results.final_sft
    if ppo is None or sft is None:
        return []
    return [compare(ppo, sft, metric, records, texts) for metric in ("accuracy", "hallucination")]


def _steps(results: StudyResults, records: Records, texts: Texts) -> list[str]:
    """Say whether BLEU and ROUGE-L rise at every step from baseline over SFT to PPO, as the seed study reported."""
    steps = [
        records.variants[run.name]
        for run in (results.baseline, results.final_sft, results.final_ppo)
        if run is not None
    ]
    sentences = []
    for metric in ("bleu", "rouge_l"):
        rises = [later.difference(earlier, metric) for earlier, later in pairwise(steps)]
        if len(rises) == 2 and None not in rises:
            chain = " → ".join(texts.number(metric, step.get(metric)) for step in steps)
            sentences.append(texts(_course(rises), metric=texts.metric(metric), chain=chain))  # type: ignore[arg-type]
    return sentences


def _course(rises: list[Interval]) -> str:
    """Name the text for a chain of differences: each clearly up, each up but not clearly, or not each up."""
    if all(rise.low > 0 for rise in rises):
        return "finding.rises"
    return "finding.rises_unclear" if all(rise.value > 0 for rise in rises) else "finding.rises_not"
