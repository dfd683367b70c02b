# SPDX-License-Identifier: Apache-2.0
"""An advertisement that its owner did not sign, sent to the server or shown by it: no share leaves for it."""

import pytest
from crypto_rounds import Rehearsal, identity_of, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import BadKey, BadSignature, InconsistentRoster
from fedmeta_crypto.keys import KeyPair
from fedmeta_crypto.messages import KeyAdvertisement, Roster
from fedmeta_crypto.wire import Header, content_digest, frame, statement


def roster_with(rehearsal, changes):
    """The server's roster with rows replaced, under the server's own good signature."""
    roster = read_as(Roster, rehearsal.inbox[3], signed=True)
    rows = {id_: (advert, sig) for (id_, advert), sig in zip(roster.entries, roster.signatures, strict=True)} | changes
    entries = tuple((id_, advert) for id_, (advert, _) in sorted(rows.items()))
    return signed_by(SERVER, Roster(entries, tuple(sig for _, (_, sig) in sorted(rows.items()))), rehearsal)


@pytest.fixture
def ready():
    return Rehearsal(signed_plan(4)).until(Phase.SHARE_KEYS)


@pytest.fixture
def evil():
    return KeyAdvertisement(KeyPair(b"e" * 32).public, KeyPair(b"f" * 32).public, bytes(32))


def refuses(ready, message, error, match):
    with pytest.raises(error, match=match):
        ready.clients[3].receive(message)
    ready.share().deliver().mask().agree().unmask()  # nothing changed: the honest roster still works
    assert ready.opened.total.tolist() == ready.client_sums().tolist()


def test_the_server_puts_its_own_keys_in(ready, evil):
    old = dict(zip((3, 13, 23, 33), read_as(Roster, ready.inbox[3], signed=True).signatures, strict=True))
    refuses(ready, roster_with(ready, {13: (evil, old[13])}), BadSignature, "13 did not sign")


def test_signed_by_the_server_or_by_another_client(ready, evil):
    for signer in (SERVER, 23):
        header = Header(KeyAdvertisement.TYPE, ready.server.session, 1, 13)
        words = statement(header, size=96, content=content_digest(evil.payload()))
        message = roster_with(ready, {13: (evil, identity_of(signer).sign(words))})
        with pytest.raises(BadSignature, match="13 did not sign"):
            ready.clients[3].receive(message)


def test_one_signature_bit(ready):
    roster = read_as(Roster, ready.inbox[3], signed=True)
    bent = bytearray(roster.signatures[1])
    bent[5] ^= 1
    refuses(ready, roster_with(ready, {13: (roster.entries[1][1], bytes(bent))}), BadSignature, "13")


def test_a_colluder_copies_anothers_key_and_signs_it(ready):
    roster = dict(read_as(Roster, ready.inbox[3], signed=True).entries)
    copied = KeyAdvertisement(roster[13].cipher_public, roster[23].mask_public, bytes(32))
    header = Header(KeyAdvertisement.TYPE, ready.server.session, 1, 23)
    words = statement(header, size=96, content=content_digest(copied.payload()))
    refuses(ready, roster_with(ready, {23: (copied, identity_of(23).sign(words))}), BadKey, "twice")


def test_my_own_advertisement_altered(ready, evil):
    refuses(ready, roster_with(ready, {3: (evil, bytes(64))}), InconsistentRoster, "altered")


def test_the_server_takes_none_that_is_not_signed_by_its_sender(evil):
    rehearsal = Rehearsal(signed_plan(4))
    for author in (23, SERVER):
        forged = frame(
            Header(KeyAdvertisement.TYPE, rehearsal.server.session, 1, 13), evil.payload(), identity_of(author).sign
        )
        with pytest.raises(BadSignature):
            rehearsal.server.receive(forged, sender=13)
    rehearsal.advertise().share().deliver().mask().agree().unmask()
    assert rehearsal.opened.survivors == rehearsal.parameters.cohort
