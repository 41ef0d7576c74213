"""Find the factors in which runs of a study differ, from their resolved configs, never from their names.

A study names factors, each with a config key. If a run's config has no such key, the run has the value of the run from
which it starts: PPO has the rank of its SFT model. Any other key in which two runs of one stage differ is a factor too,
named after the key.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kochat.config_types import ModelSource
from kochat.errors import UserError
from kochat.study.config_differences import SEED, Differences, find_differences, lookup
from kochat.study.plan import DEFAULT_FACTORS
from kochat.study.resolved_runs import ResolvedRun

_LACKING = object()


@dataclass(frozen=True)
class StudyFactors:
    """The factors of a study.

    Args:
        keys: factor name -> config key; first the named factors, then the found ones.
        values: run name -> factor -> value; None if neither the run nor the runs that it starts from have one.
        sources: run name -> config key -> run of the study from which it starts.
        varying: stage -> factors in which its runs differ.
        tied: stage -> found factor -> the factor that determines it (a learning rate that changes with the rank).
    """

    keys: dict[str, str]
    values: dict[str, dict[str, Any]]
    sources: dict[str, dict[str, str]]
    varying: dict[str, list[str]]
    tied: dict[str, dict[str, str]]


def find_factors(runs: Sequence[ResolvedRun], named: Mapping[str, str]) -> StudyFactors:
    """Find the factors in which the runs differ.

    Args:
        runs: the study's runs, in the order in which they are run.
        named: the study's own factors: name -> config key.

    Raises:
        UserError: a run starts from a later one, a named factor's key is in no config, or two runs of a stage do not
            differ.
    """
    sources = {run.name: _sources(run, runs) for run in runs}
    _check_keys(runs, named)
    differences = find_differences(runs, named)
    finder = _Finder(runs, sources, named, differences)
    values = finder.all_values()
    keys = _seed_last(dict(named) | differences.keys | finder.source_keys)
    by_stage: dict[str, list[ResolvedRun]] = {}
    for run in runs:
        by_stage.setdefault(run.stage.name, []).append(run)
    varying = {stage: _varying(members, keys, values) for stage, members in by_stage.items()}
    for members in by_stage.values():
        _check_told_apart(members, keys, values)
    found = [name for name in keys if name not in named]
    tied = {stage: _tied(members, varying[stage], found, values) for stage, members in by_stage.items()}
    return StudyFactors(keys, values, sources, varying, tied)


def _seed_last(keys: dict[str, str]) -> dict[str, str]:
    """Put the seed after all other factors, so that the runs of one setting stay together in sorted lists."""
    return dict(sorted(keys.items(), key=lambda item: item[1] == SEED))


def same(a: Any, b: Any) -> bool:
    """Tell whether two values of a factor are the same; 1 and 1.0 are, True and 1 are not."""
    return identity(a) == identity(b)


def identity(value: Any) -> Any:
    """Return a key that is equal for equal factor values: 1 and 1.0 are equal, True and 1 are not."""
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return float(value) if isinstance(value, (int, float)) else json.dumps(value, sort_keys=True, default=str)


class _Finder:
    """Read the values of factors, also from the runs from which a run starts."""

    def __init__(
        self,
        runs: Sequence[ResolvedRun],
        sources: Mapping[str, Mapping[str, str]],
        named: Mapping[str, str],
        differences: Differences,
    ) -> None:
        self.runs = {run.name: run for run in runs}
        self.sources = sources
        self.keys = dict(named) | differences.keys
        self.source_keys: dict[str, str] = {}
        self._named = set(named)
        self._taken = set(self.keys)
        self._differences = differences

    def all_values(self) -> dict[str, dict[str, Any]]:
        """Return the values of all factors, upstream runs first; also find model inputs that are factors."""
        values: dict[str, dict[str, Any]] = {}
        for run in self.runs.values():
            values[run.name] = {name: self._value(run, name, key, values) for name, key in self.keys.items()}
        while key := self._telling_input(values):
            self._add_source(key, values)
        return values

    def _telling_input(self, values: Mapping[str, Mapping[str, Any]]) -> str | None:
        """Return the key of an input that is no factor yet although runs differ in it; each new factor may show others."""
        for stage in dict.fromkeys(run.stage.name for run in self.runs.values()):
            members = [run for run in self.runs.values() if run.stage.name == stage]
            for key in dict.fromkeys(key for run in members for key in run.inputs):
                known = key in self.source_keys.values() or _below(key, self.keys.values())
                if not known and self._tells_more(members, key, values):
                    return key
        return None

    def _value(self, run: ResolvedRun, name: str, key: str, known: Mapping[str, Mapping[str, Any]]) -> Any:
        own = lookup(run.parsed.config, key, _LACKING)
        if own is not _LACKING:
            return self._without_own_seed(run, own)
        if name not in self._named and not run.stage.trains:
            return None  # a run that trains nothing does not have the training settings of its model
        upstream = [self.runs[source] for source in dict.fromkeys(self.sources[run.name].values())]
        for source in sorted(upstream, key=lambda source: not source.stage.answers):  # a policy before a reward model
            if known[source.name].get(name) is not None:
                return known[source.name][name]
        return None

    def _tells_more(self, members: Sequence[ResolvedRun], key: str, values: Mapping[str, Mapping[str, Any]]) -> bool:
        """Tell whether an input differs between runs in a way that no factor of these runs shows."""
        inputs = {run.name: run.inputs.get(key, run.default_input(key)) for run in members}
        for number, run in enumerate(members):
            for other in members[:number]:
                a, b = inputs[run.name], inputs[other.name]
                if a != b and not self._follows((run, a), (other, b), values):
                    return True
        return False

    def _follows(
        self,
        one: tuple[ResolvedRun, str | None],
        other: tuple[ResolvedRun, str | None],
        values: Mapping[str, Mapping[str, Any]],
    ) -> bool:
        """Tell whether every difference of two inputs is a factor of the runs that start from them."""
        (run_a, a), (run_b, b) = one, other
        if a not in self.runs or b not in self.runs or self.runs[a].stage.name != self.runs[b].stage.name:
            return False
        keys = (*self.keys, *self.source_keys)
        differing = [name for name in keys if not same(values[a][name], values[b][name])]
        return bool(differing) and all(
            same(values[run_a.name][name], values[a][name]) and same(values[run_b.name][name], values[b][name])
            for name in differing
        )

    def _without_own_seed(self, run: ResolvedRun, value: Any) -> Any:
        """Name inputs by their row in the plan if they have the seed of the run, which is a factor of its own."""
        if isinstance(value, (list, tuple)):
            return [self._without_own_seed(run, inner) for inner in value]
        if isinstance(value, ModelSource) and value in self.runs and _seed(self.runs[value]) == _seed(run):
            return self.runs[value].origin
        return value

    def _add_source(self, key: str, values: dict[str, dict[str, Any]]) -> None:
        """Make an input a factor of all runs."""
        name = self._differences.name_of(key, self._taken)
        self._taken.add(name)
        self.source_keys[name] = key
        for run in self.runs.values():
            values[run.name][name] = self._without_own_seed(run, run.inputs.get(key))


def _seed(run: ResolvedRun) -> Any:
    return lookup(run.parsed.config, SEED)


def _below(key: str, others: Iterable[str]) -> bool:
    return any(key.startswith(f"{other}.") for other in others)


def _sources(run: ResolvedRun, runs: Sequence[ResolvedRun]) -> dict[str, str]:
    names = [other.name for other in runs]
    found: dict[str, str] = {key: value for key, value in run.model_sources.items() if value in names}
    for key, value in found.items():
        if names.index(value) >= names.index(run.name):
            raise UserError(
                f"run {run.name}: {key}={value} comes after it in the study; put a run after those it starts from"
            )
    return found


def _check_keys(runs: Sequence[ResolvedRun], named: Mapping[str, str]) -> None:
    for name, key in named.items():
        if DEFAULT_FACTORS.get(name) != key and all(
            lookup(run.parsed.config, key, _LACKING) is _LACKING for run in runs
        ):
            raise UserError(f"factors: {name}: no run's config has {key!r}; give a dotted key such as seed_everything")


def _varying(
    members: Sequence[ResolvedRun], keys: Mapping[str, str], values: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    return [name for name in keys if len({identity(values[run.name][name]) for run in members}) > 1]


def _check_told_apart(
    members: Sequence[ResolvedRun], keys: Mapping[str, str], values: Mapping[str, Mapping[str, Any]]
) -> None:
    seen: dict[tuple[Any, ...], str] = {}
    for run in members:
        setting = tuple(identity(values[run.name][name]) for name in keys)
        if setting in seen:
            raise UserError(
                f"runs: {seen[setting]} and {run.name} differ in nothing but their names; change a value of one of them, or leave it out"
            )
        seen[setting] = run.name


def _tied(
    members: Sequence[ResolvedRun],
    varying: Sequence[str],
    found: Sequence[str],
    values: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    """Find the factors that another factor determines: each value of the other has only one value of theirs.

    Of two found factors that determine each other, the second is tied to the first.
    """

    def determines(leader: str, name: str) -> bool:
        pairs = {(identity(values[run.name][leader]), identity(values[run.name][name])) for run in members}
        return len(pairs) == len({leading for leading, _ in pairs})

    def leads(leader: str, name: str) -> bool:
        if name not in found or leader == name or not determines(leader, name):
            return False
        return leader not in found or not determines(name, leader) or varying.index(leader) < varying.index(name)

    leaders = {name: next((other for other in varying if leads(other, name)), None) for name in varying}
    tied: dict[str, str] = {}
    for name, leader in leaders.items():
        while leader is not None and leaders[leader] is not None:
            leader = leaders[leader]
        if leader is not None:
            tied[name] = leader
    return tied
