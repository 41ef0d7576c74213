"""What a run writes into the terminal: the progress bar's texts, and warnings in one plain line."""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from kochat import errors
from kochat.engine.progress_bar import RunProgressBar
from kochat.engine.warnings_shown import quiet_libraries
from tests.engine.toy import ToyChat
from tests.stages.harness import trainer

ROOT = Path(__file__).parents[2]


class Described(RunProgressBar):
    """Nothing is drawn; the texts are kept."""

    def __init__(self, trainer):
        super().__init__()
        self._trainer = trainer

    def text(self):
        return self._get_train_description(4)


@pytest.mark.parametrize(("epochs", "text"), [(-1, "Epoch 4   "), (9, "Epoch 4/8 ")])
def test_the_epoch_is_right_where_only_the_steps_end_the_run(tmp_path, epochs, text):
    assert Described(trainer(tmp_path, max_epochs=epochs, max_steps=20)).text() == text


def test_no_version_number_stands_beside_the_bar(tmp_path):
    run = trainer(tmp_path, logger=True)
    assert RunProgressBar().get_metrics(run, ToyChat()) == {}


def test_a_chat_shows_answers_alone():
    command = [sys.executable, "-m", "kochat", "chat", "kochat/world/base", "--prompt", "안녕하세요"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=True)
    assert done.stdout.strip()
    assert done.stderr == ""


def test_our_warnings_are_one_plain_line_and_others_keep_their_place_in_the_code():
    quiet_libraries()
    ours = warnings.formatwarning("the rate is\n high", UserWarning, errors.__file__, 3)
    assert ours == "kochat: warning: the rate is high\n"
    assert "other.py:7: UserWarning: odd" in warnings.formatwarning("odd", UserWarning, "/somewhere/other.py", 7)
