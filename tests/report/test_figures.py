import re
import xml.etree.ElementTree as ET

import pytest

from kochat.report import figures as plots
from kochat.report.drawing import canvas, standalone, to_svg
from kochat.report.study_results import read_study
from kochat.report.variant_records import make_records
from kochat.report.words import Texts
from tests.report.synthetic import write_study

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # matplotlib's missing glyphs
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return read_study(write_study(tmp_path_factory.mktemp("study"), without=frozenset({"sft_lora8"}), prompts=12))


def words(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def draw(name, title="손실 $5 <b>", values=(0.00125, 0.00375)):
    with canvas() as (figure, [axes]):
        axes.plot([1, 2], values)
        axes.set_yticks(values)
        axes.set_title(title)
        return to_svg(figure, name)


def test_text_is_text_in_fonts_that_have_hangul():
    svg = draw("one")
    assert "손실 $5 <b>" in words(svg)
    fonts = re.search(r"font-family: ([^;\"]*)", svg).group(1)
    assert fonts == "'Noto Sans KR', 'Malgun Gothic', 'Apple SD Gothic Neo', NanumGothic, sans-serif"
    assert "DejaVu" not in svg


def test_shortening_coordinates_leaves_labels_alone():
    svg = draw("one")
    assert "0.00125" in words(svg)
    assert not re.search(r' (?:d|x|y|transform)="[^"]*\d\.\d{3}', svg)


def test_two_plots_on_a_page_share_no_id_and_style_nothing_else():
    first, second = draw("first"), draw("second")
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg)) <= own
        assert "<style" not in svg


def test_ink_is_the_pages_and_a_file_stands_on_white():
    assert "currentColor" in draw("one")
    assert "#010203" not in draw("one")
    assert standalone(draw("one")).startswith('<?xml version="1.0" encoding="utf-8"?>\n<svg style="background: #fff"')


def test_the_same_plot_has_the_same_bytes():
    assert draw("one") == draw("one")


def test_curves_draw_the_runs_that_logged_and_name_the_axis(results):
    runs, texts = results.of("ppo", "v2"), Texts("ko")
    svg = plots.curves("losses", runs, ("ppo/policy_loss", "ppo/value_loss"), texts, axis="axis.rollout")
    assert {"정책 손실", "가치 손실", "PPO kl_coef 0.1", "PPO kl_coef 0.5"} <= set(words(svg))
    assert words(svg).count("롤아웃") == 2
    assert plots.curves("nothing", runs, ("ppo/unknown",), texts) is None
    assert plots.curves("nothing", [], ("ppo/policy_loss",), texts) is None


def test_verdicts_show_judged_variants(results):
    svg = plots.verdicts("verdicts", results.answering, make_records(results), Texts("ko"))
    assert {"정답", "틀린 사실", "답을 피함", "기준 모델", "SFT rank 16 v1"} <= set(words(svg))
    assert "SFT rank 8" not in words(svg)


def test_reward_over_kl_needs_two_points(results):
    records, texts = make_records(results), Texts("ko")
    svg = plots.reward_against_kl("price", results.final_sft, results.of("ppo", "v2"), records, texts)
    assert {"SFT rank 16", "PPO kl_coef 0.1", "PPO kl_coef 0.5"} <= set(words(svg))
    assert plots.reward_against_kl("price", results.final_sft, [], records, texts) is None


def test_a_long_curve_is_smoothed_by_its_neighbours():
    smooth = plots._running_mean(plots.np.array([0.0, 3.0, 6.0, 0.0]), 1)
    assert smooth.tolist() == [1.5, 3.0, 3.0, 3.0]
