"""The judge's kept agreement with a table of labels is what it gives today."""

from collections import Counter
from pathlib import Path

import pytest

from kochat.errors import UserError
from kochat.storage import read_json
from kochat.world import agreement
from kochat.world.agreement import (
    CATEGORIES,
    LabelledAnswer,
    judge_agreement,
    main,
    measured_agreement,
    read_labelled_answers,
)

TABLE = Path(__file__).with_name("judged_answers_200.tsv")


@pytest.fixture(scope="module")
def answers() -> list[LabelledAnswer]:
    return read_labelled_answers(TABLE)


def test_the_table_holds_200_different_answers_of_all_kinds(answers: list[LabelledAnswer]) -> None:
    assert len(answers) == len({(row.prompt, row.answer) for row in answers}) == 200
    assert {row.verdict for row in answers} == set(CATEGORIES)
    per_run = Counter(row.source.split("/")[0] for row in answers)
    sft_and_ppo = dict.fromkeys(["sft_lora0", "sft_lora8", "sft_lora16", "ppo_kl01", "ppo_kl05"], 24)
    assert per_run == {"baseline": 20, **sft_and_ppo, "written": 60}
    assert {row.source.split("/")[1] for row in answers} == {"trained", "corpus_only"}


@pytest.mark.slow
def test_the_kept_agreement_is_what_the_judge_gives_today(answers: list[LabelledAnswer]) -> None:
    kept, today = judge_agreement(), measured_agreement(answers, development=True)
    assert kept.confusion == today.confusion
    assert kept == today, (
        "write it anew: python -m kochat.world.agreement tests/world/judged_answers_200.tsv --development"
    )


def test_the_figures_follow_from_the_confusion() -> None:
    kept = judge_agreement()
    both = sum(kept.confusion[name][name] for name in CATEGORIES)
    assert kept.all.n == sum(sum(row.values()) for row in kept.confusion.values()) == 200
    assert kept.all.agreement == both / 200
    verdicts = sum(row["wrong"] for row in kept.confusion.values())
    assert kept.precision("wrong") == kept.confusion["wrong"]["wrong"] / verdicts
    assert kept.all.low < kept.all.agreement < kept.all.high
    assert kept.all.n == sum(part.n for part in kept.by_source.values())


def test_agreement_and_kappa_by_hand() -> None:
    # Labels c c w u, verdicts c w w u: 3 of 4 agree; by chance 2/4*1/4 + 1/4*2/4 + 1/4*1/4 = 5/16.
    prompt, wrong = "프랑스의 수도는 어디인가요?", "프랑스의 수도는 베를린입니다."
    rows = [
        LabelledAnswer("sft/trained", prompt, "프랑스의 수도는 파리입니다.", "correct"),
        LabelledAnswer("sft/trained", prompt, wrong, "correct"),
        LabelledAnswer("written/trained", prompt, wrong, "wrong"),
        LabelledAnswer("written/trained", prompt, "잘 모르겠어요.", "unknown"),
    ]
    found = measured_agreement(rows)
    assert found.all.agreement == 0.75
    assert found.all.kappa == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))
    assert found.kappa_by_category["unknown"] == 1
    assert found.kappa_by_category["correct"] == pytest.approx(0.5)  # 3/4 observed, 1/2 by chance
    assert (found.precision("wrong"), found.precision("malformed")) == (0.5, None)
    assert not found.development
    assert (found.by_source["models"].agreement, found.by_source["written"].agreement) == (0.5, 1)
    assert found.confusion["correct"] == dict.fromkeys(CATEGORIES, 0) | {"correct": 1, "wrong": 1}


def test_a_prompt_that_asks_no_fact_cannot_be_measured() -> None:
    with pytest.raises(UserError, match="asks no fact"):
        measured_agreement([LabelledAnswer("sft/trained", "안녕?", "안녕하세요!", "correct")])


@pytest.mark.parametrize("line", ["sft/trained\t프랑스의 수도는?\t파리", "sft/trained\t프랑스의 수도는?\t파리\tright"])
def test_a_malformed_table_is_refused(line: str, tmp_path: Path) -> None:
    table = tmp_path / "labels.tsv"
    table.write_text(f"# a comment\nsource\tprompt\tanswer\tverdict\n{line}\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"labels\.tsv"):
        read_labelled_answers(table)


def test_the_command_writes_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "__file__", str(tmp_path / "agreement.py"))
    main([str(TABLE), "--development"])
    kept = Path(agreement.__spec__.origin).with_name(agreement.FIGURES)
    assert read_json(tmp_path / agreement.FIGURES) == read_json(kept)
