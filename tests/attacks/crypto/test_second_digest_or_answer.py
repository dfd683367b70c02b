# SPDX-License-Identifier: Apache-2.0
"""One vote and one answer per session, also after a restart with nothing but the stored records."""

import pytest
from crypto_rounds import Rehearsal, counter_entropy, read_as, signed_by, signed_plan

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.errors import OutOfOrder, Repeated, WrongRound
from fedmeta_crypto.messages import ConsistencyProof, SurvivorList
from fedmeta_crypto.secagg.step import Record, RecordKind


def test_a_second_list_gets_no_second_vote():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.CONSISTENCY)
    client, message = rehearsal.clients[3], rehearsal.inbox[3]
    full = read_as(SurvivorList, message, signed=True)
    fewer = signed_by(SERVER, SurvivorList(full.ids[:-1], full.digests[:-1]), rehearsal)
    step = client.receive(message)
    assert [Record.from_bytes(r).kind for r in step.persist] == [RecordKind.SURVIVORS_SIGNED]
    for again in (message, fewer):
        with pytest.raises(Repeated):
            client.receive(again)
    assert client.resend().send == step.send


def test_a_second_proof_gets_no_second_answer():
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    client, message = rehearsal.clients[3], rehearsal.inbox[3]
    step = client.receive(message)
    assert [Record.from_bytes(r).kind for r in step.persist] == [RecordKind.ANSWERED]
    fewer = signed_by(SERVER, ConsistencyProof(read_as(ConsistencyProof, message).evidence[:3]), rehearsal)
    for again in (message, fewer):
        with pytest.raises(Repeated):
            client.receive(again)
    assert client.resend().send == step.send  # the same bytes, from memory


@pytest.mark.parametrize("phase", [Phase.SHARE_KEYS, Phase.CONSISTENCY, Phase.UNMASK, None])
def test_after_a_restart(phase):
    rehearsal = Rehearsal(signed_plan(4))
    m0, stored = rehearsal.inbox[3], []
    client = rehearsal.clients[3]
    for name in ("advertise_keys", "receive", "resend"):
        original = getattr(client, name)

        def kept(*arguments, original=original):
            step = original(*arguments)
            stored.extend(step.persist)
            return step

        setattr(client, name, kept)
    if phase is None:
        rehearsal.until(Phase.UNMASK).unmask()
    else:
        rehearsal.until(phase)
    records = [Record.from_bytes(data) for data in stored]
    assert records and {r.session for r in records} == {rehearsal.server.session}
    sessions = frozenset(r.session for r in records)
    entropy = counter_entropy("after the restart")
    with pytest.raises(Repeated):
        rehearsal.client(3, m0, entropy=entropy, seen_sessions=sessions)
    with pytest.raises(WrongRound):
        rehearsal.client(3, m0, entropy=entropy, last_round=max(r.round for r in records))
    fresh = rehearsal.client(3, m0, entropy=entropy)  # even one that forgot everything holds no old secret
    with pytest.raises(OutOfOrder):
        fresh.receive(rehearsal.inbox[3])
    with pytest.raises(OutOfOrder):
        fresh.resend()
