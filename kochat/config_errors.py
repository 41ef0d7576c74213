"""Explain an error in a run's configs in one line: the file, the field, the fault, and the command that shows help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError
from lightning.pytorch.cli import LightningArgumentParser

_REWORDED = (  # parts of jsonargparse's messages -> shorter words
    (r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: - ", ""),
    (r" - (Expected a <class 'NoneType'>|Not a valid subclass of).*", ""),
    (r"Expected a dot import path string: (\S+)", r"there is no class '\1'"),
    (r"Problem with given class_path '(?:\w+\.)*(\w+)': ", r"\1: "),
    (r"Parser key \"([^\"]*)\": ", r"\1: "),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"\"<unicode string>\", ", ""),
    (r"Unable to load config '([^']*)' - (?:\w+: Unable to load config .*)", r"'\1' cannot be read"),
    (r"Unable to load config '([^']*)' - ", r"\1: "),
    (r"Problems parsing config: ", "not YAML: "),
    (r"Unexpected config:.*", "holds no settings"),
    (r"- Expected a path but \S+ either not accessible or invalid - ", ""),
    (
        r"(\w+): (?:No module named '(?:kochat\.[\w.]+)'|module 'kochat[\w.]*' has no attribute '\w+')",
        r"kochat has no such module; classes of kochat need no module: write \1",
    ),
)
_LEFT_OUT = dict.fromkeys(  # settings that users may look for -> why they do not exist
    ("top_k", "top_p", "repetition_penalty"),
    "kochat samples from the whole distribution, because PPO compares its log-probabilities; leave it out",
)
_RENAMED = {"packing": "unpad", "scale_reward": "reward_unit"}  # settings of earlier versions -> their names now
_NOT_ACCEPTED = re.compile(r"Option '(\w+)' is not accepted")
_UNKNOWN_OPTION = re.compile(r"Subcommand '\w+' does not accept option '([\w.]+)'")


class ConfigParser(LightningArgumentParser):
    """A parser whose errors name the config file."""

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Any:
        """Parse a config file.

        Raises:
            TypeError: if the file is wrong; the message begins with its path.
        """
        try:
            return super().parse_path(path, *args, **kwargs)
        except (ArgumentError, TypeError) as error:
            raise TypeError(f"{path}: {error}") from error
        except UnicodeDecodeError as error:
            raise TypeError(f"{path}: not UTF-8 text (byte {error.start})") from error


def explain(message: str, args: Sequence[str]) -> str:
    """Shorten a parser's message to one line that names the file and a help command.

    Args:
        message: the message of jsonargparse.
        args: the command line, the subcommand first.
    """
    line = " ".join(message.split())
    for pattern, text in _REWORDED:
        line = re.sub(pattern, text, line)
    if unknown := _UNKNOWN_OPTION.search(line):
        line = f"{unknown.group(1)}: there is no such setting"
        if file := _file_with(unknown.group(1).rsplit(".", 1)[-1], args):
            line = f"{file}: {line}"
    if missing := _NOT_ACCEPTED.search(line):
        name = missing.group(1)
        reason = f"it is called {_RENAMED[name]!r} now" if name in _RENAMED else _LEFT_OUT.get(name)
        line = f"{line[: missing.end()]}: {reason}" if reason else line
    return f"{line[:600]} (see: python -m kochat {args[0]} {_help_option(line)})"


def _help_option(line: str) -> str:
    """Return the help option that lists the settings of the part with the error."""
    in_class = re.search(r"\b(model|data): (\w+(?:Module|DataModule)): ", line)
    return f"--{in_class.group(1)}.help {in_class.group(2)}" if in_class else "--help"


def _file_with(key: str, args: Sequence[str]) -> Path | None:
    """Find the config, or a YAML file that it includes, which has ``key``; None if there is none."""
    for path in _files(args):
        if path.is_file() and re.search(rf"(?:^|[\s{{,]){re.escape(key)}\s*:", path.read_text(encoding="utf-8")):
            return path
    return None


def _files(args: Sequence[str]) -> Iterator[Path]:
    for before, value in pairwise(args):
        if before in ("-c", "--config"):
            config = Path(value)
            yield config
            if config.is_file():
                pieces = re.findall(r"^\w+:\s*(\S+\.yaml)\s*$", config.read_text(encoding="utf-8"), re.MULTILINE)
                yield from (config.parent / piece for piece in pieces)
