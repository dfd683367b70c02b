# SPDX-License-Identifier: Apache-2.0
"""Generated text in the form of LEAF's Shakespeare data: roles, windows of 80 characters, the next character.

This is *no* Shakespeare and nobody's speech: sentences are drawn from a small grammar, so that figures on it say how
methods compare, not how well they do on real text. What it has in common with the data set is the form (alphabet of
80 characters, one user a role, window and next character; Caldas et al. 2018, arXiv 1812.01097v3) and two kinds of
difference between users:

- a *dialect*: a subset of twelve rules of spelling ("the" to "de", "-ing" to "-in'", ...). A play of the pre-training
  corpus follows each rule with probability one quarter, all its roles alike, and has a *heading*: a mark for each rule
  that it follows, as printed plays tell place and persons (control codes: Keskar et al. 2019, arXiv 1909.05858v2). The
  users of a federation share one region's dialect of six rules, which no play of the corpus has, each with a few rules
  of his own. What they say has no heading, and nobody knows the marks: they are what a prompt has to find.
- *habits*: every role prefers its own words. Those of one region prefer much the same ones.

Everything follows from a seed.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    kind: tuple(words.replace("\n", ", ").split(", "))
    for kind, words in {
        "noun": """king, queen, crown, sword, heart, night, morning, father, mother, brother, daughter, wood, river
castle, throne, battle, honour, sorrow, wind, water, fire, winter, summer, soldier, prince, letter, window, hand, word
book, horse, kitchen, weather, thing, feather, hall, wall, moon, harbour, lover, singing, mourning, stranger, master""",
        "verb": """love, hear, follow, swear, wash, watch, answer, remember, bring, hold, wander, gather, question
weep, kill, crown, sing, think, hate, walk, visit, leave, honour, bury, forgive, carry""",
        "past": """loved, heard, washed, watched, answered, remembered, wandered, gathered, questioned, killed, crowned
hated, walked, visited, buried, carried, honoured, followed""",
        "going": """loving, hearing, washing, watching, answering, wandering, gathering, weeping, killing, singing
thinking, walking, leaving, burying, carrying, swearing, holding""",
        "adjective": """good, old, young, hollow, weary, whole, heavy, high, wooden, bitter, golden, other, royal
tender, summer, wicked, humble, cool, shooting, looming, soft, silver, winter""",
        "adverb": "here, there, never, ever, soon, together, hardly, softly, now, whither, hence",
        "place": "this house, the wood, the hall, the harbour, that wall, the water, the field, her window",
        "call": "my lord, good sir, sweet mother, brother, my king, master, old friend, lady",
        "cry": "alas, hark, what, ho, away, peace, oh, well",
    }.items()
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
RULE_SHARE = 1 / 4
HABIT_FLIP = 1 / 20
OWN_TASTE = 0.25
"""How far a user's order of preference strays from his region's: 0 not at all, 1 about as far as anybody's."""


@dataclass(frozen=True, slots=True)
class Play:
    """One play: what its four roles say, one after the other, in this dialect."""

    dialect: Dialect
    text: str


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


def plays(seed: int, count: int, *, characters: int = 1000) -> list[Play]:
    """The public corpus. A play in the region's dialect is drawn again: as a whole it stays unseen.

    Example:
        >>> one, other = plays(0, 2)
        >>> len(one.text), set(one.text) <= set(ALPHABET), [one, other] == plays(0, 2), one == other
        (1000, True, True, False)
    """
    made = []
    for number in range(count):
        rng = np.random.default_rng([seed, 0, number])
        dialect = REGION
        while dialect == REGION:
            dialect = tuple((rng.random(len(RULES)) < RULE_SHARE).tolist())
        text = "".join(_speech(rng, dialect, _own_taste(rng), -(-characters // 4)) for _ in range(4))
        made.append(Play(dialect, text[:characters]))
    return made


def heading(dialect: Dialect) -> Ids:
    """The marks of a dialect, (12,): a, b, c, ... for the rules that are followed, a blank for each other one.

    Example:
        >>> "".join(ALPHABET[place] for place in heading(REGION))
        ' b d fgh j  '
    """
    return encode("".join(chr(ord("a") + place) if spoken else " " for place, spoken in enumerate(dialect)))


def user_text(seed: int, user: int, characters: int) -> str:
    """What one user of the federation says: region's dialect and taste, one rule in twenty and some words his own way.

    Example:
        >>> user_text(0, 7, 80) == user_text(0, 7, 80) != user_text(0, 8, 80)
        True
    """
    shared, rng = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2, user])
    common, own = _own_taste(shared), _own_taste(rng)
    taste = {kind: (1 - OWN_TASTE) * common[kind] + OWN_TASTE * own[kind] for kind in common}
    flips = rng.random(len(RULES)) < HABIT_FLIP
    return _speech(rng, tuple((np.array(REGION) ^ flips).tolist()), taste, characters)


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


Taste = dict[str, NDArray[np.float64]]


def _own_taste(rng: np.random.Generator) -> Taste:
    """A number for each word and form of sentence; the smaller, the dearer."""
    return {kind: rng.random(len(words)) for kind, words in _WORDS.items()} | {"": rng.random(len(_SENTENCES))}


def _speech(rng: np.random.Generator, dialect: Dialect, taste: Taste, characters: int) -> str:
    """Sentences of one role, cut to this length."""
    uniform = _uniform(rng)
    habits = {kind: _habit(taste[kind], words) for kind, words in _WORDS.items()}
    forms = _habit(taste[""], _SENTENCES)
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


def _habit(taste: NDArray[np.float64], choices: Sequence[T]) -> tuple[Sequence[T], list[float]]:
    """Choices in order of preference with Zipf's frequencies, as cumulated shares."""
    order = np.argsort(taste, kind="stable")
    shares = 1.0 / np.arange(1.0, len(choices) + 1)
    return [choices[int(place)] for place in order], np.cumsum(shares / shares.sum()).tolist()


def _drawn(habit: tuple[Sequence[T], list[float]], at: float) -> T:
    choices, shares = habit
    return choices[min(bisect(shares, at), len(choices) - 1)]


def _uniform(rng: np.random.Generator) -> Iterator[float]:
    while True:
        yield from rng.random(1024).tolist()
