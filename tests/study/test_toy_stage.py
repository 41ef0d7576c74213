"""A stage outside kochat is found, fitted, put into a study and told in its report, and no file of kochat knows it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kochat.cli import main
from tests.study.small_study import TOY, small_run, write_plan

pytestmark = pytest.mark.slow

LABELS = {(rate, seed): f"learning_rate {rate} {{seed}} {seed}" for rate in ("0.001", "0.01") for seed in (0, 1)}
WORDS = {"en": ("Toy", "seed"), "ko": ("장난감", "시드")}
RUNS = {f"toy_{rate}_seed{seed}" for rate in ("slow", "fast") for seed in (0, 1)}


def labels(lang):
    stage, seed = WORDS[lang]
    return {f"{stage} {label.format(seed=seed)}" for label in LABELS.values()}


def arm_labels(lang):
    """Return the labels of runs that differ only in their seed, which a comparison joins."""
    return {label.rsplit(" ", 2)[0] for label in labels(lang)}


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A finished study: two toys that differ in their learning rate alone, with two seeds."""
    folder = tmp_path_factory.mktemp("toys")
    runs = [
        small_run("pretrain"),
        small_run("baseline"),
        small_run("rm_lora16", per_seed=False),
        small_run("toy", "toy_slow", set={"model.init_args.learning_rate": 1e-3}),
        small_run("toy", "toy_fast", set={"model.init_args.learning_rate": 1e-2}),
    ]
    plan = write_plan(folder, runs, seeds=[0, 1])
    assert main(["study", "--config", str(plan), "--logs_dir", str(folder / "logs"), "--lang", "en"]) == 0
    return folder


@pytest.fixture(scope="module")
def study(work):
    return work / "logs" / "tiny"


def report(study, lang, *extra):
    assert main(["report", str(study), "--lang", lang, *extra]) == 0
    return (study / {"ko": "report.html", "en": "report.en.html"}[lang]).read_text(encoding="utf-8")


class Tables(HTMLParser):
    """Collect each table as rows of (text, run) cells, its header first."""

    def __init__(self, html):
        super().__init__()
        self.tables, self._cell = [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ["", dict(attrs).get("data-run", "")]
            self.tables[-1][-1].append(self._cell)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell[0] += data


def test_it_is_fitted_by_the_command_line(work):
    flags = [f"--{key}={str(value).lower()}" for key, value in small_run("toy")["set"].items()]
    flags += ["--logs_dir", str(work / "logs"), "--study", "tiny", f"--data.init_args.data_dir={work / 'data'}"]
    assert main(["fit", "--config", str(TOY), *flags]) == 0
    done = json.loads((work / "logs/tiny/toy/version_0/done.json").read_text(encoding="utf-8"))
    assert done["stage"] == "toy"


def test_the_study_says_what_it_ran(study):
    content = json.loads((study / "study.json").read_text(encoding="utf-8"))
    toys = {run["name"]: run for run in content["runs"] if run["stage"] == "toy"}
    assert set(toys) == RUNS
    assert {(run["factors"]["learning_rate"], run["factors"]["seed"]) for run in toys.values()} == {
        (rate, seed) for rate in (1e-3, 1e-2) for seed in (0, 1)
    }
    assert toys["toy_slow_seed1"]["package"] == "tests.toy_stage"
    assert toys["toy_slow_seed1"]["class_path"] == "tests.toy_stage.module.ToyModule"
    assert toys["toy_slow_seed1"]["sources"] == {"model.init_args.base": "pretrain"}
    found = {(c["vary"], tuple(map(tuple, c["groups"]))) for c in content["contrasts"] if c["stage"] == "toy"}
    assert found == {
        ("learning_rate", tuple((f"toy_slow_seed{s}", f"toy_fast_seed{s}") for s in (0, 1))),
        ("seed", tuple((f"toy_{rate}_seed0", f"toy_{rate}_seed1") for rate in ("slow", "fast"))),
    }
    assert [c["chain"] for c in content["contrasts"] if c["chain"]] == [
        ["baseline", f"toy_fast_seed{seed}"] for seed in (0, 1)
    ]
    for name in RUNS:  # each seed trained in its own way
        config = (study / name / "version_0" / "config.yaml").read_text(encoding="utf-8")
        assert f"seed_everything: {name[-1]}\n" in config


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_its_section_and_its_contrasts_stand_in_the_report(study, lang):
    html = report(study, lang, "--stages", "tests.toy_stage")
    titles = [re.sub(r"^\d+\. ", "", title) for title in re.findall(r"<h2[^>]*>(.*?)</h2>", html)]
    said = {
        "en": ("Toy by learning_rate, seed", "The toy stage is for a test alone.", "Toy by learning_rate: paired"),
        "ko": ("장난감: learning_rate, 시드 비교", "장난감 단계는 시험에만 쓴다.", "장난감 learning_rate별 짝지은"),
    }[lang]
    assert said[0] in titles
    assert all(text in html for text in said)
    assert 'id="toy_loss"' in html


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_learning_rates_and_seeds_are_told_apart_in_every_table(study, lang):
    tables = Tables(report(study, lang, "--stages", "tests.toy_stage")).tables
    known = labels(lang)
    told = 0
    for header, *rows in tables:
        differences = [cell[0] for cell in header if " − " in cell[0]]
        assert len(set(differences)) == len(differences)
        assert all(
            set(name.split(" − ")) <= known | arm_labels(lang) | {"Baseline", "기준 모델"} for name in differences
        )
        by_label = {}
        for row in rows:
            for run in {cell[1] for cell in row if cell[1] in RUNS}:
                by_label.setdefault(run, set()).update(cell[0] for cell in row if not cell[1])
        told += len(by_label) > 1
        for run, shown in by_label.items():
            others = [by_label[other] for other in by_label if other != run]
            assert all(shown != other for other in others)
            assert shown & (known | {run}), (run, shown)
    assert told >= 2  # the list of runs, and the toy's own table


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_answers_side_by_side_are_told_apart(study, lang):
    html = report(study, lang, "--stages", "tests.toy_stage")
    prompts = re.findall(r'<div class="replies">.*?</section>', html, flags=re.DOTALL)
    assert prompts
    for prompt in prompts:
        assert labels(lang) <= set(re.findall(r'<div class="who"><span>(.*?)</span>', prompt))


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_learning_rates_and_seeds_are_told_apart_in_legends_and_sentences(study, lang):
    html = report(study, lang, "--stages", "tests.toy_stage")
    suffix = "" if lang == "ko" else f".{lang}"
    for name in ("toy_loss", "verdicts"):
        svg = (study / "plots" / f"{name}{suffix}.svg").read_text(encoding="utf-8")
        assert all(f">{label}<" in svg for label in labels(lang)), name
    points = re.findall(r"<dd>.*?</dd>", html, flags=re.DOTALL)
    sentences = [said for point in points for said in re.findall(r"<p>(.*?)</p>", point) if WORDS[lang][0] in said]
    assert len(sentences) > 8
    for said in sentences:
        rest = said
        for label in sorted(labels(lang) | arm_labels(lang), key=len, reverse=True):
            rest = rest.replace(label, "")
        assert WORDS[lang][0] not in rest, said  # never the stage without what tells the run apart
    for rate in ("0.001", "0.01"):
        assert any(f"learning_rate {rate} {WORDS[lang][1]} 1" in said for said in sentences)


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_without_its_package_its_runs_are_shown_and_the_way_to_its_section(study, lang):
    html = report(study, lang)
    assert f"python -m kochat report {study} --stages tests.toy_stage" in html
    assert WORDS[lang][0] not in html
    assert {f"toy learning_rate {rate} {WORDS[lang][1]} {seed}" for rate, seed in LABELS} <= {
        cell[0] for table in Tables(html).tables for row in table for cell in row
    }


def test_a_package_that_is_no_stage_is_the_users_error(study, capsys):
    assert main(["report", str(study), "--stages", "no_such_stage"]) == 2
    assert "--stages: there is no package 'no_such_stage'" in capsys.readouterr().err
    assert main(["report", str(study), "--stages", "json"]) == 2
    assert "--stages: json has no STAGE" in capsys.readouterr().err


def test_no_file_of_kochat_knows_it():
    files = [
        path for path in Path(main.__code__.co_filename).parent.rglob("*") if path.suffix in (".py", ".yaml", ".j2")
    ]
    assert len(files) > 100
    assert [
        path for path in files if re.search(r"\btoy(_stage)?\b", path.read_text(encoding="utf-8"), re.IGNORECASE)
    ] == []
