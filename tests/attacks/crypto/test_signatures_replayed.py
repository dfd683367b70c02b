# SPDX-License-Identifier: Apache-2.0
"""A signature made for one message, round or session is worth nothing on another."""

import pytest
from crypto_rounds import Rehearsal, identity_of, signed_plan

from fedmeta_crypto import SERVER, Phase, ProtocolError
from fedmeta_crypto.errors import BadSignature
from fedmeta_crypto.wire import SIGNATURE_BYTES, signature_of

PHASES = {
    1: Phase.ADVERTISE_KEYS,
    3: Phase.SHARE_KEYS,
    5: Phase.MASK_INPUT,
    7: Phase.CONSISTENCY,
    9: Phase.UNMASK,
}


def finished(**changes):
    rehearsal = Rehearsal(signed_plan(4, **changes)).until(Phase.UNMASK)
    rehearsal.unmask()
    return rehearsal


def with_signature(message, signature):
    return message[:-SIGNATURE_BYTES] + signature


@pytest.mark.parametrize("number", PHASES)
def test_clients_messages(number):
    """Honest bytes of other sessions, and honest contents under signatures made for something else."""
    rehearsal = Rehearsal(signed_plan(4)).until(PHASES[number])
    reference = finished()  # the same entropy: the same bytes as the rehearsal's
    honest = reference.sent[number, 3]
    for other in (finished(round_=2), finished(server_nonce=b"n" * 32)):
        with pytest.raises(ProtocolError):
            rehearsal.server.receive(other.sent[number, 3], sender=3)
        with pytest.raises(BadSignature):
            rehearsal.server.receive(with_signature(honest, signature_of(other.sent[number, 3])), sender=3)
    for (kind, author), message in reference.sent.items():
        if (kind, author) != (number, 3):
            with pytest.raises(BadSignature):
                rehearsal.server.receive(with_signature(honest, signature_of(message)), sender=3)
    rehearsal.server.receive(honest, sender=3)


@pytest.mark.parametrize("phase", [Phase.SHARE_KEYS, Phase.MASK_INPUT, Phase.CONSISTENCY, Phase.UNMASK])
def test_servers_messages(phase):
    def at(**changes):
        rehearsal = Rehearsal(signed_plan(4, **changes)).until(Phase.SHARE_KEYS)
        if phase is not Phase.SHARE_KEYS:
            rehearsal.share()
        if phase in (Phase.CONSISTENCY, Phase.UNMASK):
            rehearsal.deliver().mask()
        return rehearsal.agree() if phase is Phase.UNMASK else rehearsal

    rehearsal, other = at(), at(round_=2)
    honest = rehearsal.inbox[3]
    with pytest.raises(ProtocolError):
        rehearsal.clients[3].receive(other.inbox[3])
    with pytest.raises(BadSignature):
        rehearsal.clients[3].receive(with_signature(honest, signature_of(other.inbox[3])))
    rehearsal.clients[3].receive(honest)


def test_announcement_signed_by_another():
    rehearsal = Rehearsal(signed_plan(4))
    m0 = rehearsal.inbox[3]
    client = rehearsal.clients[3]
    for signature in (
        bytes(64),
        signature_of(Rehearsal(signed_plan(4, round_=2)).inbox[3]),
        identity_of(13).sign(b"x"),
    ):
        with pytest.raises(BadSignature):
            rehearsal.client(3, with_signature(m0, signature), entropy=client._entropy)


def test_announcement_by_a_client():
    rehearsal = Rehearsal(signed_plan(4))
    forged = rehearsal.parameters.to_message(identity_of(13).sign)
    with pytest.raises(BadSignature) as caught:
        rehearsal.client(3, forged, entropy=rehearsal.clients[3]._entropy)
    assert caught.value.sender == SERVER
