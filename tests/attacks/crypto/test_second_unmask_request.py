# SPDX-License-Identifier: Apache-2.0
"""The server asks one client twice, to get both secrets of a peer: the second request gets nothing."""

import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import Repeated
from fedmeta_crypto.messages import SurvivorList, UnmaskingShares
from fedmeta_crypto.sealed import SecretKind
from fedmeta_crypto.wire import Header, MessageType, Reader, frame, unframe


def survivors_message(rehearsal, ids):
    header = Header(MessageType.SURVIVORS, rehearsal.server.session, rehearsal.parameters.round, SERVER)
    return frame(header, SurvivorList(tuple(sorted(ids))).payload())


def test_one_answer_only():
    rehearsal = Rehearsal(n=4).until(Phase.UNMASK)
    client = rehearsal.clients[3]
    all_but_one = survivors_message(rehearsal, [3, 13, 23])
    first = client.receive(rehearsal.inbox[3])
    assert len(first.persist) == 1
    for again in (rehearsal.inbox[3], all_but_one):
        with pytest.raises(Repeated):
            client.receive(again)


def test_an_answer_holds_one_kind_per_peer():
    rehearsal = Rehearsal(n=5).advertise().share().deliver().mask(drop=[43])
    step = rehearsal.clients[3].receive(rehearsal.inbox[3])
    _, payload = unframe(step.send[0].message, sender=3, max_bytes=10**6)
    answers = UnmaskingShares.read(Reader(payload, sender=3, where="test")).answers
    kinds = {answer.peer: answer.kind for answer in answers}
    assert len(answers) == len(kinds) == 4
    assert kinds == {
        13: SecretKind.SELF_MASK,
        23: SecretKind.SELF_MASK,
        33: SecretKind.SELF_MASK,
        43: SecretKind.MASK_KEY,
    }
