"""Best-of-n's chapter of the report: reward against KL for the best of k answers, and PPO's runs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kochat.metrics.intervals import Interval
from kochat.report.arms import paired_arms
from kochat.report.document import Block, Bullets, Cell, Figure, Paragraph, Section, Table
from kochat.report.drawing import COLOURS, canvas, legend, to_svg
from kochat.report.section_parts import answers, chapter, missing, note, part, titled
from kochat.report.study_view import StageView
from kochat.report.tables import differences_table, variants_table
from kochat.report.words import NOTHING, Texts
from kochat.stages.best_of_n.frontier import BestOfN, PolicyPoint, comparable_policies, interpolated, read_best_of_n
from kochat.stages.best_of_n.rewards_of_n import sizes

DEFINED = ("best_of_reward", "best_of_kl", "gain_share")
_METRICS = ("seconds", "reward", "length", "bleu", "rouge_l", "accuracy", "hallucination")
_MARKERS = ("s", "^", "D", "v")
_LINE_POINTS = 60


def sections(view: StageView) -> list[Section]:
    """Return the chapter, its comparison with trained policies, and its section with answers."""
    study, texts, runs = view.study, view.texts, view.runs
    if not runs:
        return [chapter(view, [missing(texts)])]
    found = [best for run in runs if (best := read_best_of_n(run)) is not None]
    shown = [*view.origins, *runs]
    pairs = paired_arms((run, origin) for run in runs for origin in study.results.origins([run]))
    blocks = [
        Paragraph(texts("best_of_n.what")),
        *(_scale(view, best) for best in found),
        curve_table(view, found),
        note(texts, "best_of_n.kl"),
        variants_table(study, titled(view, "caption"), shown, _METRICS),
        differences_table(study, texts("caption.best_of_n_differences"), pairs),
        note(texts, "best_of_n.sampled"),
    ]
    return [chapter(view, blocks), *frontier_section(view, found), *answers(view, shown)]


def limits(view: StageView) -> list[str]:
    """Return a sentence on what best-of-n's reward does not show."""
    return [view.texts("limits.best_of_n")]


def frontier_section(view: StageView, found: Sequence[BestOfN]) -> list[Section]:
    """Return the section that compares trained policies with each best-of-n run: figure, table, and a sentence for each policy."""
    texts = view.texts
    blocks: list[Block | None] = []
    for number, best in enumerate(found):
        points = comparable_policies(view.study, best)
        name = f"best_of_n_{number}"
        caption = texts("plot.best_of_n", a=view.study.label(best.run))
        blocks.append(Figure(name, frontier_figure(view, best, points, name), caption))
        blocks.append(points_table(view, best, points))
        if points:
            blocks.append(Bullets([_sentence(view, best, point) for point in points]))
        else:
            blocks.append(Paragraph(texts("best_of_n.no_policy", a=view.study.label(best.run))))
    what = [Paragraph(texts("best_of_n.share"))] if found else []
    return part(view, "best_of_n_frontier", "section.best_of_n_frontier", [*what, *blocks])


def curve_table(view: StageView, found: Sequence[BestOfN]) -> Table | None:
    """Return a table of the reward of the best of k, with its interval, and its KL; None without a run."""
    texts = view.texts
    rows = [
        [
            Cell(view.study.label(best.run)),
            Cell(str(k)),
            Cell(texts.number("kl", float(best.kl[k - 1])), best.run.name, f"best_of_kl:{k}"),
            Cell(texts.interval("reward", best.reward(k)), best.run.name, f"best_of_reward:{k}"),
        ]
        for best in found
        for k in sizes(best.n)
    ]
    header = [texts("column.variant"), *(texts(f"column.{name}") for name in ("best_of_k", "answer_kl", "interval"))]
    return Table(texts("caption.best_of_n_curve"), header, rows) if rows else None


def points_table(view: StageView, best: BestOfN, points: Sequence[PolicyPoint]) -> Table | None:
    """Return a table of trained policies beside best-of-n at equal KL; None without a policy."""
    texts = view.texts
    rows = [
        [
            Cell(view.study.label(point.run)),
            Cell(texts.interval("kl", point.kl)),
            Cell(texts.interval("reward", point.reward)),
            Cell(texts.number("reward", point.at_equal_kl)),
            Cell(_share(texts, point.share)),
        ]
        for point in points
    ]
    names = ("answer_kl", "interval", "at_equal_kl", "gain_share")
    header = [texts("column.variant"), *(texts(f"column.{name}") for name in names)]
    return Table(texts("caption.best_of_n_points", a=view.study.label(best.run)), header, rows) if rows else None


def frontier_figure(view: StageView, best: BestOfN, points: Sequence[PolicyPoint], name: str) -> str:
    """Draw reward against KL, in nats an answer: best-of-n as a line with its values of k, each policy as a point; return SVG text."""
    texts, curve = view.texts, best.rewards.mean(0)
    with canvas() as (drawn, [axes]):
        line = np.linspace(0, 1, _LINE_POINTS) ** 2 * best.kl[-1]
        axes.plot(line, interpolated(best.kl, curve, line), color=COLOURS[0], label=view.study.label(best.run))
        for k in sizes(best.n):
            place: Any = (best.kl[k - 1], curve[k - 1])
            axes.plot(*[[value] for value in place], "o", color=COLOURS[0], markersize=5)
            axes.annotate(f"k={k}", place, xytext=(4, -11), textcoords="offset points", fontsize=8)
        for number, point in enumerate(points):
            look: Any = {
                "color": COLOURS[1 + number % (len(COLOURS) - 1)],
                "marker": _MARKERS[number % len(_MARKERS)],
            }
            kl, reward = point.kl, point.reward
            axes.errorbar(
                [kl.value], [reward.value], xerr=_arms(kl), yerr=_arms(reward), linestyle="", markersize=7,
                elinewidth=1, label=view.study.label(point.run), **look,
            )  # fmt: skip
        axes.margins(0.08, 0.15)
        axes.set_xlabel(texts("axis.answer_kl"))
        axes.set_ylabel(texts("axis.sampled_reward"))
        legend(drawn, axes)
        return to_svg(drawn, name)


def _arms(interval: Interval) -> list[list[float]]:
    """Return the lengths of an error bar's lower and upper arm."""
    return [[max(0.0, interval.value - interval.low)], [max(0.0, interval.high - interval.value)]]


def _scale(view: StageView, best: BestOfN) -> Paragraph:
    zero, unit = (view.texts.number("reward", value) for value in (best.scale.mean, best.scale.std))
    return Paragraph(view.texts("best_of_n.scale", a=view.study.label(best.run), zero=zero, unit=unit))


def _share(texts: Texts, share: Interval | None) -> str:
    if share is None:
        return NOTHING
    value, low, high = (f"{100 * number:.0f}%" for number in (share.value, share.low, share.high))
    return f"{value} ({low}, {high})"


def _sentence(view: StageView, best: BestOfN, point: PolicyPoint) -> str:
    """Return a sentence: what share of best-of-n's gain a policy reaches at its KL, or why there is none."""
    texts, study = view.texts, view.study
    words = {"a": study.label(point.run), "b": study.label(best.run), "kl": texts.number("kl", point.kl.value)}
    if point.share is not None:
        low, high = point.share.low, point.share.high
        verdict = "above" if low > 1 else "below" if high < 1 else "equal"
        return texts(f"best_of_n.share_{verdict}", share=_share(texts, point.share), **words)
    if point.at_equal_kl is not None:
        return texts("best_of_n.share_no_gain", **words)
    if point.kl.value < 0:
        return texts("best_of_n.share_no_kl", **words)
    return texts("best_of_n.share_beyond", n=best.n, most=texts.number("kl", float(best.kl[-1])), **words)
