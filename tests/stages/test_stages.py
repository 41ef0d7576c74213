"""kochat's stages are found by their folders, and two stages never share a name."""

from pathlib import Path

import pytest

import kochat.stages
from kochat.engine.stage import Stage
from kochat.errors import UserError
from kochat.stages import built_in, by_name, stages_by_name


def test_every_folder_is_a_stage_in_the_order_of_training():
    folders = {path.parent.name for path in Path(kochat.stages.__path__[0]).glob("*/__init__.py")}
    assert {stage.package.rpartition(".")[2] for stage in built_in()} == folders
    assert [stage.name for stage in built_in()] == ["pretrain", "baseline", "sft", "rm", "ppo", "best_of_n"]


def test_a_stage_of_another_package_may_not_take_a_known_name():
    clash = Stage(name="sft", package="my_stages.sft")
    with pytest.raises(UserError, match=r"my_stages\.sft: its stage is called 'sft', as that of kochat\.stages\.sft"):
        by_name([*built_in(), clash])


def test_a_package_that_is_no_stage_is_named():
    with pytest.raises(UserError, match=r"--stages: there is no package 'my_lost'"):
        stages_by_name(["my_lost"])
    with pytest.raises(UserError, match=r"--stages: kochat\.text has no STAGE"):
        stages_by_name(["kochat.text"])
