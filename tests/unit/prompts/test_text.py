"""Generated text: LEAF's form, one seed one text, and differences between users that can be learned."""

import json

import numpy as np
import pytest

from secure_fedmeta.errors import SettingError
from secure_fedmeta.prompts.text import (
    ALPHABET,
    REGION,
    RULES,
    WINDOW,
    encode,
    heading,
    leaf_form,
    plays,
    user_text,
    windows,
)


def test_the_alphabet_is_leafs():
    assert len(ALPHABET) == len(set(ALPHABET)) == 80
    assert ALPHABET.startswith("\n !\"&'(),-.0123456789:;>?A") and ALPHABET.endswith("Z[]abcdefghijklmnopqrstuvwxyz}")


def test_one_seed_one_text_and_users_do_not_depend_on_each_other():
    assert plays(3, 4)[:2] == plays(3, 2)
    assert plays(3, 2) != plays(4, 2)
    alone = user_text(3, 17, 400)
    user_text(3, 16, 400)
    assert user_text(3, 17, 400) == alone != user_text(4, 17, 400)
    assert user_text(3, 17, 1000)[:400] == alone


def test_the_corpus_never_speaks_the_regions_dialect_and_users_mostly_do():
    corpus = plays(0, 250, characters=100)
    assert all(play.dialect != REGION for play in corpus)
    rules = np.array([play.dialect for play in corpus]).mean(axis=0)
    assert (rules > 0.15).all() and (rules < 0.35).all()
    said = "".join(user_text(0, user, 600) for user in range(40))
    assert said.count(" de ") > 3 * said.count(" the ") > 0


def test_each_rule_changes_a_word_and_no_rule_leaves_the_alphabet():
    probe = ["sword", "hath", "thou", "singing", "and", "loved", "mother", "hollow", "good", "hear", "castle"]
    for name, rule in RULES:
        changed = [rule(word) for word in probe]
        assert changed != probe, name
        assert set("".join(changed)) <= set(ALPHABET)


def test_headings_tell_all_dialects_apart():
    marks = {tuple(heading(tuple(bool(number >> bit & 1) for bit in range(12)))) for number in range(4096)}
    assert len(marks) == 4096


def test_leafs_form():
    text = user_text(0, 1, 200)
    made = leaf_form({"HAMLET_GHOST": text, "HAMLET_YORICK": text[:81]})
    assert json.loads(json.dumps(made)) == made
    assert made["users"] == ["HAMLET_GHOST", "HAMLET_YORICK"] and made["num_samples"] == [120, 1]
    one = made["user_data"]["HAMLET_GHOST"]
    x, y = windows(text)
    assert x.shape == (120, WINDOW) and y.shape == (120,)
    for place in (0, 57, 119):
        assert one["x"][place] == text[place : place + 80] and one["y"][place] == text[place + 80]
        assert x[place].tolist() == encode(one["x"][place]).tolist() and y[place] == ALPHABET.index(one["y"][place])
    assert len(windows(text, stride=7)[1]) == len(leaf_form({"a": text}, stride=7)["user_data"]["a"]["y"]) == 18


@pytest.mark.parametrize("text", ["a" * 80, ""])
def test_too_short_for_a_window(text):
    with pytest.raises(SettingError, match="holds no window"):
        windows(text)


def test_foreign_characters_are_refused():
    with pytest.raises(SettingError, match="alphabet"):
        encode("naïve")
