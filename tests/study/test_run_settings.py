"""How to repeat a run: its settings and its command, without paths of this machine."""

import shlex
from types import SimpleNamespace

from kochat.study.data_digests import data_files
from kochat.study.run_settings import command, settings


def test_settings_are_those_of_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    leaves = {
        "model.init_args.kl_coef": 0.1,
        "model.init_args.target_kl": None,
        "model.init_args.base": "/elsewhere/base",
        "data.init_args.data_dir": str(tmp_path / "data" / "sample"),
        "trainer.precision": "32-true",
        "trainer.enable_progress_bar": True,
        "logs_dir": "x",
    }
    assert settings(leaves) == {
        "model.kl_coef": 0.1,
        "model.base": "base",
        "data.data_dir": "data/sample",
        "trainer.precision": "32-true",
    }


def test_the_command_has_no_path_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = [
        "fit",
        "--config",
        str(tmp_path / "configs/a.yaml"),
        "--logs_dir",
        "/logs",
        "--skip_finished",
        "true",
        "--name",
        "a b",
    ]
    said = command(SimpleNamespace(args=args))
    assert shlex.split(said) == ["python", "-m", "kochat", "fit", "--config", "configs/a.yaml", "--name", "a b"]


def test_data_files_are_described_by_version(tmp_path):
    for version, text in (("v1", "{}\n{}\n"), ("v2", "{}\n")):
        (tmp_path / version).mkdir()
        (tmp_path / version / "kochatgpt_1_SFT.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "v2" / "ledger.jsonl").write_text("{}\n", encoding="utf-8")  # runs do not read it
    found = data_files(tmp_path)
    assert [(file.name, file.rows, file.size) for file in found] == [
        ("v1/kochatgpt_1_SFT.jsonl", 2, 6),
        ("v2/kochatgpt_1_SFT.jsonl", 1, 3),
    ]
    assert found[1].sha256 == "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356"
