"""A class's round is a real one: its sum is exact, its wire is the protocol's, and a liar gains nothing."""

import numpy as np
import pytest

from fedmeta_crypto.wire import MessageType
from secure_fedmeta.teaching.pictures import curves, heat_maps, histograms, sequence
from secure_fedmeta.teaching.rounds import between, watch_round

INPUTS = {i: (np.arange(6) * i + i).astype(np.uint32) for i in (1, 2, 3, 4, 5)}


@pytest.mark.parametrize("strength", ["malicious", "semi-honest"])
def test_sums_are_exact_and_uploads_look_random(strength):
    done = watch_round(INPUTS, strength=strength)
    assert done.total.tolist() == sum(INPUTS.values()).tolist() and done.ended == ""
    uploads = np.array(list(done.uploads.values()))
    assert len(np.unique(uploads)) == uploads.size and (uploads > 2**24).mean() > 0.9
    assert (uploads.sum(axis=0) % 2**32 != done.total).any()  # self-masks are still in them


@pytest.mark.parametrize("when", ["keys", "shares", "mask", "agree", "unmask"])
def test_one_who_leaves_does_not_stop_the_round(when):
    done = watch_round(INPUTS, silent={3: when})
    kept = [i for i in INPUTS if i != 3 or when in ("agree", "unmask")]
    assert done.survivors == tuple(kept)
    assert done.total.tolist() == sum(INPUTS[i] for i in kept).tolist()


def test_too_many_who_leave_end_it_without_a_sum():
    done = watch_round(INPUTS, silent={3: "mask", 4: "mask"})
    assert done.total is None and "TooFewSurvivors" in done.ended


@pytest.mark.parametrize("kind", [MessageType.ROSTER, MessageType.DELIVERY, MessageType.SURVIVORS])
def test_whatever_the_server_changes_its_reader_refuses(kind):
    def bend(which, to, message):
        changed = bytearray(message)
        if which is kind and to == 2:
            changed[len(changed) // 2] ^= 1
        return bytes(changed)

    done = watch_round(INPUTS, tamper=bend)
    assert "SFM-2" in done.refusals[2]
    assert done.total is None or 2 not in done.survivors or kind is MessageType.SURVIVORS


def test_messages_are_noted_with_their_sizes():
    done = watch_round(INPUTS)
    mine = between(done.messages, 1)
    assert [m.name for m in mine if m.sender == 1] == [
        "public keys", "sealed shares", "masked vector", "I sign the survivors", "one share each",
    ]  # fmt: skip
    assert all(m.size > 50 for m in mine)


def test_pictures_carry_their_words():
    done = watch_round(INPUTS)
    made = [
        heat_maps({"a": np.eye(3)}, 'a "quoted" identity'),
        sequence(done.messages, "a round"),
        curves([1, 10], {"a": [1, 2], "b": [2, 1]}, "two lines", labels=("x", "y"), xscale="log", limit=1.5),
        histograms({"a": [1, 2], "b": [2, 3]}, "two heaps"),
    ]
    for picture in made:
        assert picture.png.startswith(b"\x89PNG") and repr(picture).startswith("[picture: ")
        assert 'alt="' in picture._repr_html_() and "<script" not in picture._repr_html_()
    assert "&quot;quoted&quot;" in made[0]._repr_html_()
