# SPDX-License-Identifier: Apache-2.0
"""A server that announces another C_t than the plan allows, or another to one site than it states in the ledger."""

import math
import struct

import numpy as np
import pytest
from mode_runs import mode_run, mode_schedule
from small_runs import Courier, announced, announcement, kind_of, local_site

from fedmeta_crypto.errors import PlanRefused, ProtocolError
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.errors import PrivacyError, UnsafeModel, UnsupportedClaim
from secure_fedmeta.federation.model import announced_to_bytes

COHORT = (1, 2, 3, 4)
SETTINGS = {"clipping": "adaptive", "clip_min": 0.2, "clip_max": 0.5}


@pytest.fixture(params=["malicious", "semi-honest", "none"])
def site(request):
    chosen = {"aggregation": "none"} if request.param == "none" else {"strength": request.param}
    run, sites, _ = mode_run("person", **SETTINGS, **chosen)
    sites[1].client._contribution = None  # touching records would fail otherwise
    return run.schedule, sites[1]


def message(schedule, clip_norm, *, number=1, **changes):
    body = announced_to_bytes(schedule.start, clip_norm)
    return announcement(schedule, COHORT, number=number, body=body, length=schedule.length, **changes)


def refused(party, what, error, text):
    with pytest.raises(error, match=text) as caught:
        party.receive(what)
    assert isinstance(caught.value, ProtocolError | PrivacyError)
    assert party.client.budget.spent == 0.0 and party.client._session is None
    assert party.client._last_round == 0
    assert party.client._release.clipping.clip_norm == 0.3


@pytest.mark.parametrize(
    "clip_norm",
    [
        math.nan,
        math.inf,
        -math.inf,
        0.0,
        -0.3,
        5e-324,
        1e308,
        0.5000001,
        0.1999999,
        0.31,
        math.nextafter(0.3, 0) - 1e-6,
    ],
)
def test_another_start_than_the_plan_s(site, clip_norm):
    schedule, party = site
    refused(party, message(schedule, clip_norm), PlanRefused, "SFM-205 .*clip norm that the plan cannot have come to")


@pytest.mark.parametrize("clip_norm", [math.nan, 0.0, 0.51, 0.19, 0.2, 0.5])
def test_a_norm_beyond_the_steps_of_so_many_rounds(site, clip_norm):
    """In round 2 the quantile can have moved it by exp(0.1) either way."""
    schedule, party = site
    refused(party, message(schedule, clip_norm, number=2), PlanRefused, "clip norm")


def test_a_norm_that_the_rounds_can_have_come_to_is_taken(site):
    schedule, party = site
    if schedule.masked:
        assert party.receive(message(schedule, 0.3 * math.exp(0.1), number=2)).send
        assert party.client._release.clipping.clip_norm == 0.3 * math.exp(0.1)
    else:
        with pytest.raises(AttributeError):
            party.receive(message(schedule, 0.3 * math.exp(0.1), number=2))


def test_a_norm_left_out_or_one_too_many(site):
    schedule, party = site
    bare = announced_to_bytes(schedule.start, None)
    refused(party, announcement(schedule, COHORT, body=bare, length=schedule.length), UnsafeModel, "SFM-306")
    twice = announced_to_bytes(schedule.start, 0.3) + struct.pack("<d", 0.3)
    refused(party, announcement(schedule, COHORT, body=twice, length=schedule.length), ProtocolError, "SFM-2")


def test_a_norm_for_a_run_that_clips_flat():
    schedule = mode_schedule("person")
    party = local_site(1, (), schedule, COHORT)
    body = announced_to_bytes(schedule.start, 0.3)
    with pytest.raises((ProtocolError, PrivacyError)):
        party.receive(announcement(schedule, COHORT, body=body, length=schedule.dimension))


def test_a_norm_that_the_behaviour_hash_does_not_bind(site):
    """Two sites under two norms have two behaviour hashes: their masks never cancel."""
    schedule, party = site
    bodies = [announced_to_bytes(schedule.start, norm) for norm in (0.3, math.nextafter(0.3, 1))]
    first, second = (schedule.behaviour_hash(body) for body in bodies)
    assert first != second
    refused(party, message(schedule, 0.3, behaviour_hash=second), PlanRefused, "another plan")


def test_a_ledger_line_of_another_norm_is_not_countersigned():
    run, _, _ = mode_run("person", **SETTINGS)
    honest = run.server._state

    def lying(*arguments, **keywords):
        run.server._clip_norm = 0.25
        return honest(*arguments, **keywords)

    run.server._state = lying
    report = run.run_round()
    assert not report.closed.countersigned
    assert len(report.rejected) == len(COHORT) and all("wrong in clip_norm" in text for text in report.rejected)


@pytest.mark.parametrize("name", ["glm-logistic", "noisy-inner", "noisy-inner-second"])
def test_no_count_through_support_records(name):
    with pytest.raises(UnsupportedClaim, match="SFM-302"):
        mode_schedule(name, **SETTINGS)


def test_the_opened_sum_never_holds_a_bare_count():
    """Each site's count leaves it with noise of the same scale as every other coordinate, and so do their sums."""
    run, sites, _ = mode_run("person", **SETTINGS)
    schedule = run.schedule
    noises = []
    for party in sites.values():
        rows = party.client._contribution.units(schedule.start, None)
        generator = np.random.default_rng(0)

        def words(n, generator=generator):
            return generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)

        draws = np.array([party.client._release(rows, words) for _ in range(300)])
        noises.append(draws.std(axis=0))
    assert np.concatenate(noises) == pytest.approx(schedule.scale, rel=0.2)


def test_the_norm_travels_in_the_announcement_alone():
    run, sites, _ = mode_run("person", **SETTINGS)
    packed = struct.pack("<d", 0.3)
    seen = []

    def watch(sender, receiver, message):
        seen.append((kind_of(message), packed in message))
        return True

    Courier(run.server, sites, watch).announce().run()
    assert packed in announced(run)
    assert all(holds == (kind == MessageType.PARAMETERS) for kind, holds in seen)
    assert b'"clip_norm":"0.3"' in run.server.ledger_lines()
