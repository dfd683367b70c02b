# SPDX-License-Identifier: Apache-2.0
"""Signing keys show nothing, lists refuse what is weak or twice, and frames carry one signature or none."""

import copy
import pickle

import pytest

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import BadArgument, BadMessage, BadSignature, Truncated, Unsupported
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.wire import Header, MessageType, content_digest, frame, signature_of, statement, unframe

SECRETS = [bytes([i]) * 32 for i in range(1, 5)]
SERVER_ID, ONE, TWO, THREE = map(Identity, SECRETS)
P = 2**255 - 19


def test_a_secret_is_never_shown():
    for secret, identity in zip(SECRETS, (SERVER_ID, ONE, TWO, THREE), strict=True):
        assert secret.hex() not in repr(identity) + str(identity) + str(vars(type(identity)))
        for clone in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="copied"):
                clone(identity)
    secret = b"an identity of another length, secret"
    with pytest.raises(BadArgument) as caught:
        Identity(secret)
    assert "another" not in str(caught.value) + repr(vars(caught.value))


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33), "0" * 32, None, 32])
def test_secrets_of_impossible_form(secret):
    with pytest.raises(BadArgument):
        Identity(secret)


@pytest.mark.parametrize(
    "clients",
    [
        {1: ONE.public, 2: ONE.public},
        {1: SERVER_ID.public},
        {SERVER: ONE.public},
        {-1: ONE.public},
        {2**32: ONE.public},
        {"1": ONE.public},
        {1: b""},
        {1: ONE.public + b"\0"},
        {1: ONE.public.hex()},
        {1: bytearray(ONE.public)},
    ],
)
def test_lists_of_impossible_form(clients):
    with pytest.raises(BadArgument):
        AllowList(SERVER_ID.public, clients)


@pytest.mark.parametrize("sign", [0, 2**255])
@pytest.mark.parametrize("y", [0, 1, P - 1, P, P + 1, 2**255 - 1])
def test_weak_keys(y, sign):
    weak = (y + sign).to_bytes(32, "little")
    for server, clients in ((weak, {}), (SERVER_ID.public, {1: weak})):
        with pytest.raises(BadArgument, match="weak"):
            AllowList(server, clients)


@pytest.mark.parametrize("tail", ["05", "85"])
def test_weak_keys_of_order_eight(tail):
    for head in ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc",):
        with pytest.raises(BadArgument, match="weak"):
            AllowList(bytes.fromhex(head + tail), {})


def test_who_is_listed():
    people = AllowList(SERVER_ID.public, {1: ONE.public, 2: TWO.public})
    assert 1 in people and 3 not in people and SERVER in people and repr(people) == "AllowList(2 clients)"
    assert people.public(2) == TWO.public and people.public(3) is None
    assert people.verify(SERVER, b"x", SERVER_ID.sign(b"x"))
    assert not people.verify(2, b"x", ONE.sign(b"x")) and not people.verify(3, b"x", THREE.sign(b"x"))
    assert not people.verify(1, b"x", b"") and not people.verify(1, b"x", bytes(64))


def test_the_digest_names_every_key_and_the_server():
    people = AllowList(SERVER_ID.public, {1: ONE.public, 2: TWO.public})
    longer = AllowList(SERVER_ID.public, {1: ONE.public, 2: TWO.public, 3: THREE.public})
    assert people.digest((1, 2)) == longer.digest((1, 2)) != longer.digest((1, 2, 3))
    others = (
        AllowList(THREE.public, {1: ONE.public, 2: TWO.public}),
        AllowList(SERVER_ID.public, {1: TWO.public, 2: ONE.public}),
        AllowList(SERVER_ID.public, {1: ONE.public, 2: THREE.public}),
    )
    assert len({other.digest((1, 2)) for other in (people, *others)}) == 4


HEADER = Header(MessageType.ADVERTISEMENT, b"s" * 32, 7, 1)


def test_a_frame_carries_its_signature():
    message = frame(HEADER, b"payload", ONE.sign)
    header, payload = unframe(message, sender=1, max_bytes=1000, signed=True)
    people = AllowList(SERVER_ID.public, {1: ONE.public})
    words = statement(header, size=len(payload), content=content_digest(payload))
    assert header == HEADER and bytes(payload) == b"payload"
    assert people.verify(1, words, signature_of(message))


def test_a_statement_names_everything():
    def of(size=7, content=b"c" * 32, **changes):
        return statement(HEADER._replace(**changes), size=size, content=content)

    changed = [
        of(),
        of(size=8),
        of(content=b"d" * 32),
        of(type=MessageType.SHARES),
        of(session=b"t" * 32),
        of(round=8),
        of(sender=2),
    ]
    assert len(set(changed)) == len(changed)


def test_trailers_of_the_wrong_length():
    plain, signed = frame(HEADER, b"payload"), frame(HEADER, b"payload", ONE.sign)
    longer = frame(HEADER, b"payload", lambda words: ONE.sign(words) + b"\0")
    for message, demanded, error in (
        (signed, False, Unsupported),
        (plain, True, BadSignature),
        (longer, True, BadSignature),
        (signed[:-1], True, Truncated),
        (signed + b"\0", True, BadMessage),
        (plain + bytes(64), True, BadSignature),
    ):
        with pytest.raises(error):
            unframe(message, sender=1, max_bytes=1000, signed=demanded)
