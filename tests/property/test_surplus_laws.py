# SPDX-License-Identifier: Apache-2.0
"""Laws of rounds with removable noise, for any losses at any message: what is opened, and what stays of the noise."""

import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedmeta_crypto import Phase, TooFewSurvivors
from fedmeta_crypto.messages import Delivery, SealedShares, UnmaskingShares
from fedmeta_crypto.sealed import box_bytes, surplus_kind
from fedmeta_crypto.shamir import PRIME, pack
from fedmeta_crypto.wire import Header, Reader, frame, unframe
from secure_fedmeta.federation.dropouts import PHASES
from secure_fedmeta.federation.surplus import own_parts, part

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from crypto_rounds import Rehearsal, plan, signed_plan
from small_runs import small_run, tap

LOST_AT = {"malicious": (1, 3, 5, 7, 9), "semi-honest": (1, 3, 5, 9)}


@st.composite
def surplus_rounds(draw):
    """Parameters with surplus secrets, and the number of the message that each client fails to send; 0: none."""
    strength = draw(st.sampled_from(sorted(LOST_AT)))
    n = draw(st.integers(3, 9))
    shape = {"bits": draw(st.integers(8, 32)), "length": draw(st.sampled_from([1, 2, 31])), "n": n}
    if strength == "malicious":
        corrupt, dropped = draw(st.integers(0, n // 3)), draw(st.integers(1, n // 2))
        assume((n - 1 + corrupt) // 2 + 1 <= n - dropped - 1)
        parameters = signed_plan(corrupt=corrupt, dropped=dropped, surplus=draw(st.integers(0, dropped)), **shape)
    else:
        threshold = draw(st.integers(1, n - 2))
        least = draw(st.integers(threshold + 1, n))
        parameters = plan(threshold=threshold, min_survivors=least, surplus=draw(st.integers(0, n - least)), **shape)
    lost = {id_: draw(st.sampled_from([0] * 12 + list(LOST_AT[strength]))) for id_ in parameters.cohort}
    return parameters, lost


@given(surplus_rounds(), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_the_opened_secrets_are_those_above_the_number_of_dropped(case, seed):
    parameters, lost_at = case

    def lost(number):
        return {id_ for id_, at in lost_at.items() if at == number}

    rehearsal = Rehearsal(parameters, seed=str(seed))
    try:
        rehearsal.advertise(lost(1)).share(lost(3)).deliver().mask(lost(5)).agree(lost(7)).unmask(lost(9))
    except TooFewSurvivors:
        assert rehearsal.opened is None and rehearsal.server.phase is Phase.FAILED
        return
    opened = rehearsal.opened
    gone = len(parameters.cohort) - len(opened.survivors)
    assert set(opened.survivors) == {id_ for id_ in parameters.cohort if lost_at[id_] not in (1, 3, 5)}
    assert np.array_equal(opened.total, rehearsal.client_sums())
    own = tuple(rehearsal.surplus_of(id_)[gone:] for id_ in opened.survivors)
    assert opened.surplus == (own if parameters.surplus > gone else ())


PATTERN = st.dictionaries(st.integers(1, 8), st.sampled_from([*PHASES, "vote"]), max_size=3)


@given(PATTERN, st.sampled_from(["malicious", "semi-honest"]), st.integers(0, 1))
@settings(max_examples=30, deadline=None)
def test_after_removal_the_sum_is_data_and_the_parts_that_stay(pattern, strength, colluders):
    run, sites = small_run(8, rounds=2, dropout_noise="surplus", strength=strength, colluders=colluders)
    assert run.schedule.surplus.corrupt == colluders and run.schedule.surplus_parts >= 2
    released, parts, noise = tap(sites), {}, run.schedule.surplus

    def noted(law, seeds, *, session, dimension):
        made = [part(law, k, seed, session=session, dimension=dimension) for k, seed in enumerate(seeds, start=1)]
        total = own_parts(law, seeds, session=session, dimension=dimension)
        assert (sum(made) == total).all() and len(made) == noise.dropped
        parts[bytes(total)] = made
        return total

    order = []
    with (
        mock.patch("secure_fedmeta.federation.client.own_parts", noted),
        mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern),
    ):
        for site, party in sites.items():
            party.client._upload = wrapped(site, party.client._upload, order)
        closed = run.run_round().closed
    if closed.aborted is not None:
        return
    own = dict(zip(order, parts.values(), strict=True))
    gone = 8 - len(closed.survivors)
    kept = [sum(own[site][:gone], released[site][0]) for site in closed.survivors]
    assert np.array_equal(run.server.last_sum, sum(kept))
    assert closed.spent.server <= run.schedule.plan.epsilon


def wrapped(site, upload, order):
    def noted(*arguments):
        order.append(site)
        return upload(*arguments)

    return noted


SHARE = st.lists(st.integers(0, PRIME - 1), min_size=16, max_size=16).map(
    lambda words: pack(np.array([words], np.uint32)).tobytes()
)


@given(st.integers(0, 4), st.data())
@settings(deadline=None)
def test_wire_round_trip(surplus, data):
    ids = sorted(data.draw(st.sets(st.integers(0, 2**32 - 2), max_size=4)))
    size = box_bytes(surplus)
    boxes = tuple((id_, data.draw(st.binary(min_size=size, max_size=size))) for id_ in ids)
    commitments = tuple(bytes([i]) * 32 for i in range(surplus))
    rows = [
        (id_, kind, data.draw(SHARE))
        for id_ in ids
        for kind in (data.draw(st.sampled_from([1, 2])), *(surplus_kind(k) for k in range(1, surplus + 1)))
    ]
    for message in (SealedShares(boxes, commitments), Delivery(boxes), UnmaskingShares(tuple(rows))):
        header = Header(message.TYPE, bytes(32), 1, 1)
        framed = frame(header, message.payload())
        _, payload = unframe(framed, sender=1, max_bytes=len(framed))
        again = type(message).read(Reader(payload, sender=1, where="test"), surplus=surplus)
        assert again.payload() == message.payload()
        assert (
            [tuple(answer) for answer in again.answers] == rows
            if isinstance(again, UnmaskingShares)
            else again == message
        )


@pytest.mark.parametrize("surplus", [1, 3])
def test_the_whole_cohort_at_the_edge(surplus):
    rehearsal = Rehearsal(signed_plan(40, corrupt=10, dropped=4, surplus=surplus)).advertise().share().deliver()
    rehearsal.mask(drop=rehearsal.parameters.cohort[:1]).agree().unmask()
    assert np.array_equal(rehearsal.opened.total, rehearsal.client_sums())
    assert [len(row) for row in rehearsal.opened.surplus] == [surplus - 1] * (39 if surplus > 1 else 0)
