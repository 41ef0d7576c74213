"""The chapters of a study's report that belong to no stage: overview, data, chains, limits, definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kochat.report import figures as plots
from kochat.report import tables
from kochat.report.answer_panels import side_by_side
from kochat.report.arms import single
from kochat.report.cleaning_section import cleaning_blocks
from kochat.report.document import Block, Bullets, Glossary, Paragraph, Section
from kochat.report.run_labels import stage_word
from kochat.report.section_parts import figure, missing, note, part, present
from kochat.report.shuffled_references import DRAWS
from kochat.report.study_results import DATA, Run
from kochat.report.study_view import Contrast, StudyView
from kochat.report.text_scores import signatures
from kochat.report.variant_records import SHARES
from kochat.report.words import NOTHING, Texts
from kochat.study.conclusions import chosen, headline, make_findings
from kochat.study.stage_reports import StageReport
from kochat.world.agreement import judge_agreement

_HEADLINE = (
    "accuracy",
    "unknown",
    "off_the_point",
    "hallucination",
    "malformed",
    "reward",
    "bleu",
    "rouge_l",
    "length",
)
_DEFINED = ("reward", *SHARES, "val_loss")


def overview(view: StudyView, reports: Sequence[StageReport]) -> Section:
    """Return the overview: the verdict in a few sentences, one table and one figure, then what is clear and what is not."""
    texts = view.texts
    steps = view.chain_arms(view.chain_plans[0]) if view.chain_plans else []
    judged = any(view.value(arm, "accuracy") is not None for arm in steps)
    findings = make_findings(view, reports)
    blocks = present(
        Bullets(said) if (said := headline(view, steps)) else None,
        tables.arms_table(view, texts("caption.headline"), steps, _HEADLINE),
        _judge_error(texts) if judged else None,
        figure(texts, "headline", plots.verdicts(view, "headline", steps)),
        tables.primary_table(view),
        note(texts, "note.primary") if view.primary else None,
        *_listed(texts("overview.clear"), chosen(findings, clear=True)),
        *_listed(texts("overview.unclear"), chosen(findings, clear=False)),
        *_listed(texts("overview.by_size"), chosen(findings, clear=None)),
        note(texts, "overview.rule"),
        *_what_was_done(view),
    )
    return Section("overview", texts("section.overview"), blocks)


def _judge_error(texts: Texts) -> Paragraph:
    """Say beside the rates of facts how often their judge is wrong."""
    kept = judge_agreement().all
    agreement, low, high = (f"{100 * share:.0f}%" for share in (kept.agreement, kept.low, kept.high))
    return Paragraph(texts("note.judge_error", n=kept.n, agreement=agreement, low=low, high=high), note=True)


def _listed(heading: str, entries: list[tuple[str, list[str]]]) -> list[Block]:
    return [Paragraph(heading), Glossary(entries)] if entries else []


def _what_was_done(view: StudyView) -> list[Block]:
    """Return what was done, on what test prompts, and where."""
    texts, results = view.texts, view.results
    what = texts(
        "overview.what",
        stages=", ".join(stage_word(stage, texts) for stage in results.stages),
        runs=len(results.runs),
        size=results.study.test_set.size,
        seeds=", ".join(map(str, _seeds(view))) or texts("unknown"),
        duration=texts.duration(sum(run.done.seconds or 0.0 for run in results.runs.values())),
    )
    lost = ", ".join(entry.name for entry in results.missing)
    kinds = {texts.kind(kind): n for kind, n in results.study.test_set.kinds.items()}
    environment = [texts("column.environment"), texts("column.value")]
    return present(
        Paragraph(what),
        Paragraph(texts("overview.missing", names=lost)) if lost else None,
        tables.runs_table(view),
        tables.pairs_table(texts("caption.test_set"), [texts("column.kind"), texts("column.n")], kinds),
        tables.pairs_table(texts("caption.environment"), environment, results.study.environment),
    )


def data(view: StudyView) -> list[Section]:
    """Return the chapter on data: what cleaning did, and how runs differ that differ only in the data version."""
    texts, contrasts = view.texts, view.varied(DATA)
    scores: list[Block | None] = [
        tables.budget_table(view, contrasts, DATA),
        tables.versions_table(view, contrasts) if contrasts else None,
        note(texts, "note.intervals"),
    ]
    return [
        Section("data", texts("section.data"), [Paragraph(texts("data.what")), *cleaning_blocks(view)]),
        *part(view, "data_scores", "section.data_scores", scores if contrasts else [missing(texts)]),
        *_data_answers(view, contrasts),
    ]


def _data_answers(view: StudyView, contrasts: Sequence[Contrast]) -> list[Section]:
    """Show side by side the answers of the last stage whose runs differ in their data."""
    answered = [contrast for contrast in contrasts if contrast.groups[0][0].name in view.records]
    if not answered:
        return []
    last = answered[-1].groups[0]
    block = side_by_side(view, view.texts("caption.answers"), last)
    title = view.texts("section.data_answers", stage=stage_word(last[0].stage, view.texts))
    return [Section("data_answers", title, [block], level=3)] if block else []


def chains(view: StudyView) -> list[Section]:
    """Return a chapter for each chain of runs, then all verdicts and all answers to the fixed prompts."""
    texts, results = view.texts, view.results
    found = [chain for chain in view.chains if any(run.name in view.records for run in chain.groups[0])]
    lost = not found and any(entry.chain for entry in results.study.contrasts)
    compared = [run for chain in found for run in chain.groups[0]] or results.compared
    stages = dict.fromkeys(run.stage for run in compared)
    title = texts("section.chain", stages=", ".join(stage_word(stage, texts) for stage in stages))
    blocks = present(
        *(block for chain in found for block in _chain_scores(view, chain)),
        *(block for contrasts in view.chain_plans for block in _chain_differences(view, contrasts)),
        note(texts, "note.intervals"),
        *_win_rates(view, found),
        *_floor(view),
        figure(texts, "verdicts", plots.verdicts(view, "verdicts", [single(run) for run in results.compared])),
        *(block for chain in found for block in _chain_kinds(view, chain)),
    )
    everyone = side_by_side(view, texts("caption.fixed"), results.compared, fixed=None, kinds=False)
    return [
        Section("final", title, [missing(texts)] if lost else blocks),
        *part(view, "fixed_answers", "section.fixed_answers", [everyone]),
    ]


def _win_rates(view: StudyView, chains: Sequence[Contrast]) -> list[Block | None]:
    pairs = {(ours.name, theirs.name): (ours, theirs) for chain in chains for ours, theirs in _known_pairs(view, chain)}
    table = tables.win_rates_table(view, list(pairs.values()))
    return [table, note(view.texts, "note.win_rates")] if table else []


def _known_pairs(view: StudyView, chain: Contrast) -> list[tuple[Run, Run]]:
    return [pair for pair in chain.pairs if {run.name for run in pair} <= view.records.keys()]


def _floor(view: StudyView) -> list[Block | None]:
    """Return the chance floor of the text scores of the first chain's arms."""
    steps = view.chain_arms(view.chain_plans[0]) if view.chain_plans else []
    table = tables.floor_table(view, steps)
    return [table, Paragraph(view.texts("note.floor", draws=DRAWS), note=True)] if table else []


def _chain_scores(view: StudyView, chain: Contrast) -> list[Block | None]:
    steps = [run for run in chain.groups[0] if run.name in view.records]
    metrics = (*tables.SCORES, "reward", *tables.FACTS, *tables.LEGACY)
    caption = chain.entry.name or view.texts("caption.chain", names=_names(view, chain))
    return [tables.variants_table(view, caption, steps, metrics)]


def _chain_differences(view: StudyView, contrasts: Sequence[Contrast]) -> list[Block | None]:
    """Return the table of a chain's steps; runs of several seeds are one arm."""
    names = " → ".join(view.arm_label(arm) for arm in view.chain_arms(contrasts))
    return [tables.differences_table(view, view.texts("caption.steps", names=names), view.arm_pairs(contrasts))]


def _chain_kinds(view: StudyView, chain: Contrast) -> list[Block | None]:
    return [tables.kinds_table(view, [run for run in chain.groups[0] if run.name in view.records])]


def _names(view: StudyView, chain: Contrast) -> str:
    return " → ".join(view.label(run) for run in chain.groups[0])


def weights(view: StudyView) -> list[Section]:
    """Return the chapter on what training changed in the weights; empty where the study recorded nothing."""
    table = tables.changes_table(view)
    if table is None:
        return []
    return [Section("weights", view.texts("section.weights"), [Paragraph(view.texts("weights.what")), table])]


def limits(view: StudyView, reports: Sequence[StageReport]) -> Section:
    """Return the chapter on what the numbers do not show; each stage adds its own sentences."""
    texts = view.texts
    repeats = max(Counter(run.entry.origin for run in view.results.runs.values()).values(), default=0)
    own = [said for report in reports if report.runs for said in report.offers("limits", _no_limits)(report.view)]
    points = [
        texts("limits.one_seed" if repeats <= 1 else "limits.seeds", n=repeats),
        texts("limits.size", size=view.results.study.test_set.size),
        *own,
        texts("limits.judge"),
        *([_judge_agreement(texts)] if any(record.whole.n_judged for record in view.records.values()) else []),
        *(texts(f"limits.{key}") for key in ("overlap", "unmeasured")),
    ]
    return Section("limits", texts("section.limits"), [Bullets(points)])


def _judge_agreement(texts: Texts) -> str:
    """Return sentences on the agreement of the judge with a reader."""
    kept = judge_agreement()

    shares = {
        "agreement": kept.all.agreement,
        "low": kept.all.low,
        "high": kept.all.high,
        "models": kept.by_source["models"].agreement,
        "written": kept.by_source["written"].agreement,
        "correct": kept.precision("correct"),
        "wrong": kept.precision("wrong"),
    }
    words = {name: NOTHING if share is None else f"{100 * share:.0f}%" for name, share in shares.items()}
    said = texts("limits.judge_agreement", n=kept.all.n, kappa=f"{kept.all.kappa:.2f}", **words)
    return f"{said} {texts('limits.judge_development')}" if kept.development else said


def _no_limits(view: object) -> list[str]:
    return []


def definitions(view: StudyView, reports: Sequence[StageReport]) -> Section:
    """Return the definitions of all metrics, including those of the stages."""
    texts = view.texts
    signed = [
        (texts.metric(name), [texts(f"definition.{name}"), texts("definition.signature", signature=signature)])
        for name, signature in signatures().items()
    ]
    own = [metric for report in reports for metric in report.offers("DEFINED", ())]
    points = [(texts.metric(metric), [texts(f"definition.{metric}")]) for metric in (*_DEFINED, *own)]
    return Section("definitions", texts("section.definitions"), [Glossary([*signed, *points])])


def _seeds(view: StudyView) -> list[int]:
    return sorted({run.done.seed for run in view.results.runs.values() if run.done.seed is not None})
