# SPDX-License-Identifier: Apache-2.0
"""Generated text in the form of LEAF's Shakespeare data: roles, windows of 80 characters, the next character.

This is *no* Shakespeare and nobody's speech: sentences are drawn from a small grammar, so that figures on it say how
methods compare, not how well they do on real text. What it has in common with the data set is the form (alphabet of
80 characters, one user a role, window and next character; Caldas et al. 2018, arXiv 1812.01097v3) and two kinds of
difference between users:

- a *dialect*: a subset of twelve rules of spelling ("the" to "de", "-ing" to "-in'", ...), each seen in one play of
  eight of the pre-training corpus. The users of a federation share one region's dialect, of which the pre-training
  corpus has no play, each with a few rules of his own: there is something in common to learn.
- *habits*: every role prefers its own words, so that something is left to learn of each user.

Everything follows from a seed.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingError

ALPHABET = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
"""LEAF's 80 characters, in its order (`ALL_LETTERS`)."""
WINDOW = 80

Ids = NDArray[np.int64]
Dialect = tuple[bool, ...]
T = TypeVar("T")

_WORDS: dict[str, tuple[str, ...]] = {
    "noun": tuple(
        "king queen crown sword heart night morning father mother brother daughter wood river castle throne battle "
        "honour sorrow wind water fire winter summer soldier prince letter window hand word book horse kitchen "
        "weather thing feather hall wall moon harbour lover singing mourning stranger master".split()
    ),
    "verb": tuple(
        "love hear follow swear wash watch answer remember bring hold wander gather question weep kill crown sing "
        "think hate walk visit leave honour bury forgive carry".split()
    ),
    "past": tuple(
        "loved heard washed watched answered remembered wandered gathered questioned killed crowned hated walked "
        "visited buried carried honoured followed".split()
    ),
    "going": tuple(
        "loving hearing washing watching answering wandering gathering weeping killing singing thinking walking "
        "leaving burying carrying swearing holding".split()
    ),
    "adjective": tuple(
        "good old young hollow weary whole heavy high wooden bitter golden other royal tender summer wicked humble "
        "cool shooting looming soft silver winter".split()
    ),
    "adverb": tuple("here there never ever soon together hardly softly now whither hence".split()),
    "place": tuple("this house|the wood|the hall|the harbour|that wall|the water|the field|her window".split("|")),
    "call": tuple("my lord|good sir|sweet mother|brother|my king|master|old friend|lady".split("|")),
    "cry": tuple("alas|hark|what|ho|away|peace|oh|well".split("|")),
}
_SENTENCES = tuple(
    line.split()
    for line in (
        "{cry} , {call} ! the {noun} of the {noun} hath {past} the {adjective} {noun} .",
        "thou {verb} the {noun} and the {noun} , {call} .",
        "why dost thou {verb} my {noun} ? i have {past} thy {noun} {adverb} .",
        "he was {going} with the {adjective} {noun} in {place} .",
        "{call} , i {verb} thee ; the {noun} is {going} {adverb} .",
        "when the {noun} of {place} hath {past} , who shall {verb} the {noun} ?",
        "she {past} her {adjective} {noun} and was {going} {adverb} .",
        "the {noun} that thou hast {past} is {adjective} and {adjective} .",
        "have we not {past} the {noun} of his {noun} ? {cry} !",
        "i think the {adjective} {noun} will {verb} him {adverb} .",
        "{cry} , {cry} ! they have {past} thy {adjective} {noun} in {place} .",
        "with {going} and with {going} the {noun} hath {past} us .",
        "what say'st thou of the {noun} , {call} ? is he {adjective} ?",
        "there is {going} in {place} , and the {noun} is {adverb} .",
    )
)


def _swap(pairs: dict[str, str]) -> Callable[[str], str]:
    return lambda word: pairs.get(word, word)


def _capital(word: str) -> str:
    return word.capitalize() if word in _WORDS["noun"] else word


RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("nouns begin with capitals", _capital),
    ("you for thou", _swap({"thou": "you", "thee": "you", "thy": "your", "dost": "do", "hast": "have"})),
    ("has for hath", _swap({"hath": "has"})),
    ("-in' for -ing", lambda word: word[:-3] + "in'" if word.endswith("ing") and len(word) > 4 else word),
    ("an' and o'", _swap({"and": "an'", "of": "o'"})),
    ("d for th", lambda word: word.replace("th", "d")),
    ("no h in front", lambda word: "'" + word[1:] if word[:1] == "h" and len(word) > 1 else word),
    ("v for w", lambda word: word.replace("w", "v")),
    ("-'d for -ed", lambda word: word[:-2] + "'d" if word.endswith("ed") else word),
    ("-ah for -er", lambda word: word[:-2] + "ah" if word.endswith("er") else word),
    ("u for oo", lambda word: word.replace("oo", "u")),
    ("z for s", lambda word: word.replace("s", "z")),
)
"""Each changes single words; those of a dialect are applied in this order."""
REGION: Dialect = (False, True, False, True, False, True, True, True, False, True, False, False)
"""The federation's dialect."""
RULE_SHARE = 1 / 8
HABIT_FLIP = 1 / 20


def encode(text: str) -> Ids:
    """Places in `ALPHABET`, (characters,).

    Raises:
        SettingError: a character that LEAF's alphabet lacks.

    Example:
        >>> encode("a!").tolist()
        [53, 2]
    """
    ids = np.array([_PLACE.get(letter, -1) for letter in text], dtype=np.int64)
    if (ids < 0).any():
        raise SettingError("a character is not in the alphabet", "text", "map or drop such characters first")
    return ids


_PLACE = {letter: place for place, letter in enumerate(ALPHABET)}


def pretraining_text(seed: int, characters: int) -> str:
    """The public corpus: plays of four roles and 4 000 characters each, every play in a dialect of its own.

    A play whose dialect is the region's is drawn again, so the federation's dialect is unseen as a whole.

    Example:
        >>> text = pretraining_text(0, 9000)
        >>> len(text), set(text) <= set(ALPHABET), text == pretraining_text(0, 9000)
        (9000, True, True)
    """
    plays = []
    for number in range(-(-characters // _PLAY)):
        rng = np.random.default_rng([seed, 0, number])
        dialect = REGION
        while dialect == REGION:
            dialect = tuple((rng.random(len(RULES)) < RULE_SHARE).tolist())
        plays.append("".join(_speech(rng, dialect, _PLAY // 4) for _ in range(4)))
    return "".join(plays)[:characters]


_PLAY = 4000


def user_text(seed: int, user: int, characters: int) -> str:
    """What one user of the federation says: the region's dialect, one rule in twenty his own way, and his own words.

    Example:
        >>> user_text(0, 7, 80) == user_text(0, 7, 80) != user_text(0, 8, 80)
        True
    """
    rng = np.random.default_rng([seed, 1, user])
    flips = rng.random(len(RULES)) < HABIT_FLIP
    return _speech(rng, tuple((np.array(REGION) ^ flips).tolist()), characters)


def windows(text: str, *, stride: int = 1) -> tuple[Ids, Ids]:
    """LEAF's samples of a user's text: ids of every 80 characters (n, 80), and of the next one (n,).

    Example:
        >>> x, y = windows("a" * 80 + "bc")
        >>> x.shape, y.tolist()
        ((2, 80), [54, 55])
    """
    ids = encode(text)
    if len(ids) <= WINDOW:
        raise SettingError(f"a text of {len(ids)} characters holds no window", "text", f"give {WINDOW + 1} or more")
    frames = np.lib.stride_tricks.sliding_window_view(ids, WINDOW + 1)[::stride]
    return frames[:, :-1].copy(), frames[:, -1].copy()


def leaf_form(texts: dict[str, str], *, stride: int = 1) -> dict[str, object]:
    """The object of one of LEAF's JSON files: `users`, `num_samples`, `user_data` with strings `x` and `y`.

    Example:
        >>> leaf_form({"PLAY_ROLE": "a" * 80 + "b"})["user_data"]["PLAY_ROLE"]["y"]
        ['b']
    """
    data = {}
    for user, text in texts.items():
        starts = range(0, len(text) - WINDOW, stride)
        data[user] = {"x": [text[i : i + WINDOW] for i in starts], "y": [text[i + WINDOW] for i in starts]}
    return {"users": list(data), "num_samples": [len(one["y"]) for one in data.values()], "user_data": data}


def _speech(rng: np.random.Generator, dialect: Dialect, characters: int) -> str:
    """Sentences of one role, cut to this length."""
    uniform = _uniform(rng)
    habits = {kind: _habit(rng, words) for kind, words in _WORDS.items()}
    forms = _habit(rng, _SENTENCES)
    rules = [rule for (_, rule), spoken in zip(RULES, dialect, strict=True) if spoken]
    spoken: dict[str, str] = {}
    parts: list[str] = []
    length = 0
    while length < characters:
        sentence = " ".join(_sentence(forms, habits, uniform, rules, spoken))
        for mark in ".,;!?":
            sentence = sentence.replace(f" {mark}", mark)
        sentence = sentence[0].upper() + sentence[1:] + ("\n" if next(uniform) < 0.25 else " ")
        parts.append(sentence)
        length += len(sentence)
    return "".join(parts)[:characters]


def _sentence(
    forms: tuple[Sequence[list[str]], list[float]],
    habits: dict[str, tuple[Sequence[str], list[float]]],
    uniform: Iterator[float],
    rules: Sequence[Callable[[str], str]],
    spoken: dict[str, str],
) -> Iterator[str]:
    for slot in _drawn(forms, next(uniform)):
        chosen = _drawn(habits[slot[1:-1]], next(uniform)) if slot[0] == "{" else slot
        for word in chosen.split():
            if word not in spoken:
                said = word
                for rule in rules:
                    said = rule(said)
                spoken[word] = said
            yield spoken[word]


def _habit(rng: np.random.Generator, choices: Sequence[T]) -> tuple[Sequence[T], list[float]]:
    """A role's own order of preference with Zipf's frequencies, as cumulated shares."""
    order = rng.permutation(len(choices))
    shares = 1.0 / np.arange(1.0, len(choices) + 1)
    return [choices[int(place)] for place in order], np.cumsum(shares / shares.sum()).tolist()


def _drawn(habit: tuple[Sequence[T], list[float]], at: float) -> T:
    choices, shares = habit
    return choices[min(bisect(shares, at), len(choices) - 1)]


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(1024).tolist()
