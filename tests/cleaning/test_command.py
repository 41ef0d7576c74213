"""The command does what its options say, and loads nothing heavy for it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from kochat.cleaning.cleaner import clean
from kochat.cleaning.command import CleanOptions, cleaned, prepare_raw
from kochat.cli import build_parser
from kochat.data.files import SFT_FILE
from kochat.errors import UserError
from kochat.world.generator import write_sample
from tests.data.raw_data import files, sound_rows, write


def test_the_parser_knows_every_option(tmp_path: Path) -> None:
    told = vars(build_parser().parse_args(["clean", "--out", str(tmp_path)]))
    options = {field.name: told[field.name] for field in fields(CleanOptions)}
    assert CleanOptions(**options) == CleanOptions(out=tmp_path)  # the defaults agree too
    assert set(told) == {*options, "run"}


def test_raw_data_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"name the raw data's folder, or give --sample"):
        prepare_raw(CleanOptions(out=tmp_path / "v2"))
    assert prepare_raw(CleanOptions(out=tmp_path / "v2", raw=tmp_path / "v1")) == tmp_path / "v1"


def test_the_command_cleans_as_the_function_does(tmp_path: Path) -> None:
    write_sample(tmp_path / "v1", 0, "tiny")
    clean(tmp_path / "v1", tmp_path / "plain")
    report = cleaned(CleanOptions(raw=tmp_path / "v1", out=tmp_path / "v2"))
    assert files(tmp_path / "v2") == files(tmp_path / "plain")
    assert report.files[SFT_FILE].read == 400
    (tmp_path / "bounds.yaml").write_text("max_completion: 30\n")
    stricter = cleaned(CleanOptions(raw=tmp_path / "v1", out=tmp_path / "v3", config=tmp_path / "bounds.yaml"))
    assert stricter.files[SFT_FILE].kept < report.files[SFT_FILE].kept


@pytest.mark.parametrize(
    ("source", "message"),
    [("./lost", "--tokenizer: no directory './lost'"), ("no-such/hub-id", "--tokenizer: 'no-such/hub-id'")],
)
def test_a_tokenizer_that_is_nowhere(tmp_path: Path, monkeypatch, source: str, message: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    write(tmp_path / "v1" / SFT_FILE, sound_rows(5))
    with pytest.raises(UserError, match=message):
        cleaned(CleanOptions(raw=tmp_path / "v1", out=tmp_path / "v2", tokenizer=source))


def test_a_run_that_is_nowhere_is_no_tokenizer(tmp_path: Path, monkeypatch, capsys) -> None:
    from kochat.cli import main

    monkeypatch.chdir(tmp_path)
    write(tmp_path / "v1" / SFT_FILE, sound_rows(5))
    assert main(["clean", "v1", "--out", "v2", "--tokenizer", "sft_lora16"]) == 2
    assert "--tokenizer: no finished run 'sft_lora16'" in capsys.readouterr().err


def test_no_torch_without_a_tokenizer(tmp_path: Path) -> None:
    raw = write(tmp_path / "v1" / SFT_FILE, sound_rows(5)).parent
    script = (
        "import sys; from kochat.cli import main\n"
        f"assert main(['clean', {str(raw)!r}, '--out', {str(tmp_path / 'v2')!r}, '--html']) == 0\n"
        "heavy = {'torch', 'transformers', 'lightning', 'datasets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
