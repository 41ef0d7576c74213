"""Parse the command line and the configs of a run, and find the run that it would repeat, without loading anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError, Namespace
from lightning.pytorch.cli import ArgsType, LightningArgumentParser

from kochat.config_errors import explain
from kochat.engine.run_records import fingerprint, newest_version, repeated_run
from kochat.engine.stage import Stage
from kochat.engine.stage_module import StageModule
from kochat.errors import UserError
from kochat.lightning_cli import KochatCLI, run_name
from kochat.runs import RunSpace


@dataclass(frozen=True)
class ParsedRun:
    """A parsed run, before any object is built.

    Args:
        config: the subcommand's whole config with all defaults, as nested plain values; model inputs stay `ModelSource`.
        module_class: the class of the model.
        stage: its stage.
    """

    config: dict[str, Any]
    module_class: type[StageModule]
    stage: Stage


class _ParserMade(Exception):
    """Raised to get the parser out of LightningCLI's constructor."""

    def __init__(self, parser: LightningArgumentParser) -> None:
        super().__init__()
        self.parser = parser


class _ParserOnly(KochatCLI):
    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        raise _ParserMade(parser)


@cache
def _parser() -> LightningArgumentParser:
    """Build the parser of all subcommands once, because building takes longer than parsing."""
    try:
        _ParserOnly([])
    except _ParserMade as made:
        return made.parser
    raise RuntimeError("LightningCLI parsed nothing")


def parse_run(args: list[str]) -> ParsedRun:
    """Parse ``fit``, ``validate``, ``test`` or ``predict`` and its configs without building or loading anything.

    Raises:
        UserError: if the arguments or the configs are wrong.
    """
    parsed = _parsed(args)
    config = _plain(parsed[parsed.subcommand].as_dict())
    package, _, name = config["model"]["class_path"].rpartition(".")
    module_class = getattr(import_module(package), name)
    stage = getattr(module_class, "stage", None)
    if not isinstance(stage, Stage):
        raise UserError(
            f"model: {package}.{name} has no stage; give the class an attribute `stage` (docs/adding_a_stage.md)"
        )
    return ParsedRun(config, module_class, stage)


def _parsed(args: list[str]) -> Namespace:
    try:
        return _parser().parse_args(args)
    except ArgumentError as error:
        raise UserError(explain(str(error), args)) from error
    except SystemExit as ended:  # --help and --print_config write to the terminal and end the process
        raise UserError("help and print_config run nothing; leave them out of a run") from ended


def finished_run(args: list[str]) -> Path | None:
    """Return the folder of the finished run that a command line would repeat; None if it would be another run, or the first.

    Module and data are built, but nothing is loaded. This is how ``--skip_finished`` decides too.

    Raises:
        UserError: if the arguments or the configs are wrong.
    """
    parsed = _parsed(args)
    options = parsed[parsed.subcommand]
    space, name = RunSpace(Path(options.logs_dir), options.study), run_name(options)
    if newest_version(space, name) is None:
        return None  # this needs no fingerprint, for which all data files are read
    config = json.loads(_parser().dump(parsed, skip_none=False, format="json"))[parsed.subcommand]
    try:
        built = _parser().instantiate_classes(parsed)[parsed.subcommand]
    except ValueError as error:  # jsonargparse's, around an error about a setting
        raise (error.__cause__ if isinstance(error.__cause__, UserError) else error) from None
    return repeated_run(space, name, fingerprint(parsed.subcommand, config, built.model, built.data, space))


def _plain(value: Any) -> Any:
    """Remove jsonargparse's notes about the file that each part of a config came from."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if not key.startswith("__")}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
