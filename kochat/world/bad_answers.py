"""Make noise: repetition loops and English sentences, about as long as the good answer of the same record."""

from __future__ import annotations

import random

_ENGLISH = (
    "It is not clear what the question refers to in this case.",
    "The following table shows the list of items and their order.",
    "She walked slowly along the river and thought about the letter.",
    "Please click on the link below to download the latest version.",
    "There are several reasons why this may have happened before.",
    "He said that the meeting would begin at nine in the morning.",
    "All rights reserved by the owner of this page and its parts.",
    "In the second chapter we will look at the results again.",
    "The weather was cold and nobody wanted to leave the house.",
    "This function returns a value that depends on the input.",
    "They bought two tickets and waited for the train to arrive.",
    "Thank you for your order and have a very nice day.",
)


def english_noise(length: int, rng: random.Random) -> str:
    """Return English sentences that answer nothing: whole words, at least four, about `length` characters."""
    words = " ".join(rng.sample(_ENGLISH, k=min(len(_ENGLISH), 1 + length // 40))).split()
    count = 4
    while count < len(words) and len(" ".join(words[:count])) < length:
        count += 1
    return " ".join(words[:count])


def repetition(good: str, rng: random.Random) -> str:
    """Return the first one or two words of `good`, repeated at least five times and about as long as `good`.

    A single syllable is repeated only if `good` has no more: 네, 네, 네 and 나 나 나 are normal in speech and songs.
    """
    words = good.split()
    unit = " ".join(words[: rng.choice((1, 2))])
    if sum(map(str.isalpha, unit)) < 2:
        unit = " ".join(words[:2])
    rounds = max(5, round(len(good) / (len(unit) + 1)))
    return " ".join([unit] * rounds)
