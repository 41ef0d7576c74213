import re
from html.parser import HTMLParser

import pytest

from kochat.errors import UserError
from kochat.report.rendering import neutral_markdown
from kochat.stages import stages_by_name
from kochat.study import composing
from tests.report.synthetic import NASTY, write_study

pytestmark = pytest.mark.slow


def write_report(folder, lang="ko"):
    return composing.write_report(folder, lang, stages_by_name())


VOID = {"meta", "wbr", "use", "path", "rect"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("study"), prompts=24)
    assert write_report(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def html(folder):
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def markdown(folder):
    return (folder / "report.md").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Collect cells that carry a number's name, visible text, tags and links, and check that tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.texts, self.tags, self.links, self._open = [], [], [], [], []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if "data-run" in attributes:
            self.cells.append([attributes["data-run"], attributes["data-metric"], ""])
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self._open[-1:] == ["td"] and self.cells and not self.cells[-1][2]:
            self.cells[-1][2] = data


def test_a_variant_shows_one_number_in_every_table(html):
    numbers = {}
    for run, metric, text in Page(html).cells:
        numbers.setdefault((run, metric), []).append(text)
    assert len(numbers[("ppo_kl01", "bleu")]) == 4  # overview, v1 -> v2, PPO, final
    assert len(numbers[("sft_lora16", "rouge_l")]) == 5
    assert {key for key, texts in numbers.items() if len(set(texts)) != 1} == set()


def test_the_page_needs_nothing_but_itself(html):
    page = Page(html)
    assert all(link.startswith("#") for link in page.links)
    assert "script" not in page.tags
    assert "@import" not in html
    assert "url(http" not in html


def test_what_a_model_said_is_shown_and_never_obeyed(html, markdown):
    assert NASTY.split("\n")[0] in "".join(Page(html).texts)
    assert "<script" not in html
    assert "{{ 7*7 }}" in html
    assert set(re.findall(r"<[^>]*>?", markdown)) == {"<details>", "</details>", "<summary>", "</summary>"}
    assert "```" not in markdown
    assert "](http" not in markdown


def test_markdown_tables_keep_their_columns(markdown):
    blocks = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE)
    assert len(blocks) > 20
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1
        assert re.fullmatch(r"\|(?: (?::---|---:) \|)+", block.splitlines()[1])


def test_markdown_links_the_plots_that_are_there(folder, markdown):
    linked = re.findall(r"!\[[^\]]*\]\((plots/\w+\.svg)\)", markdown)
    assert sorted(linked) == sorted(f"plots/{path.name}" for path in (folder / "plots").iterdir())
    assert {"plots/sft_loss.svg", "plots/rm_loss.svg", "plots/ppo_losses.svg", "plots/ppo_reward_kl.svg"} <= set(linked)


def test_every_section_of_the_seed_study_is_answered(html):
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert titles == [
        "1. 개요",
        "2. 데이터 정제와 성능 비교(v1 → v2)",
        "3. SFT: LoRA rank 비교",
        "4. 보상 모델: LoRA rank 비교",
        "5. PPO: KL 계수 비교",
        "6. 최종 비교: 기준 모델, SFT, PPO",
        "7. 한계",
        "8. 지표의 정의",
    ]
    assert "최종 비교: 기준 모델 → SFT rank 16 → PPO kl_coef 0.1" in html


def test_all_fixed_prompts_are_answered_by_all_variants(html):
    last = html[html.index('id="fixed_answers"') : html.index('id="limits"')]
    assert last.count('<section class="prompt">') == 5
    assert last.count('<div class="reply">') == 5 * 8
    assert "(빈 답변)" in last


def test_the_report_says_how_long_v1_and_v2_were_trained(markdown):
    rows = [line for line in markdown.splitlines() if "| 375 |" in line]
    assert {("v1" in row, "41,000" in row) for row in rows} == {(True, True), (False, False)}
    assert all("43,500" in row for row in rows if "41,000" not in row)


def test_missing_runs_are_named_and_the_rest_is_reported(tmp_path):
    gone = frozenset({"ppo_kl01", "ppo_kl05", "ppo_kl01_v1", "sft_lora16_v1", "rm_lora0"})
    html = write_report(write_study(tmp_path, without=gone, prompts=6)).read_text(encoding="utf-8")
    assert (
        "끝나지 않은 실행이 있어 해당 수치가 빠져 있다: rm_lora0, ppo_kl01, ppo_kl05, sft_lora16_v1, ppo_kl01_v1."
        in html
    )
    assert "이 절에 필요한 실행이 끝나지 않아" in html
    assert "SFT LoRA rank별 결과" in html


def test_a_study_with_no_finished_run_still_has_a_report(tmp_path):
    folder = write_study(tmp_path, prompts=6)
    for done in folder.glob("*/version_0/done.json"):
        done.unlink()
    assert write_report(folder, "en").is_file()


def test_english_has_korean_only_in_prompts_and_answers(tmp_path):
    html = write_report(write_study(tmp_path, prompts=6), "en").read_text(encoding="utf-8")
    rest = re.sub(r'<section class="prompt">.*?</section>', "", html, flags=re.DOTALL)
    assert re.findall("[가-힣]+", rest) == []
    assert '<html lang="en">' in html


def test_the_same_study_gives_the_same_bytes(folder, html):
    assert write_report(folder).read_text(encoding="utf-8") == html


def test_a_folder_that_is_no_study_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="no study here"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("text", "neutral"),
    [
        ("a|b", "a&#124;b"),
        ("한 줄\n두 줄", "한 줄 두 줄"),
        ("kl_coef _기울임_", "kl_coef &#95;기울임&#95;"),
        ("`code`", "&#96;code&#96;"),
        ("https://a.kr", "https&#58;//a.kr"),
        ("&lt;", "&#38;lt;"),
        ("0.5 (0.1, 0.9)", "0.5 (0.1, 0.9)"),
    ],
)
def test_markup_becomes_character_references(text, neutral):
    assert neutral_markdown(text) == neutral
