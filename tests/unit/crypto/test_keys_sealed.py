# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from fedmeta_crypto import keys, sealed
from fedmeta_crypto.errors import BadKey

S = bytes(32)


def test_zero_agreement_is_refused():
    with pytest.raises(BadKey):
        keys.KeyPair(os.urandom(32)).agree(bytes(32), peer=5)


@pytest.mark.parametrize("u", sorted(keys._LOW_ORDER))
def test_every_listed_low_order_point_gives_zero(u):
    with pytest.raises(BadKey):
        keys.KeyPair(os.urandom(32)).agree(u.to_bytes(32, "little"), peer=5)
    with pytest.raises(BadKey):
        keys.check_public(u.to_bytes(32, "little"), sender=5, where="test")


def test_keys_differ_in_everything_they_are_bound_to():
    base = {"session": S, "behaviour_hash": S, "publics": (b"a" * 32, b"b" * 32)}
    prk = b"p" * 32
    made = {
        keys.pair_mask_key(prk, **base),
        keys.pair_mask_key(prk, **(base | {"session": b"s" * 32})),
        keys.pair_mask_key(prk, **(base | {"behaviour_hash": b"s" * 32})),
        keys.pair_mask_key(prk, **(base | {"publics": (b"a" * 32, b"c" * 32)})),
        keys.pair_mask_key(b"q" * 32, **base),
        keys.self_mask_key(prk, session=S),
        keys.commitment(prk, session=S)[:16],
    }
    assert len(made) == 7
    mirrored = base | {"publics": base["publics"][::-1]}
    assert keys.pair_mask_key(prk, **mirrored) in made  # both ends derive the same key


def test_each_direction_has_its_own_key():
    one, two = (b"a" * 32, b"\x01\0\0\0"), (b"b" * 32, b"\x02\0\0\0")
    there, back = keys.seal_keys(S, session=S, mine=one, theirs=two)
    assert there != back and len(there) == len(back) == 32
    assert keys.seal_keys(S, session=S, mine=two, theirs=one) == (back, there)  # both ends agree which is which


def test_seal_keys_differ_in_everything_they_are_bound_to():
    base = {"session": S, "mine": (b"a" * 32, b"\x01\0\0\0"), "theirs": (b"b" * 32, b"\x02\0\0\0")}
    changes = (
        {},
        {"session": b"s" * 32},
        {"mine": (b"c" * 32, b"\x01\0\0\0")},
        {"mine": (b"a" * 32, b"\x03\0\0\0")},
        {"theirs": (b"c" * 32, b"\x02\0\0\0")},
        {"theirs": (b"b" * 32, b"\x03\0\0\0")},
    )
    made = [key for change in changes for key in keys.seal_keys(S, **(base | change))]
    made += keys.seal_keys(b"q" * 32, **base)
    assert len(set(made)) == len(made) == 14


def test_a_box_opens_only_where_it_was_sent():
    key, text = os.urandom(32), os.urandom(75)
    box = sealed.seal(key, text, b"here")
    assert sealed.open_sealed(key, box, b"here") == text
    assert sealed.open_sealed(key, box, b"there") is None
    assert sealed.open_sealed(os.urandom(32), box, b"here") is None
    assert sealed.open_sealed(key, b"", b"here") is None
    assert sealed.open_sealed(key, box[:-1], b"here") is None


def test_typed_secrets():
    shares = (b"\x01\x00" * 16 + b"\0\0", b"\x02\x00" * 16 + b"\0\0")
    text = sealed.pack_secrets(shares)
    assert sealed.unpack_secrets(text) == shares and len(text) + 16 == sealed.BOX_BYTES
    for at, value in (
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 33),
        (4 + 32, 1),
    ):  # count, kind, kind, size, a word of 65537
        assert sealed.unpack_secrets(text[:at] + bytes([value]) + text[at + 1 :]) is None
    assert sealed.unpack_secrets(text[:-1]) is None and sealed.unpack_secrets(b"") is None
