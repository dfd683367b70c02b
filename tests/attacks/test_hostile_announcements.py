"""A server that announces something else than the plan gets no bytes, no charge, and touches no record."""

import numpy as np
import pytest
from small_runs import announcement, key_of, small_run

from fedmeta_crypto.errors import BadSignature, PeerProtocolError, PlanRefused, ProtocolError
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import PrivacyError, UnsafeModel
from secure_fedmeta.federation.contribution import ClosedForm
from secure_fedmeta.federation.model import model_to_bytes

COHORT = (1, 2, 3, 4, 5)


def settings_for(name):
    return {"aggregation": "none"} if name == "none" else {"strength": name}


@pytest.fixture(params=["malicious", "semi-malicious", "semi-honest", "none"])
def site(request, monkeypatch):
    def untouchable(*_):
        raise AssertionError("records were touched")

    monkeypatch.setattr(ClosedForm, "units", untouchable)
    run, sites = small_run(5, **settings_for(request.param))
    return run.schedule, sites[1]


def refused(site, message, error, text):
    with pytest.raises(error, match=text) as caught:
        site.receive(message)
    assert isinstance(caught.value, ProtocolError | PrivacyError)
    assert site.client.budget.spent == 0.0 and site.client._session is None and site.client._theta is None
    assert site.client._last_round == 0  # an honest announcement of this round is still taken


def honest_is_accepted(schedule, site):
    """So that the refusals above are for the stated reason."""
    if schedule.masked:
        assert len(site.receive(announcement(schedule, COHORT)).send) == 1
    else:
        with pytest.raises(AssertionError, match="records were touched"):
            site.receive(announcement(schedule, COHORT))


def body(value):
    theta = np.zeros(5)
    theta[3] = value
    return model_to_bytes(theta)


def test_another_model_than_the_behaviour_hash_says(site):
    schedule, party = site
    other = schedule.behaviour_hash(body(0.25))
    refused(party, announcement(schedule, COHORT, behaviour_hash=other), PlanRefused, "SFM-205 .*another plan")
    refused(party, announcement(schedule, COHORT, behaviour_hash=bytes(32)), PlanRefused, "SFM-205")
    honest_is_accepted(schedule, party)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**20 + 1, 1e308])
def test_a_model_that_would_make_terms_vanish(site, value):
    schedule, party = site
    refused(party, announcement(schedule, COHORT, body=body(value)), UnsafeModel, "SFM-306")
    honest_is_accepted(schedule, party)


@pytest.mark.parametrize("size", [0, 8, 32, 39])
def test_a_model_of_another_size(site, size):
    schedule, party = site
    refused(party, announcement(schedule, COHORT, body=bytes(size)), UnsafeModel, "SFM-306")


def test_a_model_too_large_to_be_looked_at(site):
    schedule, party = site
    refused(party, announcement(schedule, COHORT, body=bytes(10**6)), ProtocolError, "SFM-222")


@pytest.mark.parametrize(
    "changes",
    [
        {"corrupt": 1, "threshold": 3},
        {"min_survivors": 5},
        {"modulus_bits": 30},
        {"cohort": (1, 2, 3, 4), "threshold": 2, "min_survivors": 3},
        {"cohort": (1, 2, 3, 4, 5, 6)},
        {"cohort": (2, 3, 4, 5, 6)},
        {"length": 4},
        {"length": 6},
        {"modulus_bits": 31},
        {"modulus_bits": 16},
    ],
)
def test_other_protocol_parameters(site, changes):
    schedule, party = site
    fields = {"cohort": COHORT} | changes
    if not schedule.hiding.signed and "cohort" in changes:
        fields |= {"threshold": schedule.threshold, "min_survivors": schedule.hiding.min_survivors}
    elif not schedule.hiding.signed and changes.keys() & {"corrupt", "min_survivors"}:
        fields |= {"corrupt": 0, "threshold": 4, "min_survivors": 5}
    refused(party, announcement(schedule, **fields), PlanRefused, "SFM-205")
    honest_is_accepted(schedule, party)


@pytest.mark.parametrize(
    "setting",
    [
        {"epsilon": 8.0},
        {"colluders": 1},
        {"clip_norm": 0.4},
        {"inner_lr": 0.5},
        {"rounds": 5},
        {"delta": 1e-2},
        {"aggregation": "other"},
    ],
)
def test_another_plan_behind_equal_parameters(site, setting):
    schedule, party = site
    if "aggregation" in setting:
        setting = {"aggregation": "none" if schedule.masked else "mask"}
    setting = {"aggregation": schedule.plan.aggregation, "strength": schedule.plan.strength} | setting
    other = small_run(5, **setting)[0].schedule
    refused(party, announcement(other, COHORT), PlanRefused, "SFM-205 .*(another plan|threshold|strength|policy gives)")
    honest_is_accepted(schedule, party)


def test_every_single_bent_byte_is_refused_unless_it_is_the_server_s_to_choose(site):
    """Only the nonce, a later round and, while keys are unauthenticated, the names of the others may differ.

    Under signatures nothing may: the server's own signature is over all of it.
    """
    schedule, party = site
    nonce = bytes(range(100, 132))
    good = announcement(schedule, COHORT, server_nonce=nonce)
    at = good.index(nonce)
    taken = []
    for i in range(len(good)):
        bent = bytearray(good)
        bent[i] ^= 0x40
        party.client.abort()
        party.client._last_round = 0
        try:
            party.receive(bytes(bent))
            taken.append(i)
        except AssertionError:
            taken.append(i)  # without masks the upload would follow at once
            party.client.budget = GdpFilter(party.client.budget.limit)
        except (ProtocolError, PrivacyError):
            assert party.client.budget.spent == 0.0
    if schedule.hiding.signed:
        assert taken == []
        return
    later_round = range(4 + 3 + 32, 4 + 3 + 32 + 8)
    other_members = range(at + 32 + 4, at + 32 + 4 * len(COHORT))
    assert set(taken) <= {*range(at, at + 32), *later_round, *other_members}
    assert set(range(at, at + 32)) <= set(taken)


def test_unknown_strengths_are_not_run(site):
    schedule, party = site
    good = bytearray(announcement(schedule, COHORT))
    start = 4 + 3 + 32 + 8 + 4 + 4
    good[start] = 0
    refused(party, bytes(good), PeerProtocolError, "SFM-2(24|35)")


@pytest.mark.parametrize("other", ["malicious", "semi-malicious", "semi-honest"])
def test_another_strength_than_the_plan_s_is_refused(site, other):
    """A server cannot talk a site into fewer checks, nor into another protocol."""
    schedule, party = site
    if schedule.hiding.name == other or (other == "semi-honest" and not schedule.masked):
        return
    lowered = small_run(5, strength=other)[0].schedule
    fields = {"behaviour_hash": schedule.behaviour_hash(body(0.0)), "body": body(0.0)}
    refused(party, announcement(lowered, COHORT, **fields), PlanRefused, "SFM-205 .*strength")


def test_an_announcement_that_another_key_signed_is_refused(site):
    schedule, party = site
    if not schedule.hiding.signed:
        return
    forged = bytearray(announcement(schedule, COHORT))
    forged[-64:] = key_of(1).sign(bytes(32))
    refused(party, bytes(forged), BadSignature, "SFM-235")
    honest_is_accepted(schedule, party)
