# SPDX-License-Identifier: Apache-2.0
"""The clear coordinates of an upload are changed, swapped, cut or left out: refused, and the sum is exact."""

import numpy as np
import pytest
from crypto_rounds import sum_of
from selective_rounds import SelectiveRehearsal, SelectiveSplitRehearsal, selection_of

from fedmeta_crypto import Phase, ProtocolError
from fedmeta_crypto.errors import Repeated
from fedmeta_crypto.homomorphic.errors import WrongSelection
from fedmeta_crypto.homomorphic.selection import Selection
from fedmeta_crypto.homomorphic.selective import SELECTIVE_BYTES, SelectiveClient, SelectiveServer
from fedmeta_crypto.ring import wire_bytes

BITS, D, HIDDEN = 22, 30, 11
CLEAR = wire_bytes(D - HIDDEN, BITS)


@pytest.fixture
def ready():
    return SelectiveRehearsal(selection_of(D, HIDDEN), bits=BITS).advertise().share().deliver()


def finish(round_, uploads):
    """All others are added, and the round opens to the sum of everyone's own vector."""
    for id_, message in uploads.items():
        round_._collect(round_.server.receive(message, sender=id_))
    round_.agree().unmask()
    assert round_.opened.survivors == round_.parameters.cohort
    assert np.array_equal(round_.opened.total, sum_of(round_.vectors, round_.parameters.cohort, BITS))


def uploads_of(round_):
    return {
        id_: client.mask_input(round_.vectors[id_], attachment_hash=bytes([id_]) * 32).send[0].message
        for id_, client in round_.clients.items()
    }


def test_every_bit_of_head_and_clear_part_counts(ready):
    uploads = uploads_of(ready)
    id_, message = next(iter(uploads.items()))
    for at in range(SELECTIVE_BYTES + CLEAR):
        for bit in (0, 7):
            changed = bytearray(message)
            changed[at] ^= 1 << bit
            with pytest.raises(ProtocolError):
                ready.server.receive(bytes(changed), sender=id_)
    finish(ready, uploads)
    assert ready.server.attachments() == tuple((id_, bytes([id_]) * 32) for id_ in ready.parameters.cohort)


def test_truncated_anywhere_or_with_bytes_added(ready):
    uploads = uploads_of(ready)
    id_, message = next(iter(uploads.items()))
    for end in [*range(0, len(message), 3), len(message) - 1]:
        with pytest.raises(ProtocolError):
            ready.server.receive(message[:end], sender=id_)
    with pytest.raises(ProtocolError):
        ready.server.receive(message + b"\0", sender=id_)
    finish(ready, uploads)


def test_the_clear_part_of_another_client_or_none_at_all(ready):
    uploads = uploads_of(ready)
    (first, message), (_, other), *_ = uploads.items()
    head = SELECTIVE_BYTES + CLEAR
    with pytest.raises(WrongSelection, match="bound to another"):
        ready.server.receive(other[:head] + message[head:], sender=first)
    with pytest.raises(WrongSelection, match="without its clear part"):
        ready.server.receive(message[head:], sender=first)
    finish(ready, uploads)


def test_a_clear_part_is_added_once(ready):
    uploads = uploads_of(ready)
    id_, message = next(iter(uploads.items()))
    ready.server.receive(message, sender=id_)
    with pytest.raises(Repeated):
        ready.server.receive(message, sender=id_)
    finish(ready, {k: v for k, v in uploads.items() if k != id_})


def test_a_client_with_another_selection_of_the_same_size(ready):
    id_ = ready.parameters.cohort[0]
    inner = ready.clients[id_]._inner
    other = SelectiveClient(inner, selection_of(D, HIDDEN, seed=1), modulus_bits=BITS)
    message = other.mask_input(ready.vectors[id_]).send[0].message
    with pytest.raises(WrongSelection, match="bound to another selection"):
        ready.server.receive(message, sender=id_)
    assert ready.server.phase is Phase.MASK_INPUT and ready.server.attachments() == ()


def test_a_sum_over_others_than_sent_clear_parts_is_not_joined(ready):
    """A server's own mistake: its inner session took an upload past the layer."""
    uploads = uploads_of(ready)
    head = SELECTIVE_BYTES + CLEAR
    (first, message), *rest = uploads.items()
    ready._collect(ready.server._inner.receive(message[head:], sender=first))
    for id_, upload in rest:
        ready._collect(ready.server.receive(upload, sender=id_))
    ready.agree()
    with pytest.raises(WrongSelection, match="over others"):
        ready.unmask()


def test_what_the_server_sees_is_what_is_stated(ready):
    """The clear coordinates of each client lie in its upload, and the hidden ones do not."""
    selection = ready.selection
    for id_, message in uploads_of(ready).items():
        server = SelectiveServer(ready.server._inner, selection, modulus_bits=BITS)
        _, clear, _ = server._read(message, id_)
        assert np.array_equal(clear, ready.vectors[id_][~selection.mask])
    everything = Selection.of(np.ones(D, bool))
    assert len(everything.split(ready.vectors[id_])[1]) == 0


def test_a_parcel_without_its_clear_part_or_with_anothers():
    """Beside ciphertexts: the decryptor, too, gets only what the layer let through."""
    round_ = SelectiveSplitRehearsal(selection_of(7, 4)).advertise().share().deliver()
    uploads = {id_: c.mask_input(round_.vectors[id_]).send[0].message for id_, c in round_.clients.items()}
    head = SELECTIVE_BYTES + wire_bytes(3, 22)
    (first, message), (_, other), *_ = uploads.items()
    for bad in (
        message[head:],
        other[:head] + message[head:],
        message[: head - 1] + bytes([message[head - 1] ^ 1]) + message[head:],
    ):
        with pytest.raises(WrongSelection):
            round_.server.receive(bad, sender=first)
    for id_, upload in uploads.items():
        round_._collect(round_.server.receive(upload, sender=id_))
    round_.agree().unmask()
    assert np.array_equal(round_.opened.total, round_.expected(round_.parameters.cohort))
