"""The command line: one function for each command. Each command imports large libraries only if it needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from kochat import __version__
from kochat.errors import RunError, UserError

LIGHTNING = {
    "fit": "train one stage from a config, then export and evaluate it",
    "validate": "compute the held-out losses of a config's newest finished run",
    "test": "answer and score the frozen test set with a config's newest finished run",
    "predict": "answer the prompts of a config's data with its newest finished run",
}

OptionsT = TypeVar("OptionsT")


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line, with exit status 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise UserError instead of printing the usage."""
        raise UserError(f"{message} (see: {self.prog} --help)")


def main(args: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit status: 0 done; 1 a run failed or 2 the input is wrong (the last line of stderr says why); 130 interrupted.
    """
    args = list(sys.argv[1:] if args is None else args)
    try:
        if args and args[0] in LIGHTNING:
            return _lightning(args)
        options = build_parser().parse_args(args)
        if not hasattr(options, "run"):
            build_parser().print_help()
            return 0
        return options.run(options)
    except (UserError, RunError) as error:
        message = " ".join(str(error).split())
        print(f"kochat: error: {message}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except KeyboardInterrupt:
        print("kochat: interrupted; finished work is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser() -> Parser:
    """Build the parser of all commands."""
    parser = Parser(
        prog="python -m kochat", description="Train a Korean chat model (SFT, reward model, PPO) and measure each step."
    )
    parser.add_argument("--version", action="version", version=f"kochat {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for name, text in LIGHTNING.items():
        commands.add_parser(name, help=text, add_help=False)
    for name, (run, add_arguments) in COMMANDS.items():
        text = (run.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(name, help=text[0].lower() + text[1:].rstrip("."), description=text)
        add_arguments(command)
        command.set_defaults(run=run)
    return parser


def _lightning(args: list[str]) -> int:
    from kochat.lightning_cli import run_subcommand

    folder = run_subcommand(args).folder
    if folder is not None:
        print(f"kochat: {folder}")
    return 0


def _clean_arguments(parser: Parser) -> None:
    parser.add_argument("raw", nargs="?", type=Path, help="folder of KoChatGPT's files (v1), or one of them")
    parser.add_argument("--out", type=Path, required=True, help="folder for the cleaned files (v2)")
    parser.add_argument("--config", type=Path, help="YAML of thresholds and switches (see configs/data/clean.yaml)")
    parser.add_argument("--download", action="store_true", help="fetch KoChatGPT's three files into RAW first")
    parser.add_argument("--sample", action="store_true", help="write the embedded Korean world into RAW first")
    parser.add_argument("--seed", type=int, default=0, help="seed of the embedded world's generator")
    parser.add_argument("--workers", type=int, help="processes that share the work (default: all cores)")
    parser.add_argument("--corrections", type=Path, help="JSONL of rows to correct or drop (see docs/cleaning.md)")
    parser.add_argument("--tokenizer", help="a tokenizer's folder or hub id, for the bound max_tokens")
    parser.add_argument("--html", action="store_true", help="also write the ledger as an HTML page, OUT/ledger.html")
    parser.add_argument("--explain", metavar="RULE", help="show ten examples of what a rule did; writes nothing")


def _clean(options: argparse.Namespace) -> int:
    """Clean raw data (v1) into v2 and print counts by rule and file; or show what a cleaning did."""
    from kochat.cleaning.command import CleanOptions, run_clean

    told = _filled(CleanOptions, options)
    run_clean(replace(told, tokenizer=_folder_of_run(told.tokenizer)))
    return 0


def _filled(kind: type[OptionsT], options: argparse.Namespace) -> OptionsT:
    """Fill a dataclass of options with the arguments of the same names."""
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})  # type: ignore[arg-type]


def _folder_of_run(tokenizer: str | None) -> str | None:
    """Replace the name of a run by its folder; keep a folder or a hub id, which the cleaning can load itself."""
    if tokenizer is None or "/" in tokenizer or Path(tokenizer).is_dir():
        return tokenizer
    from kochat.runs import RunSpace

    return str(RunSpace().require_source("--tokenizer", tokenizer).directory)


def _study_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--config", type=Path, required=True, help="the study's YAML, such as configs/study/quickstart.yaml"
    )
    parser.add_argument("--raw", type=Path, help="folder of raw data (v1) instead of the study's own")
    parser.add_argument("--corpus", type=Path, help="corpus file for pretraining the base, instead of the study's own")
    parser.add_argument("--logs_dir", type=Path, default=Path("lightning_logs"), help="the folder of all runs")
    parser.add_argument(
        "--tokenizer", type=Path, help="folder of a tokenizer for the pretrained base, instead of training one"
    )
    parser.add_argument("--only", nargs="*", help="run only these runs, and write no report")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the runs, which are finished and how long the others may take; run none",
    )
    parser.add_argument("--lang", choices=("ko", "en"), default="ko", help="the report's language")


def _study(options: argparse.Namespace) -> int:
    """Run every run of a study, score them on one test set, and write the report."""
    if options.dry_run:
        from kochat.study.dry_run import describe_study
        from kochat.study.runner import StudyOptions

        print(describe_study(_filled(StudyOptions, options)))
        return 0
    from kochat.study.run_processes import start_server

    start_server()  # before the large libraries are imported here, so that both processes import them at the same time
    from kochat.study.runner import StudyOptions, run_study

    print(f"kochat: {run_study(_filled(StudyOptions, options))}")
    return 0


def _report_arguments(parser: Parser) -> None:
    parser.add_argument("study", type=Path, help="a study's folder, such as lightning_logs/quickstart")
    parser.add_argument("--lang", choices=("ko", "en"), default="ko", help="the report's language")
    parser.add_argument(
        "--stages", metavar="PACKAGE", action="append", default=[],
        help="a package with a stage of your own, to add its section (may be given several times)",
    )  # fmt: skip


def _report(options: argparse.Namespace) -> int:
    """Write report.html and report.md (in English report.en.html and report.en.md) from a study's finished runs."""
    from kochat.stages import stages_by_name
    from kochat.study.composing import write_report

    print(f"kochat: {write_report(options.study, options.lang, stages_by_name(options.stages))}")
    return 0


def _model_arguments(parser: Parser) -> None:
    parser.add_argument("model", help="a run's name, an exported folder, or a hub id")
    parser.add_argument("--logs_dir", type=Path, default=Path("lightning_logs"), help="the folder of all runs")
    parser.add_argument("--study", help="the study that the run belongs to")


def _chat_arguments(parser: Parser) -> None:
    _model_arguments(parser)
    parser.add_argument("--prompt", action="append", help="answer this and exit (may be given several times)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 answers greedily")
    parser.add_argument("--max_new_tokens", type=int, default=128, help="length limit of an answer, in tokens")


def _chat(options: argparse.Namespace) -> int:
    """Answer prompts with a trained model, one line at a time."""
    from kochat.terminal_chat import ChatOptions, chat

    how = ChatOptions(options.temperature, options.max_new_tokens)
    chat(_model_folder(options), options.prompt, how)
    return 0


def _model_folder(options: argparse.Namespace) -> Path:
    """Return the local folder of the model that the user named."""
    from kochat.engine.inputs import Inputs
    from kochat.runs import RunSpace

    return Inputs(RunSpace(options.logs_dir, options.study)).folder("model", options.model)


def _export_arguments(parser: Parser) -> None:
    _model_arguments(parser)
    parser.add_argument("--out", type=Path, required=True, help="the new folder")
    parser.add_argument("--merge", action="store_true", help="merge the adapter into its base: one whole model")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16", "float16"), help="round a whole model's weights to this type"
    )


def _export(options: argparse.Namespace) -> int:
    """Copy a finished run's model to a folder that transformers and peft load."""
    from kochat.nn.merging import copy_export, refuse_used_folder

    refuse_used_folder(options.out)
    print(f"kochat: {copy_export(_model_folder(options), options.out, merge=options.merge, dtype=options.dtype)}")
    return 0


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int], Callable[[Parser], None]]] = {
    "clean": (_clean, _clean_arguments),
    "study": (_study, _study_arguments),
    "report": (_report, _report_arguments),
    "chat": (_chat, _chat_arguments),
    "export": (_export, _export_arguments),
}
