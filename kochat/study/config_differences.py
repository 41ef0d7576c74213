"""Find the config keys in which runs of one stage differ, besides the study's named factors, and name these keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kochat.config_types import ModelSource
from kochat.report.run_labels import SEED
from kochat.study.resolved_runs import SHUFFLE_SEED, ResolvedRun

# Names and paths, on which results do not depend.
_NO_DIFFERENCE = (
    "config", "name", "study", "logs_dir", "skip_finished", "verbose", "weights_only",
    "trainer.logger", "trainer.default_root_dir",
)  # fmt: skip
_MISSING = object()


@dataclass(frozen=True)
class Differences:
    """The keys that differ within a stage and belong to no named factor: new factor name -> key."""

    keys: dict[str, str]

    def name_of(self, key: str, taken: set[str]) -> str:
        """Return a factor name for another key: its last part, or more of its last parts if that name is in ``taken``."""
        return next(name for name in _candidates(key) if name not in taken)


def find_differences(runs: Sequence[ResolvedRun], named: Mapping[str, str]) -> Differences:
    """Compare the configs of each stage's runs.

    Args:
        runs: the study's runs.
        named: the study's own factors: name -> config key.
    """
    stages: dict[str, list[ResolvedRun]] = {}
    for run in runs:
        stages.setdefault(run.stage.name, []).append(run)
    keys = dict.fromkeys(key for members in stages.values() for key in _differing(members, list(named.values())))
    return Differences(_names(list(keys), set(named)))


def lookup(config: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return a config's value at a dotted key (list entries by number), or the default if there is no such key."""
    value: Any = config
    for part in key.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return default
    return value


def _differing(members: Sequence[ResolvedRun], named: Sequence[str]) -> list[str]:
    """Return the keys whose values differ; if a run has no such group (a LoRA that is null), the key of the group."""
    leaves = [run.leaves for run in members]
    keys = dict.fromkeys(key for own in leaves for key in own)
    found = []
    for key in keys:
        if _covered(key, named) or any(isinstance(own.get(key), ModelSource) for own in leaves):
            continue
        values = [own.get(key, _MISSING) for own in leaves]
        if _MISSING in values:
            found.append(_group(key, members))
        elif len({json.dumps(value, sort_keys=True, default=str) for value in values}) > 1:
            found.append(key)
    kept = [key for key in dict.fromkeys(found) if not _holds(key, named) and not _follows_seed(key, members)]
    return [key for key in kept if not any(key.startswith(f"{other}.") for other in kept)]


def _covered(key: str, named: Sequence[str]) -> bool:
    """Tell whether a key is a name or a path, or belongs to a named factor."""
    return any(key == own or key.startswith(f"{own}.") for own in (*_NO_DIFFERENCE, *named))


def _holds(key: str, named: Sequence[str]) -> bool:
    return any(own.startswith(f"{key}.") for own in named)


def _group(key: str, members: Sequence[ResolvedRun]) -> str:
    """Return the shortest prefix of a key at which some run has no group."""
    parts = key.split(".")
    for length in range(1, len(parts)):
        start = ".".join(parts[:length])
        if any(not isinstance(lookup(run.parsed.config, start), (Mapping, list, tuple)) for run in members):
            return start
    return key


def _follows_seed(key: str, members: Sequence[ResolvedRun]) -> bool:
    """Tell whether a key is the seed of shuffling, which a study sets to each run's seed."""
    return key == SHUFFLE_SEED and all(run.leaves.get(key) == run.leaves.get(SEED) for run in members)


def _names(keys: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Name each key by its last part; keys with the same last part by more of their parts."""
    names: dict[str, str] = {}
    for key in keys:
        others = {name for other in keys if other != key for name in _candidates(other)}
        name = next((name for name in _candidates(key) if name not in others and name not in taken), key)
        names[name] = key
    return names


def _candidates(key: str) -> list[str]:
    """Return the names that a key may get: its last part, its last two ..., the whole key.

    `init_args` is left out, and `class_path` alone is not a name, since it does not say which class.
    """
    parts = [part for part in key.split(".") if part != "init_args"]
    least = 2 if parts[-1] == "class_path" or parts[-1].isdecimal() else 1
    return [".".join(parts[-n:]) for n in range(min(least, len(parts)), len(parts) + 1)] + [key]
