"""Compose the report: which block stands in which section. The words are in `texts/`, the numbers in `records`."""

from __future__ import annotations

from collections.abc import Sequence

from kochat.report import figures as plots
from kochat.report import reward_figures as reward_plots
from kochat.report import reward_tables, tables
from kochat.report.answer_panels import side_by_side
from kochat.report.cleaning_section import cleaning_blocks
from kochat.report.document import Block, Bullets, Document, Figure, Glossary, Paragraph, Section
from kochat.report.findings import make_findings
from kochat.report.study_results import Run, StudyResults
from kochat.report.text_scores import signatures
from kochat.report.variant_records import Records
from kochat.report.words import Texts

_LABELS = ("contents", "reference", "answer", "verdict", "variant", "no_answer")


def make_document(results: StudyResults, records: Records, texts: Texts) -> Document:
    """Compose the whole report of a study; parts whose runs are missing say so instead."""
    sections = [
        _overview(results, records, texts),
        *_data(results, records, texts),
        *_sft(results, records, texts),
        *_reward_models(results, records, texts),
        *_ppo(results, records, texts),
        *_final(results, records, texts),
        _limits(results, texts),
        _definitions(texts),
    ]
    return Document(
        lang=texts.lang,
        title=texts("title", name=results.study.name),
        subtitle=texts("subtitle", created=results.study.created[:16].replace("T", " "), runs=len(results.runs)),
        labels={label: texts(f"word.{label}") for label in _LABELS},
        sections=sections,
    )


def _overview(results: StudyResults, records: Records, texts: Texts) -> Section:
    seeds = sorted({run.seed for run in results.runs.values() if run.seed is not None})
    seconds = sum(run.done.seconds or 0.0 for run in results.runs.values())
    what = texts(
        "overview.what",
        runs=len(results.runs),
        size=results.study.test_set.size,
        seeds=", ".join(map(str, seeds)) or texts("unknown"),
        duration=texts.duration(seconds),
    )
    missing = ", ".join(entry.name for entry in results.missing)
    kinds = {texts.kind(kind): n for kind, n in results.study.test_set.kinds.items()}
    return Section(
        "overview",
        texts("section.overview"),
        _present(
            Paragraph(what),
            Paragraph(texts("overview.missing", names=missing)) if missing else None,
            Glossary(make_findings(results, records, texts)),
            Paragraph(texts("overview.rule"), note=True),
            tables.runs_table(results, texts),
            tables.pairs_table(texts("caption.test_set"), [texts("column.kind"), texts("column.n")], kinds),
            tables.pairs_table(
                texts("caption.environment"),
                [texts("column.environment"), texts("column.value")],
                results.study.environment,
            ),
        ),
    )


def _data(results: StudyResults, records: Records, texts: Texts) -> list[Section]:
    pairs = [*results.version_pairs("sft"), *results.version_pairs("ppo")]
    final = [run for pair in results.version_pairs("ppo")[:1] for run in pair]
    return [
        _section("data", texts, [Paragraph(texts("data.what")), *cleaning_blocks(results, texts)]),
        _section(
            "data_scores",
            texts,
            _or_missing(
                texts,
                bool(pairs),
                tables.budget_table(results, texts),
                tables.versions_table(results, records, texts),
                _note(texts, "note.intervals"),
            ),
            level=3,
        ),
        *_answers("data_answers", final, texts),
    ]


def _sft(results: StudyResults, records: Records, texts: Texts) -> list[Section]:
    runs = results.of("sft", "v2")
    metrics = ("trainable", "seconds", "val_loss", "bleu", "rouge_l", "accuracy", "hallucination")
    blocks = _or_missing(
        texts,
        bool(runs),
        Paragraph(texts("sft.what")),
        _figure("sft_loss", plots.curves("sft_loss", runs, ("sft/train_loss", "sft/val_loss"), texts), texts),
        tables.variants_table(texts("caption.sft"), runs, metrics, records, texts),
    )
    return [_section("sft", texts, blocks), *_answers("sft_answers", runs, texts)]


def _reward_models(results: StudyResults, records: Records, texts: Texts) -> list[Section]:
    runs = results.of("rm", "v2")
    blocks = _or_missing(
        texts,
        bool(runs),
        Paragraph(texts("rm.what")),
        _figure("rm_loss", plots.curves("rm_loss", runs, ("rm/train_loss", "rm/val_loss"), texts), texts),
        reward_tables.accuracy_table(results, records, texts),
        _figure("rm_progress", plots.curves("rm_progress", runs, ("rm/accuracy", "rm/margin"), texts), texts),
        reward_tables.scores_table(results, records, texts),
        _note(texts, "rm.scale"),
        _figure("rm_scores", reward_plots.score_distributions("rm_scores", runs, texts), texts),
    )
    trust = _or_missing(
        texts,
        bool(records.rewards),
        Paragraph(texts("rm.calibration")),
        reward_tables.calibration_table(results, records, texts),
        *(Paragraph(note, note=True) for note in reward_tables.size_notes(results, records, texts)),
        _figure("rm_calibration", reward_plots.calibration_curves("rm_calibration", runs, records, texts), texts),
        _figure("rm_margins", reward_plots.margin_distributions("rm_margins", runs, records, texts), texts),
        Paragraph(texts("rm.length")),
        reward_tables.length_table(results, records, texts),
        *(Paragraph(note, note=True) for note in reward_tables.length_notes(results, records, texts)),
    )
    return [_section("rm", texts, blocks), _section("rm_trust", texts, trust, level=3)]


def _ppo(results: StudyResults, records: Records, texts: Texts) -> list[Section]:
    runs = results.of("ppo", "v2")
    started = [results.final_sft] if results.final_sft else []
    metrics = ("seconds", "reward", "kl", "length", "bleu", "rouge_l", "accuracy", "hallucination")

    def rollouts(name: str, *metrics: str) -> Figure | None:
        return _figure(name, plots.curves(name, runs, metrics, texts, axis="axis.rollout"), texts)

    blocks = _or_missing(
        texts,
        bool(runs),
        Paragraph(texts("ppo.what")),
        rollouts("ppo_losses", "ppo/policy_loss", "ppo/value_loss"),
        rollouts("ppo_reward_kl", "ppo/reward", "ppo/kl"),
        rollouts("ppo_held_out", "ppo/val_reward", "ppo/val_kl"),
        rollouts("ppo_health", "ppo/entropy", "ppo/clip_fraction", "ppo/response_length"),
        tables.variants_table(texts("caption.ppo"), [*started, *runs], metrics, records, texts),
        _figure("ppo_price", plots.reward_against_kl("ppo_price", results.final_sft, runs, records, texts), texts),
    )
    return [_section("ppo", texts, blocks), *_answers("ppo_answers", [*started, *runs], texts)]


def _final(results: StudyResults, records: Records, texts: Texts) -> list[Section]:
    baseline, sft, ppo = results.baseline, results.final_sft, results.final_ppo
    steps = [run for run in (baseline, sft, ppo) if run is not None]
    kl_coef = "–" if ppo is None or ppo.entry.kl_coef is None else f"{ppo.entry.kl_coef:g}"
    metrics = (*tables.SCORES, "reward", *tables.FACTS, *tables.LEGACY)
    contrasts = [
        (run, against) for run, against in ((sft, baseline), (ppo, sft)) if run is not None and against is not None
    ]
    blocks = _or_missing(
        texts,
        bool(steps),
        tables.variants_table(texts("caption.final", kl=kl_coef), steps, metrics, records, texts),
        tables.differences_table(contrasts, records, texts),
        _note(texts, "note.intervals"),
        _figure("verdicts", plots.verdicts("verdicts", results.answering, records, texts), texts),
        tables.kinds_table(steps, records, texts),
    )
    everyone = side_by_side(texts("caption.fixed"), results.answering, texts, fixed=None, kinds=False)
    answers = [_section("fixed_answers", texts, [everyone], level=3)] if everyone else []
    return [_section("final", texts, blocks), *answers]


def _limits(results: StudyResults, texts: Texts) -> Section:
    seeds = {run.seed for run in results.runs.values() if run.seed is not None}
    points = [
        texts("limits.one_seed" if len(seeds) <= 1 else "limits.seeds", n=len(seeds)),
        texts("limits.size", size=results.study.test_set.size),
        texts("limits.reward"),
        texts("limits.oracle"),
        texts("limits.overlap"),
        texts("limits.unmeasured"),
    ]
    return _section("limits", texts, [Bullets(points)])


def _definitions(texts: Texts) -> Section:
    metrics = ("reward", "kl", "accuracy", "hallucination", "abstention",
               "margin", "effect", "pair_accuracy", "calibration_error", "overconfidence", "length_correlation",
               "shorter_better", "val_loss")  # fmt: skip
    signed = [
        (texts.metric(name), [texts(f"definition.{name}"), texts("definition.signature", signature=signature)])
        for name, signature in signatures().items()
    ]
    points = [*signed, *((texts.metric(metric), [texts(f"definition.{metric}")]) for metric in metrics)]
    return _section("definitions", texts, [Glossary(points)])


def _answers(key: str, runs: Sequence[Run], texts: Texts) -> list[Section]:
    block = side_by_side(texts("caption.answers"), runs, texts)
    return [_section(key, texts, [block], level=3)] if block else []


def _section(key: str, texts: Texts, blocks: Sequence[Block | None], level: int = 2) -> Section:
    return Section(key, texts(f"section.{key}"), _present(*blocks), level)


def _figure(name: str, svg: str | None, texts: Texts) -> Figure | None:
    return Figure(name, svg, texts(f"plot.{name}")) if svg else None


def _note(texts: Texts, key: str) -> Paragraph:
    return Paragraph(texts(key), note=True)


def _or_missing(texts: Texts, present: bool, *blocks: Block | None) -> list[Block]:
    """Give the blocks, or one paragraph saying that their runs are missing."""
    return _present(*blocks) if present else [Paragraph(texts("section_missing"))]


def _present(*blocks: Block | None) -> list[Block]:
    return [block for block in blocks if block is not None]
