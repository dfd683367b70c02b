# SPDX-License-Identifier: Apache-2.0
"""A corrupt holders bend an honest dealer's shares into another polynomial of the same secret, framing others."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, read_as, signed_by, signed_plan

from fedmeta_crypto import Phase
from fedmeta_crypto.messages import UnmaskingShares
from fedmeta_crypto.sealed import SECRET_WORDS
from fedmeta_crypto.secagg.step import SharesCorrected
from fedmeta_crypto.shamir import PRIME, pack, unpack


def bent(rehearsal, liar, answer, corrupt, victim):
    """The share plus c x (x - x_h)...: the same value at zero, and at t - 2 honest holders, but not at the victim."""
    parameters = rehearsal.parameters
    near = parameters.neighbours_of(answer.peer, parameters.session)
    point = {holder: place for place, holder in enumerate(near, start=1)}
    true = [holder for holder in near if holder not in corrupt and holder != victim][: parameters.threshold - 2]
    shift = 7 * point[liar] % PRIME
    for holder in true:
        shift = shift * (point[liar] - point[holder]) % PRIME
    words = unpack(np.frombuffer(answer.share, np.uint8)[None], SECRET_WORDS).astype(np.int64)
    return answer._replace(share=pack(((words + shift) % PRIME).astype(np.uint32))[0].tobytes())


@pytest.mark.parametrize(
    ("n", "corrupt", "dropped", "liars", "victim"),
    [
        (10, 3, 1, (7, 8, 9), 0),
        (20, 5, 1, (0, 1, 2, 3, 4), 5),
        (30, 8, 2, (0, 1, 2, 3, 4, 5, 6, 7), 8),
    ],
)
def test_no_honest_client_is_convicted(n, corrupt, dropped, liars, victim):
    rehearsal = Rehearsal(signed_plan(n, corrupt=corrupt, dropped=dropped)).until(Phase.UNMASK)
    ids = rehearsal.parameters.cohort
    liars, victim, found = {ids[i] for i in liars}, ids[victim], []
    for id_, message in dict(rehearsal.inbox).items():
        sent = rehearsal.clients[id_].receive(message).send[0].message
        if id_ in liars:
            answers = [
                answer if answer.peer in {*liars, victim} else bent(rehearsal, id_, answer, liars, victim)
                for answer in read_as(UnmaskingShares, sent).answers
            ]
            sent = signed_by(id_, UnmaskingShares(tuple(answers)), rehearsal)
        step = rehearsal.server.receive(sent, sender=id_)
        rehearsal._collect(step)
        found += [event for event in step.events if isinstance(event, SharesCorrected)]
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())
    (verdict,) = found
    assert set(verdict.holders) <= liars and set(verdict.dealers) <= liars
    # honest holders do look wrong, and that is why nothing is said of them
    assert any(holder == victim for _, holder in verdict.unproved)
    assert all(liars.intersection(pair) for pair in verdict.pairs)
