"""Write the clean rows of the small world in KoChatGPT's shape: SFT answers, RM rankings, PPO prompts, corpus texts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain, islice
from typing import Any, NamedTuple

from kochat.text.particles import fill
from kochat.text.unicode_form import prompt_key
from kochat.world.contents import Question, TalkFamily, World
from kochat.world.dialogues import dialogue
from kochat.world.dirt import SampleRow, duplicate_count
from kochat.world.graded_answers import good_answer
from kochat.world.rankings import Rankings
from kochat.world.reviews import reviewed_dialogues
from kochat.world.sizes import Size

_FACTS_IN_A_TEXT = (1, 3)
_CORPUS_ONLY_SHARE = 0.1
_PPO_ONLY_PHRASINGS = 2  # phrasings of each question (of each family one prompt) that are in no SFT row


class Asked(NamedTuple):
    """A training prompt and its question or family; `ppo_only` prompts are in no SFT row."""

    prompt: str
    about: Question | TalkFamily
    ppo_only: bool


def is_corpus_only(question: Question) -> bool:
    """Return whether the facts of `question` are in the corpus but never asked; this holds for one in ten, the same for every seed."""
    digest = sha256(question.id.encode("utf-8")).digest()
    return int.from_bytes(digest[:4], "big") < _CORPUS_ONLY_SHARE * 2**32


class RowWriter:
    """Write the clean rows of `world` for one `seed`; the same arguments give the same rows."""

    def __init__(self, world: World, seed: int, size: Size) -> None:
        self._world = world
        self._seed = seed
        self._size = size
        rng = self._rng("phrasings")
        trained = [question for question in world.questions if not is_corpus_only(question)]
        self._fact_prompts = _unique(_fact_prompts(trained, rng))
        taken = {prompt_key(asked.prompt) for asked in self._fact_prompts}
        self._talk_prompts = _unique(_talk_prompts(world.families, rng), taken)

    def _rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self._seed}/{purpose}")

    def sft(self) -> list[SampleRow]:
        """Return {prompt, completion} rows: every prompt once, with a random good answer."""
        rng = self._rng("sft")
        chosen = self._choose(self._size.sft_rows, [asked for asked in self._prompts() if not asked.ppo_only])
        rows = [{"prompt": asked.prompt, "completion": good_answer(asked.about, rng)} for asked in chosen]
        return _shuffled(rows, rng)

    def rm(self) -> list[SampleRow]:
        """Return {prompt, completion_0..2, ranking} rows; see :mod:`kochat.world.rankings`."""
        rng, rankings = self._rng("rm"), Rankings(self._world)
        chosen = self._choose(self._size.rm_rows, _shuffled(self._prompts(), rng), ranked=True)
        return _shuffled([rankings.record(asked.prompt, asked.about, rng) for asked in chosen], rng)

    def ppo(self) -> list[SampleRow]:
        """Return {prompt} rows; up to half of them, as many as there are, have prompts that are in no SFT row."""
        rng = self._rng("ppo")
        unseen = _shuffled([asked for asked in self._prompts() if asked.ppo_only], rng)
        seen = _shuffled([asked for asked in self._prompts() if not asked.ppo_only], rng)
        chosen = self._choose(self._size.ppo_rows, _alternate(unseen, seen))
        return _shuffled([{"prompt": asked.prompt} for asked in chosen], rng)

    def corpus(self) -> list[SampleRow]:
        """Return {text, source} rows: all facts equally often and at least once, talk, and trained facts as question and answer."""
        rng = self._rng("corpus")
        talk_chars = round(self._size.corpus_chars * self._size.talk_share)
        asked_chars = round(self._size.corpus_chars * self._size.asked_share)
        review_chars = round(self._size.corpus_chars * self._size.review_share)
        told_chars = self._size.corpus_chars - talk_chars - asked_chars - review_chars
        facts = _whole_passes(lambda: self._told_facts(rng), told_chars)
        talk = _up_to(self._told_talk(rng), talk_chars)
        asked = _up_to(self._asked_facts(rng), asked_chars)
        reviewed = _up_to(self._reviews(rng), review_chars)
        return _shuffled([*facts, *talk, *asked, *reviewed], rng)

    def _prompts(self) -> list[Asked]:
        return [*self._fact_prompts, *self._talk_prompts]

    def _choose(self, rows: int, prompts: Sequence[Asked], *, ranked: bool = False) -> list[Asked]:
        """Take `rows` prompts, less the planted duplicates; facts and talk in proportion as long as there are enough of both."""
        wanted = rows - duplicate_count(self._size.dirty(rows), ranked=ranked)
        talk = [asked for asked in prompts if isinstance(asked.about, TalkFamily)]
        facts = [asked for asked in prompts if isinstance(asked.about, Question)]
        chosen = talk[: round(wanted * self._size.talk_share)]
        chosen += facts[: wanted - len(chosen)]
        return chosen

    def _told_facts(self, rng: random.Random) -> Iterator[SampleRow]:
        """Write texts with one to three facts of one relation, each fact in two wordings.

        Each subject comes twice in a text. From this a model learns to repeat a name, as an answer repeats a name of its question.
        """
        for relation in self._world.relations:
            facts = _shuffled([fact for fact in self._world.facts if fact.relation == relation.id], rng)
            while facts:
                count = rng.randint(*_FACTS_IN_A_TEXT)
                told, facts = facts[:count], facts[count:]
                turns = zip(*(rng.sample(relation.statements, 2) for _ in told), strict=True)
                pairs = ((template, fact) for turn in turns for template, fact in zip(turn, told, strict=True))
                lines = (fill(template, s=fact.subject, o=fact.object) for template, fact in pairs)
                yield {"text": " ".join(lines), "source": f"facts/{relation.id}"}

    def _asked_facts(self, rng: random.Random) -> Iterator[SampleRow]:
        """Write questions with their answers, without end, over the prompts of the trained facts."""
        prompts = [asked for asked in self._fact_prompts if not asked.ppo_only]
        while prompts:
            for asked in _shuffled(prompts, rng):
                source = f"asked/{asked.about.relation.id}"
                yield {"text": self._dialogue(asked.prompt, good_answer(asked.about, rng), rng), "source": source}

    def _dialogue(self, prompt: str, answer: str, rng: random.Random) -> str:
        return dialogue(prompt, answer, rng) if self._size.dialogue_forms else f"{prompt}\n{answer}"

    def _reviews(self, rng: random.Random) -> Iterator[SampleRow]:
        """Write reviewed dialogues over the prompts that SFT may show."""
        prompts = [(one.prompt, one.about) for one in self._prompts() if not one.ppo_only]
        return reviewed_dialogues(self._world, prompts, rng, lambda prompt, answer: self._dialogue(prompt, answer, rng))

    def _told_talk(self, rng: random.Random) -> Iterator[SampleRow]:
        """Write short dialogues, without end, over all families."""
        while self._world.families:
            for family in _shuffled(self._world.families, rng):
                text = self._dialogue(rng.choice(family.prompts), rng.choice(family.replies), rng)
                yield {"text": text, "source": f"talk/{family.topic}"}


def _fact_prompts(questions: Sequence[Question], rng: random.Random) -> Iterator[Asked]:
    """Yield the prompts in passes over all questions, each pass in other words; the last passes are for PPO only."""
    phrasings = {question.id: _shuffled(question.relation.questions, rng) for question in questions}
    for turn in range(max(map(len, phrasings.values()), default=0)):
        for question in _shuffled(questions, rng):
            templates = phrasings[question.id]
            if turn < len(templates):
                yield Asked(question.ask(templates[turn]), question, turn >= len(templates) - _PPO_ONLY_PHRASINGS)


def _talk_prompts(families: Sequence[TalkFamily], rng: random.Random) -> Iterator[Asked]:
    prompts = {family.id: _shuffled(family.prompts, rng) for family in families}
    for turn in range(max(map(len, prompts.values()), default=0)):
        for family in _shuffled(families, rng):
            if turn < len(prompts[family.id]):
                yield Asked(prompts[family.id][turn], family, turn == len(prompts[family.id]) - 1)


def _unique(asked: Iterable[Asked], taken: Iterable[str] = ()) -> list[Asked]:
    """Drop prompts whose key came before, so that no prompt belongs to two families."""
    first: dict[str, Asked | None] = dict.fromkeys(taken)
    for one in asked:
        first.setdefault(prompt_key(one.prompt), one)
    return [one for one in first.values() if one is not None]


def _alternate(first: Sequence[Asked], second: Sequence[Asked]) -> list[Asked]:
    """Alternate between the two lists, then add the rest of the longer; facts first, then talk."""
    out: list[Asked] = []
    for kind in (Question, TalkFamily):
        left, right = ([asked for asked in part if isinstance(asked.about, kind)] for part in (first, second))
        both = min(len(left), len(right))
        out += [*chain.from_iterable(zip(left, right, strict=False)), *left[both:], *right[both:]]
    return out


def _shuffled(items: Iterable[Any], rng: random.Random) -> list[Any]:
    items = list(items)
    rng.shuffle(items)
    return items


def _whole_passes(one_pass: Any, chars: int) -> list[SampleRow]:
    """Repeat whole passes until they hold about `chars` characters; the last pass is left out if over half of it would be too much."""
    rows = list(one_pass())
    told = length = sum(len(row["text"]) for row in rows)
    while rows and told + length / 2 <= chars:
        more = list(one_pass())
        told += sum(len(row["text"]) for row in more)
        rows += more
    return rows


def _up_to(rows: Iterator[SampleRow], chars: int) -> list[SampleRow]:
    """Take rows until they hold `chars` characters."""
    taken: list[SampleRow] = []
    while chars > 0 and (row := next(islice(rows, 1), None)):
        taken.append(row)
        chars -= len(row["text"])
    return taken
