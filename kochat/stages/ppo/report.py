"""PPO's chapter of the report: its curves, the reward against KL, and its answers next to those of the SFT model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kochat.report import figures as plots
from kochat.report.arms import paired_arms
from kochat.report.document import Bullets, Figure, Paragraph, Section
from kochat.report.drawing import COLOURS, canvas, legend, to_svg
from kochat.report.findings import Sentence, compare, verdict
from kochat.report.section_parts import answers, chapter, figure, missing, titled
from kochat.report.study_results import Run
from kochat.report.study_view import Contrast, StageView
from kochat.report.tables import FACTS, variants_table
from kochat.stages.ppo import UNIT_METRIC

DEFINED = ("kl", "kl_sequence")
_METRICS = ("seconds", "reward", "kl", "kl_sequence", "length", "bleu", "rouge_l", *FACTS)
_UNSEEN = ("ppo/val_accuracy", "ppo/val_hallucination", "ppo/val_repetition", "ppo/val_distinct")
_NEUTRAL, _MARKERS = "#7f8790", ("o", "s", "^", "D")


def sections(view: StageView) -> list[Section]:
    """Return the chapter and its section with answers."""
    study, texts, runs = view.study, view.texts, view.runs
    if not runs:
        return [chapter(view, [missing(texts)])]
    shown = [*view.origins, *runs]
    blocks = [
        Paragraph(texts("ppo.what")),
        *_unit(view),
        _rollouts(view, "ppo_losses", "ppo/policy_loss", "ppo/value_loss"),
        _rollouts(view, "ppo_reward_kl", "ppo/reward", "ppo/kl_sequence", "ppo/objective"),
        _rollouts(view, "ppo_held_out", "ppo/val_reward", "ppo/val_kl_sequence", "ppo/val_objective"),
        _rollouts(view, "ppo_health", "ppo/entropy", "ppo/clip_fraction", "ppo/response_length"),
        _rollouts(view, "ppo_hacking", "ppo/val_greedy_reward", *_UNSEEN),
        Bullets(said) if (said := [one.text for one in hacking(view, runs)]) else None,
        variants_table(study, titled(view, "caption"), shown, _METRICS),
        Paragraph(texts("ppo.reward"), note=True),
        figure(texts, "ppo_price", reward_against_kl(view, "ppo_price")),
    ]
    return [chapter(view, blocks), *answers(view, shown)]


def vary_findings(view: StageView, contrast: Contrast) -> list[Sentence]:
    """Return sentences: whether each run has a higher reward than its SFT model, and which run stayed closer to it."""
    study = view.study
    runs = [run for group in contrast.groups for run in group if run.name in study.records]
    pairs = paired_arms((run, origin) for run in runs for origin in study.results.origins([run]))
    rewards = [said for ours, theirs in pairs for said in compare(study, ours, theirs, "reward")]
    closer = [Sentence(said, None) for group in contrast.groups if (said := _closer(view, group))]
    return rewards + hacking(view, runs) + closer


def hacking(view: StageView, runs: Sequence[Run]) -> list[Sentence]:
    """Return a warning for each setting whose reward is clearly above its SFT model's while its facts are clearly worse."""
    study, warnings = view.study, []
    for ours, theirs in paired_arms((run, origin) for run in runs for origin in study.results.origins([run])):
        fell = (
            verdict(study, ours, theirs, "accuracy") == "lower"
            or verdict(study, ours, theirs, "hallucination") == "higher"
        )
        if fell and verdict(study, ours, theirs, "reward") == "higher":
            warnings.append(Sentence(view.texts("finding.hacking", a=study.arm_label(ours), b=study.arm_label(theirs))))
    return warnings


def limits(view: StageView) -> list[str]:
    """Return a sentence on what PPO's reward does not show."""
    return [view.texts("limits.reward")]


def reward_against_kl(view: StageView, name: str) -> str | None:
    """Draw `points_of_runs` as an SVG text; None with fewer than two points."""
    texts, points = view.texts, points_of_runs(view)
    if len(points) < 2:
        return None
    names = [run.name for run in view.runs]
    colours = dict(zip(names, plots.colours(names), strict=True))  # as in the curves
    markers = {name: _MARKERS[number // len(COLOURS) % len(_MARKERS)] for number, name in enumerate(names)}
    with canvas() as (drawn, [axes]):
        for run, kl, reward in points:
            look: Any = {"color": colours.get(run.name, _NEUTRAL), "marker": markers.get(run.name, "o")}
            axes.plot([kl], [reward], linestyle="", markersize=9, label=view.study.label(run), **look)
        axes.margins(0.1, 0.2)
        axes.set_xlabel(texts.metric("kl_sequence"))
        axes.set_ylabel(texts.metric("reward"))
        legend(drawn, axes)
        return to_svg(drawn, name)


def points_of_runs(view: StageView) -> list[tuple[Run, float, float]]:
    """Return (run, KL from its SFT model in nats per answer, reward on the test prompts); an SFT model is at KL 0."""
    records = view.study.records
    placed = [(run, 0.0) for run in view.origins] + [(run, records[run.name].get("kl_sequence")) for run in view.runs]
    return [
        (run, kl, reward)
        for run, kl in placed
        if kl is not None and (reward := records[run.name].get("reward")) is not None
    ]


def _unit(view: StageView) -> list[Paragraph]:
    """Say in what unit each run's training reward is, and what that makes of kl_coef; nothing where no run recorded it."""
    found = [(run, unit) for run in view.runs if (unit := run.last(UNIT_METRIC)) is not None]
    if not found:
        return []
    units = ", ".join(f"{view.study.label(run)}: {unit:.3g}" for run, unit in found)
    return [Paragraph(view.texts("ppo.unit", units=units))]


def _rollouts(view: StageView, name: str, *metrics: str) -> Figure | None:
    return figure(view.texts, name, plots.curves(view.study, name, view.runs, metrics, axis="axis.rollout"))


def _closer(view: StageView, group: list[Run]) -> str:
    """Return a sentence: whether the last run of a group stayed closer to its SFT model than the first one."""
    measured = [(run, kl) for run in group if (kl := view.study.records[run.name].get("kl")) is not None]
    if len(measured) < 2:
        return ""
    (loose, loose_kl), (tight, tight_kl) = measured[0], measured[-1]
    words = {"tight": view.study.label(tight), "loose": view.study.label(loose)}
    numbers = {"vt": view.texts.number("kl", tight_kl), "vl": view.texts.number("kl", loose_kl)}
    return view.texts("finding.kl_closer" if tight_kl < loose_kl else "finding.kl_not_closer", **words, **numbers)
