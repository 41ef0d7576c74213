"""A reward model's numbers in the report, by hand."""

import json

import pytest

from kochat.errors import UserError
from kochat.report.study_results import read_study
from kochat.rewards.centring import Centring
from kochat.stages.reward_model.reward_records import RankedScores, make_reward_records, reward_record
from tests.report.synthetic import write_study

TEXTS = ["가 나 다", "가", "가나"]  # 3, 1 and 2 characters


def records_of(folder):
    return make_reward_records(read_study(folder).main("rm"))


def ranked(*scores, completions=()):
    return [RankedScores(id=str(i), completions=list(completions), scores=row) for i, row in enumerate(scores)]


def test_means_margin_and_accuracy():
    record = reward_record(ranked([2.0, 1.0, 0.0], [1.0, 1.0, 3.0]))
    assert record.means == {"best": 1.5, "middle": 1.0, "worst": 1.5}
    assert record.margin == 0.0
    assert record.n_pairs == 6
    assert record.accuracy_by_id == {"0": 1.0, "1": pytest.approx(0.5 / 3)}  # all right; a tie and two wrong
    assert record.accuracy.value == pytest.approx(3.5 / 6)
    assert record.accuracy.n == 2


def test_scores_are_centred_by_what_the_export_keeps():
    rows = ranked([2.0, 1.0, 0.0])
    assert reward_record(rows).centred is None
    centred = reward_record(rows, Centring(1.5, 0.5)).centred
    assert centred == {"best": 1.0, "middle": -1.0, "worst": -3.0}


def test_lengths_are_measured_where_the_texts_are_kept():
    assert reward_record(ranked([2.0, 1.0, 0.0])).quality.length is None
    bias = reward_record(ranked([2.0, 1.0, 0.0], completions=TEXTS)).quality.length
    assert (bias.n_longer, bias.n_shorter) == (2, 1)
    assert (bias.longer_better.value, bias.shorter_better.value, bias.within.value) == (1.0, 1.0, pytest.approx(0.5))


def test_the_effect_does_not_depend_on_the_scale_of_scores():
    scores = [[2.0, 1.0, 0.0], [3.0, 1.0, 0.5]]
    small, large = reward_record(ranked(*scores)), reward_record(ranked(*([7 + 10 * x for x in row] for row in scores)))
    assert large.margin == pytest.approx(10 * small.margin)
    assert large.effect == pytest.approx(small.effect)


def test_a_constant_score_has_no_effect():
    record = reward_record(ranked([1.0, 1.0, 1.0], completions=TEXTS))
    assert (record.effect, record.accuracy.value, record.quality.length.within) == (None, 0.5, None)


def test_a_reward_model_without_scores_is_refused():
    with pytest.raises(ValueError, match="no scored records"):
        reward_record([])


def write_export(folder, **content):
    path = folder / "rm_lora16/version_0/export/kochat.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"stage": "rm", "base": "x", **content}), encoding="utf-8")


def test_statistics_come_from_the_export_beside_the_run(tmp_path):
    folder = write_study(tmp_path, prompts=6)
    write_export(folder, reward_mean=0.5, reward_std=2.0)
    records = records_of(folder)
    raw, centred = records["rm_lora16"].means, records["rm_lora16"].centred
    assert centred == pytest.approx({grade: (score - 0.5) / 2 for grade, score in raw.items()})
    assert records["rm_lora8"].centred is None


def test_without_the_export_the_logged_statistics_centre(tmp_path):
    folder = write_study(tmp_path, prompts=6)
    path = folder / "rm_lora8/version_0/done.json"
    done = json.loads(path.read_text(encoding="utf-8"))
    done["metrics"] |= {"rm/reward_mean": 1.0, "rm/reward_std": 4.0}
    path.write_text(json.dumps(done), encoding="utf-8")
    record = records_of(folder)["rm_lora8"]
    assert record.centred == pytest.approx({grade: (score - 1) / 4 for grade, score in record.means.items()})


@pytest.mark.parametrize("content", [{"reward_mean": None, "reward_std": None}, {"reward_mean": 1.0}])
def test_an_export_without_statistics_centres_nothing(tmp_path, content):
    folder = write_study(tmp_path, prompts=6)
    write_export(folder, **content)
    assert records_of(folder)["rm_lora16"].centred is None


def test_a_deviation_of_zero_is_the_users_error(tmp_path):
    folder = write_study(tmp_path, prompts=6)
    write_export(folder, reward_mean=0.0, reward_std=0.0)
    with pytest.raises(UserError, match=r"kochat\.json: reward_std: Input should be greater than 0"):
        records_of(folder)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"id": "a", "scores": [1.0, 0.0]}, "scores: List should have at least 3 items"),
        ({"id": "a", "scores": [1.0, 0.0, float("nan")]}, "scores.2: Input should be a finite number"),
        ({"id": "a", "scores": [2.0, 1.0, 0.0], "completions": ["가"]}, "1 completions for three scores"),
    ],
)
def test_a_record_that_is_no_triple_is_the_users_error(tmp_path, row, says):
    folder = write_study(tmp_path, prompts=6)
    (folder / "rm_lora8/version_0/rm_scores.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"rm_scores\.jsonl:1: .*{says}"):
        records_of(folder)
