import pytest
import sacrebleu

from kochat.report.study_files import Answer, Done, RunEntry
from kochat.report.study_results import Run
from kochat.report.text_scores import signatures
from kochat.report.variant_records import SHARES, cluster, statistic, variant_record
from kochat.statistics.differences import compare


def answer(id_, text, reference, kind="trained", reward=0.0, verdict=None):
    scores = {"reward": reward, "verdict": verdict}
    return Answer(id=id_, prompt="질문", reference=reference, answer=text, kind=kind, scores=scores)


ANSWERS = [
    answer("a", "서울입니다", "서울입니다", "trained", 1.0, "correct"),
    answer("b", "부산입니다", "서울입니다", "trained", 2.0, "wrong"),
    answer("c", "모르겠어요", "파리입니다", "corpus_only", 3.0, "unknown"),
    answer("d", "안녕하세요", "안녕하세요", "talk", 6.0),
    answer("e", "고정 답변", None, "fixed", 100.0),
]


def difference(ours, theirs, metric):
    return compare([ours.rows(metric)], [theirs.rows(metric)], {}, statistic(metric))


def run(answers=ANSWERS, **metrics):
    entry = RunEntry(name="sft", stage="sft", path="sft")
    return Run(entry=entry, done=Done(metrics=metrics), answers=answers)


def test_shares_and_means_leave_fixed_prompts_out():
    record = variant_record(run())
    assert record.whole.n == 4
    assert record.whole.n_judged == 3
    assert record.get("accuracy") == pytest.approx(1 / 3)
    assert record.get("hallucination") == pytest.approx(1 / 3)
    assert record.get("unknown") == pytest.approx(1 / 3)
    assert record.get("reward") == 3.0
    assert record.get("length") == 5.0
    # a and d are equal; b shares 입니다 of 5 with its reference (3/5), c shares no character in order
    assert record.get("rouge_l") == pytest.approx((1 + 0.6 + 0 + 1) / 4)


def test_kinds_have_their_own_numbers():
    kinds = variant_record(run()).by_kind
    assert list(kinds) == ["trained", "corpus_only", "talk"]
    assert kinds["trained"].values["accuracy"] == 0.5
    assert kinds["talk"].values["bleu"] == 1.0
    assert "accuracy" not in kinds["talk"].values  # no oracle for talk


@pytest.mark.parametrize("verdicts", [["correct", "wrong", "unknown", "off_the_point", "malformed"], ["unknown"] * 5])
def test_the_five_shares_sum_to_one_on_the_whole_and_for_every_kind(verdicts):
    kinds = ["usual", "roundabout", "usual", "a_new_kind", "roundabout"]
    rows = [
        answer(str(n), "답", "답", kind, 0.0, verdict)
        for n, (kind, verdict) in enumerate(zip(kinds, verdicts, strict=True))
    ]
    record = variant_record(run([*rows, answer("talk", "안녕", "안녕", "talk")]))
    assert list(record.by_kind) == ["usual", "roundabout", "a_new_kind", "talk"]
    for part in (record.whole, *(record.by_kind[kind] for kind in dict.fromkeys(kinds))):
        assert sum(part.values[share] for share in SHARES) == pytest.approx(1)
        assert part.values["off_the_point"] == part.verdicts["off_the_point"] / part.n_judged
    assert not SHARES.keys() & record.by_kind["talk"].values.keys()


def test_bleu_is_that_of_the_corpus_and_not_a_mean_of_sentences():
    record = variant_record(run())
    scored = ANSWERS[:4]
    expected = sacrebleu.corpus_bleu(
        [row.answer for row in scored], [[row.reference for row in scored]], tokenize="char", use_effective_order=True
    )
    assert record.get("bleu") == pytest.approx(expected.score / 100)
    assert record.get("bleu") != pytest.approx(sum(part for part in (1, 0.6, 0, 1)) / 4)


def test_what_was_not_measured_is_absent():
    record = variant_record(run([Answer(id="a", prompt="질문", answer="답")]))
    assert record.get("bleu") is None
    assert record.get("reward") is None
    assert record.get("kl") is None
    assert variant_record(run(**{"sft/val_kl": 0.5})).get("kl") == 0.5
    assert variant_record(run(**{"sft/val_kl_sequence": 7.5})).get("kl_sequence") == 7.5


def test_a_difference_is_paired_by_prompt():
    better = [
        row.model_copy(update={"scores": {"reward": row.score("reward") + 1, "verdict": "correct"}}) for row in ANSWERS
    ]
    ours, theirs = variant_record(run(better)), variant_record(run())
    reward = difference(ours, theirs, "reward").interval
    assert (reward.value, reward.low, reward.high, reward.n) == (1.0, 1.0, 1.0, 4)
    assert difference(ours, theirs, "accuracy").interval.n == 3
    assert ours.rows("kl") == {}


def test_a_corpus_difference_scores_the_same_prompts_of_both():
    good, bad = (
        variant_record(run([answer(str(i), text, "대한민국의 수도는 서울입니다") for i in range(n)]))
        for text, n in (("대한민국의 수도는 서울입니다", 8), ("잘 모르겠습니다", 6))
    )
    same = difference(good, good, "chrf").interval
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    apart = difference(good, bad, "bleu").interval
    assert apart.n == 6
    assert apart.value == pytest.approx(1 - bad.get("bleu"))
    assert apart.excludes_zero


def test_wordings_of_one_fact_are_one_cluster():
    usual, roundabout = (answer(f"{kind}/capital/프랑스", "", "", kind) for kind in ("usual", "roundabout"))
    assert cluster(usual) == cluster(roundabout) == "capital/프랑스"
    assert cluster(answer("row-7", "", "", "held_out")) == "row-7"


def test_signatures_name_the_tokenizer():
    assert "tok:char" in signatures()["bleu"]
    assert "tok:none" in signatures()["legacy_bleu"]
