"""Keep guarded prompts (test prompts and fixed prompts) and their near copies out of training."""

from __future__ import annotations

import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable

from kochat.data.similarity import NEAR_DUPLICATE, jaccard_of, ngrams
from kochat.text.unicode_form import prompt_key


class Guard:
    """Recognise prompts that equal or nearly equal a prompt of a guarded set.

    Two prompts are near if the Jaccard similarity of the character 3-grams of their keys is at least 0.7. Prompts whose keys have
    fewer than three characters are near only if their keys are equal.

    The search is exact. Sort the grams of every prompt in one order, rarest first. Two near prompts then share a gram among the first
    ``n - ceil(0.7 n) + 1`` of each (n: its number of grams), so only these grams are indexed and looked up (prefix filter;
    Chaudhuri, Ganti and Kaushik, 2006; Bayardo, Ma and Srikant, 2007). Bit masks then exclude most candidates: two sets differ in at
    least as many grams as their masks differ in bits (bitmap filter; Sandes, Teodoro and Melo, 2020). Memory: about 1 kB for each prompt.
    """

    def __init__(self, prompts: Iterable[str], label: str = "test prompt") -> None:
        """Guard `prompts`; `label` names them in reasons."""
        self.label = label
        self._prompts: dict[str, str] = {}
        for prompt in prompts:
            self._prompts.setdefault(prompt_key(prompt), prompt)
        self._keys = list(self._prompts)
        self._frequency = Counter(gram for key in self._keys for gram in ngrams(key))
        self._sizes = array("L")  # grams of each prompt
        self._masks: list[int] = []
        self._postings: dict[str, list[int]] = defaultdict(list)
        for index, grams in enumerate(map(ngrams, self._keys)):
            self._sizes.append(len(grams))
            self._masks.append(_mask(grams))
            for gram in self._prefix(grams):
                self._postings[gram].append(index)

    def __len__(self) -> int:
        """Return the number of distinct guarded prompts."""
        return len(self._keys)

    def exact(self, prompt: str) -> bool:
        """Return whether `prompt` has the same key as a guarded prompt."""
        return prompt_key(prompt) in self._prompts

    def reason(self, prompt: str) -> str | None:
        """Return why `prompt` must not be used for training, or None if it may."""
        key = prompt_key(prompt)
        if key in self._prompts:
            return f"same as the {self.label} {self._prompts[key]!r}"
        nearest = self._nearest(ngrams(key))
        if nearest is None:
            return None
        similarity, index = nearest
        return f"near duplicate ({similarity:.2f}) of the {self.label} {self._prompts[self._keys[index]]!r}"

    def _prefix(self, grams: frozenset[str]) -> list[str]:
        """Return the rarest grams, so many that two near prompts have at least one of them in common."""
        rarest = sorted(grams, key=lambda gram: (self._frequency.get(gram, 0), gram))
        return rarest[: len(grams) - math.ceil(NEAR_DUPLICATE * len(grams) - 1e-9) + 1]

    def _nearest(self, grams: frozenset[str]) -> tuple[float, int] | None:
        candidates = {index for gram in self._prefix(grams) for index in self._postings.get(gram, ())}
        mask, size = _mask(grams), len(grams)
        most = (1 - NEAR_DUPLICATE) / (1 + NEAR_DUPLICATE)  # largest share of differing grams
        likely = (
            index
            for index in candidates
            if (mask ^ self._masks[index]).bit_count() <= most * (size + self._sizes[index]) + 1e-9
        )
        scored = ((self._similarity(grams, index), -index) for index in likely)
        best = max((pair for pair in scored if pair[0] >= NEAR_DUPLICATE), default=None)
        return None if best is None else (best[0], -best[1])

    def _similarity(self, grams: frozenset[str], index: int) -> float:
        """Return the Jaccard similarity to a guarded prompt; its key contains a 3-gram if and only if that is one of its grams."""
        common = sum(map(self._keys[index].__contains__, grams))
        return jaccard_of(common, len(grams), self._sizes[index])


def _mask(grams: frozenset[str]) -> int:
    """Return a mask of 256 bits in which each gram sets one bit."""
    mask = 0
    for gram in grams:
        mask |= 1 << (hash(gram) & 255)
    return mask
