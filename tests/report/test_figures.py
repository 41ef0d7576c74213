import re
import xml.etree.ElementTree as ET

import pytest

from kochat.report import figures as plots
from kochat.report.arms import single
from kochat.report.drawing import canvas, legend, standalone, title, to_svg
from kochat.report.study_files import StageEntry
from kochat.report.study_view import StageView
from kochat.stages.ppo.report import points_of_runs, reward_against_kl
from tests.report.synthetic import read_view, stage_of, write_study

pytestmark = pytest.mark.filterwarnings("error::UserWarning")  # matplotlib's missing glyphs
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("study"), without=frozenset({"sft_lora8"}), prompts=12)
    return read_view(folder, "ko")


def words(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def draw(name, heading="손실 $5 <b>", values=(0.00125, 0.00375)):
    with canvas() as (figure, [axes]):
        axes.plot([1, 2], values)
        axes.set_yticks(values)
        axes.set_title(heading)
        return to_svg(figure, name)


def test_text_is_text_in_fonts_that_have_hangul():
    svg = draw("one")
    assert "손실 $5 <b>" in words(svg)
    fonts = re.search(r"font-family: ([^;\"]*)", svg).group(1)
    assert fonts.split(", ") == [
        "Pretendard", "'Noto Sans CJK KR'", "'Noto Sans KR'", "'Apple SD Gothic Neo'", "'Malgun Gothic'", "NanumGothic",
        "sans-serif",
    ]  # fmt: skip
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


def test_curves_draw_the_runs_that_logged_and_name_the_axis(view):
    runs = view.results.main("ppo")
    svg = plots.curves(view, "losses", runs, ("ppo/policy_loss", "ppo/value_loss"), axis="axis.rollout")
    assert {"정책 손실", "가치 손실", "PPO kl_coef 0.1", "PPO kl_coef 0.5"} <= set(words(svg))
    assert words(svg).count("롤아웃") == 2
    assert plots.curves(view, "nothing", runs, ("ppo/unknown",)) is None
    assert plots.curves(view, "nothing", [], ("ppo/policy_loss",)) is None


def test_verdicts_show_judged_variants(view):
    svg = plots.verdicts(view, "verdicts", [single(run) for run in view.results.compared])
    assert {"정답", "틀린 답", "모른다고 함", "빗나간 답", "깨진 답", "기준 모델", "SFT rank 16 v1"} <= set(words(svg))
    assert "SFT rank 8" not in words(svg)


def test_reward_over_kl_needs_two_points(view):
    svg = reward_against_kl(stage_of(view, "ppo"), "price")
    assert {"SFT rank 16", "PPO kl_coef 0.1", "PPO kl_coef 0.5", "KL(nats/답변)"} <= set(words(svg))
    points = [(run.name, kl) for run, kl, _ in points_of_runs(stage_of(view, "ppo"))]
    assert points[0] == ("sft_lora16", 0.0)
    assert dict(points[1:]) == pytest.approx({"ppo_kl01": 15.2 * 1.5 / 1.4, "ppo_kl05": 15.2 * 0.5})
    assert reward_against_kl(StageView(view, StageEntry(name="none")), "price") is None


def test_a_long_curve_is_smoothed_by_its_neighbours():
    smooth = plots._running_mean(plots.np.array([0.0, 3.0, 6.0, 0.0]), 1)
    assert smooth.tolist() == [1.5, 3.0, 3.0, 3.0]


def test_curves_of_many_runs_differ_in_colour_or_line():
    items = range(24)
    looks = list(zip(plots.colours(items), plots.line_styles(items), strict=True))
    assert len(set(looks)) == 24


def test_a_legend_of_long_labels_has_fewer_columns():
    def columns(label):
        with canvas() as (figure, [axes]):
            for number in range(4):
                axes.plot([0, 1], [0, 1], label=f"{label} {number}")
            legend(figure, axes)
            return figure.legends[0]._ncols

    assert [columns(label) for label in ("SFT", "SFT rank 16 learning_rate 0.001 seed", "보상 모델 " * 5)] == [4, 2, 1]


def test_a_long_title_is_set_on_several_lines():
    with canvas() as (_, [axes]):
        title(axes, "Reward model rank 0 (full) learning_rate 0.0005", panels=3)
        assert axes.get_title() == "Reward model rank 0 (full)\nlearning_rate 0.0005"
        title(axes, "SFT rank 8", panels=3)
        assert axes.get_title() == "SFT rank 8"
