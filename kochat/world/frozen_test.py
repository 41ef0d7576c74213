"""Write the frozen test set of the small world: no training file contains its prompts or near copies of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from kochat.text.unicode_form import prompt_key
from kochat.world.clean_rows import is_corpus_only
from kochat.world.contents import Question, TalkFamily, World
from kochat.world.graded_answers import About, good_answer
from kochat.world.sizes import Size

NEAR = 0.7


def trigrams(text: str) -> frozenset[str]:
    """Return the 3-grams of a text's letters and digits; a shorter text is one gram."""
    key = prompt_key(text)
    return frozenset(key[i : i + 3] for i in range(max(1, len(key) - 2)))


class TextIndex:
    """An index of all training texts, to find out whether another text is near one of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._sizes: list[int] = []
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, grams in enumerate(dict.fromkeys(map(trigrams, texts))):
            self._sizes.append(len(grams))
            for gram in grams:
                self._places[gram].append(place)

    def holds_near(self, text: str, similarity: float = NEAR) -> bool:
        """Return whether the index has a text whose 3-gram Jaccard similarity with `text` is at least `similarity`."""
        grams = trigrams(text)
        shared = Counter(place for gram in grams for place in self._places.get(gram, ()))
        return any(count >= similarity * (len(grams) + self._sizes[place] - count) for place, count in shared.items())


def training_texts(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield every text of the training rows; texts of several lines are yielded line by line."""
    for row in rows:
        for field, value in row.items():
            if isinstance(value, str) and field != "source":
                yield from value.split("\n")


def write_test_rows(
    world: World, seed: int, size: Size, training: Iterable[dict[str, Any]], asked: Iterable[str]
) -> list[dict[str, Any]]:
    """Return {id, prompt, completion, kind, fact_id or family} rows in new wordings, none near a text of `training`.

    `asked` are the SFT prompts. Kinds: "usual" and "roundabout" (SFT asks the fact in other words; the test asks it in a plain wording, or
    within a small story), "corpus_only" (only the corpus has the fact; asked in a plain wording), "talk" (SFT has the family in other
    words). If there are not enough wordings far from training, fewer rows than `size` says are
    returned.
    """
    rng = random.Random(f"{seed}/test")
    index = TextIndex(training_texts(training))
    keys = set(map(prompt_key, asked))
    trained = [question for question in world.questions if any(prompt_key(text) in keys for text in question.asked())]
    families = [family for family in world.families if any(prompt_key(text) in keys for text in family.prompts)]
    untrained = [question for question in world.questions if is_corpus_only(question)]
    return [
        *_rows("usual", trained, size.test_usual, index, rng),
        *_rows("roundabout", trained, size.test_roundabout, index, rng),
        *_rows("corpus_only", untrained, size.test_corpus_only, index, rng),
        *_rows("talk", families, size.test_talk, index, rng),
    ]


def _rows(
    kind: str, abouts: Iterable[About], wanted: int, index: TextIndex, rng: random.Random
) -> list[dict[str, Any]]:
    abouts = list(abouts)
    rng.shuffle(abouts)
    rows: list[dict[str, Any]] = []
    for about in abouts:
        if len(rows) < wanted and (prompt := _new_wording(kind, about, index, rng)):
            of = {"fact_id": about.facts[0].id} if isinstance(about, Question) else {"family": about.id}
            row = {"id": f"{kind}/{about.id}", "prompt": prompt, "completion": good_answer(about, rng), "kind": kind}
            rows.append({**row, **of})
    return rows


def _new_wording(kind: str, about: About, index: TextIndex, rng: random.Random) -> str | None:
    prompts = _test_prompts(kind, about)
    rng.shuffle(prompts)
    return next((prompt for prompt in prompts if not index.holds_near(prompt)), None)


def _test_prompts(kind: str, about: About) -> list[str]:
    if isinstance(about, TalkFamily):
        return list(about.test_prompts)
    relation = about.relation
    return [about.ask(text) for text in (relation.roundabout_tests if kind == "roundabout" else relation.usual_tests)]
