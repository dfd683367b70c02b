# SPDX-License-Identifier: Apache-2.0
"""The server swaps, copies, weakens or forges public keys in the roster; a client copies another's."""

from dataclasses import replace

import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import BadKey, InconsistentRoster, PeerProtocolError
from fedmeta_crypto.messages import KeyAdvertisement, Roster
from fedmeta_crypto.wire import Header, MessageType, frame

P = 2**255 - 19


def roster_with(rehearsal, change):
    entries = dict(rehearsal.server._adverts)
    change(entries)
    header = Header(MessageType.ROSTER, rehearsal.server.session, 1, SERVER)
    return frame(header, Roster(tuple(sorted(entries.items()))).payload())


def swap_mine(entries):
    entries[3] = replace(entries[3], mask_public=b"\x09" + bytes(31))


def swap_my_commitment(entries):
    entries[3] = replace(entries[3], commitment=bytes(32))


def leave_me_out(entries):
    del entries[3]


def add_a_sybil(entries):
    del entries[23]
    entries[999] = KeyAdvertisement(b"\x09" + bytes(31), b"\x10" + bytes(31), bytes(32))


def too_few(entries):
    del entries[13], entries[23]


@pytest.mark.parametrize("change", [swap_mine, swap_my_commitment, leave_me_out, add_a_sybil, too_few])
def test_inconsistent_roster(change):
    rehearsal = Rehearsal().advertise()
    client = rehearsal.clients[3]
    with pytest.raises(InconsistentRoster):
        client.receive(roster_with(rehearsal, change))
    rehearsal.share()  # the honest roster is still taken


def copy(entries):
    entries[23] = replace(entries[23], mask_public=entries[13].cipher_public)


def set_key(u):
    def change(entries):
        entries[23] = replace(entries[23], cipher_public=u.to_bytes(32, "little"))

    return change


@pytest.mark.parametrize("change", [copy, *(set_key(u) for u in (0, 1, P - 1, P, P + 1, 2**255 + 9, 2**256 - 1))])
def test_weak_or_copied_keys(change):
    rehearsal = Rehearsal().advertise()
    with pytest.raises(BadKey):
        rehearsal.clients[3].receive(roster_with(rehearsal, change))


def test_server_refuses_a_copied_or_weak_key_at_once():
    rehearsal = Rehearsal()
    stolen = rehearsal.clients[3].advertise_keys().send[0].message
    rehearsal.server.receive(stolen, sender=3)
    theirs = rehearsal.server._adverts[3]
    header = Header(MessageType.ADVERTISEMENT, rehearsal.server.session, 1, 13)
    own = rehearsal.clients[13].advertise_keys().send[0].message
    for advert in (
        theirs,
        KeyAdvertisement(b"\x09" + bytes(31), b"\x09" + bytes(31), bytes(32)),
        KeyAdvertisement(bytes(32), b"\x09" + bytes(31), bytes(32)),
    ):
        with pytest.raises(PeerProtocolError) as caught:
            rehearsal.server.receive(frame(header, advert.payload()), sender=13)
        assert isinstance(caught.value, BadKey)
    rehearsal.server.receive(own, sender=13)


def test_a_key_swapped_in_one_view_breaks_the_sum_of_nobody():
    """Without signatures a forged peer key is not seen, but the share meant for the peer does not open."""
    rehearsal = Rehearsal(n=4, threshold=3, min_survivors=4).advertise()
    forged = roster_with(rehearsal, set_key(9))
    rehearsal.inbox[3] = forged
    rehearsal.share()
    events = rehearsal.clients[13].receive(rehearsal.inbox[13]).events
    assert len(events) == 1
    with pytest.raises(Exception, match="SFM-251"):
        rehearsal.clients[23].receive(rehearsal.inbox[23])
