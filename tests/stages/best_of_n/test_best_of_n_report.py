"""The chapter of best-of-n: its tables, its figure, and what it says about each PPO run."""

import re
import xml.etree.ElementTree as ET

import pytest

from kochat.functional import best_of_kl
from kochat.report.document import Bullets, Figure, Paragraph, Table
from kochat.stages import stages_by_name
from kochat.stages.best_of_n.report import limits, sections
from kochat.study import composing
from tests.stages.best_of_n.best_of_n_study import policy_rows, stage_view, write_best_of_n_study, write_policy

pytestmark = pytest.mark.filterwarnings("error::UserWarning")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def folder(tmp_path):
    return write_best_of_n_study(tmp_path)


def blocks(folder, anchor, kind, lang="en"):
    found = [section for section in sections(stage_view(folder, lang)) if section.anchor == anchor]
    return [block for section in found for block in section.blocks if isinstance(block, kind)]


def test_the_curve_has_a_row_for_each_power_with_its_kl(folder):
    table = blocks(folder, "best_of_n", Table)[0]
    rows = [[cell.text for cell in row] for row in table.rows]
    assert [row[1] for row in rows] == ["1", "2", "4", "8", "16"]
    assert [row[2] for row in rows] == [f"{best_of_kl(k):.4f}" for k in (1, 2, 4, 8, 16)]
    rewards = [float(re.match(r"[-\d.]+", row[3]).group()) for row in rows]
    assert rewards == sorted(rewards)
    assert all(re.fullmatch(r"-?\d\.\d{3} \(-?\d\.\d{3}, -?\d\.\d{3}\)", row[3]) for row in rows)


def test_the_scale_is_said(folder):
    said = [block.text for block in blocks(folder, "best_of_n", Paragraph)]
    assert (
        "Best-of-n: reward 0 is the mean raw score of held-out demonstrations, 2.000; a reward higher by 1 means a raw score "
        "higher by 0.500." in said
    )


def test_its_answers_are_compared_with_the_sft_models(folder):
    tables = blocks(folder, "best_of_n", Table)
    assert [row[0].text for row in tables[1].rows] == ["SFT rank 16", "Best-of-n"]
    assert tables[2].header[1] == "Best-of-n − SFT rank 16"


@pytest.mark.parametrize(
    ("gain", "kl", "sentence"),
    [
        (
            2.0,
            best_of_kl(4),
            r"reaches \d{3}% \(\d{3}%, \d{3}%\) of the gain of Best-of-n at the same KL \(\S+\): clearly more",
        ),
        (0.2, best_of_kl(4), r"reaches \d{2}% \(\d{2}%, \d{2}%\) of the gain .*: clearly less than best-of-n"),
        (1.03, best_of_kl(4), r"of the gain .*: no clear difference from best-of-n"),
        (
            1.0,
            3.0,
            r"its KL \(3\.0000\) is above the largest of Best-of-n \(1\.8351, n = 16\), so there is no comparison",
        ),
        (1.0, -0.5, r"its estimated KL \(-0\.5000\) is under 0"),
        (1.0, 0.01, r"the gain of Best-of-n is too near 0 to divide by it"),
    ],
)
def test_the_sentence_follows_the_numbers(folder, gain, kl, sentence):
    write_policy(folder, "ppo_kl01", policy_rows(folder, gain, kl))
    [bullets] = blocks(folder, "best_of_n_frontier", Bullets)
    [said] = bullets.points
    assert said.startswith("PPO kl_coef 0.1")
    assert re.search(sentence, said)
    [table] = blocks(folder, "best_of_n_frontier", Table)
    [row] = [[cell.text for cell in row] for row in table.rows]
    assert row[0] == "PPO kl_coef 0.1"
    assert (row[4] == "–") == ("reaches" not in said and "difference" not in said)
    assert row[4] in said or row[4] == "–"


def test_the_figure_has_the_line_and_every_policy(folder):
    for name, gain in (("ppo_kl01", 0.9), ("ppo_kl05", 0.4)):
        write_policy(folder, name, policy_rows(folder, gain, 0.6))
    [figure] = blocks(folder, "best_of_n_frontier", Figure, "ko")
    words = {element.text for element in ET.fromstring(figure.svg).iter(f"{SVG}text")}
    assert {"best-of-n", "PPO kl_coef 0.1", "PPO kl_coef 0.5", "k=1", "k=16", "KL (nats/답변)", "보상"} <= words


def test_without_a_policy_the_curve_is_shown_alone_and_it_is_said(folder):
    assert blocks(folder, "best_of_n_frontier", Bullets) == []
    assert len(blocks(folder, "best_of_n_frontier", Figure)) == 1
    said = [block.text for block in blocks(folder, "best_of_n_frontier", Paragraph)]
    assert said[-1].startswith("There is no PPO run to compare with Best-of-n")


def test_korean_sentences_have_their_particles(folder):
    write_policy(folder, "ppo_kl01", policy_rows(folder, 0.2, best_of_kl(4)))
    [bullets] = blocks(folder, "best_of_n_frontier", Bullets, "ko")
    assert re.fullmatch(
        r"PPO kl_coef 0\.1은 같은 KL\(\S+\)에서 best-of-n이 높인 보상의 \d+% \(\d+%, \d+%\)를 달성했다\. best-of-n보다 뚜렷하게 낮다\.",
        bullets.points[0],
    )


def test_an_unfinished_run_leaves_the_sentence_that_it_is_missing(folder):
    (folder / "best_of_n/version_0/done.json").unlink()
    [section] = sections(stage_view(folder))
    assert section.blocks[0].text == "The runs for this section are not finished, so there are no results to show."


def test_its_limit_is_said(folder):
    assert limits(stage_view(folder)) == [stage_view(folder).texts("limits.best_of_n")]


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["ko", "en"])
def test_the_whole_report_is_written(folder, lang):
    write_policy(folder, "ppo_kl01", policy_rows(folder, 0.5, 0.5))
    html = composing.write_report(folder, lang, stages_by_name()).read_text(encoding="utf-8")
    title = {"ko": "6. best-of-n", "en": "6. Best-of-n"}[lang]
    assert title in re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert 'id="best_of_n_frontier"' in html
    plot = {"ko": "best_of_n_0.svg", "en": "best_of_n_0.en.svg"}[lang]
    assert (folder / "plots" / plot).is_file()
