# SPDX-License-Identifier: Apache-2.0
"""Planted cheats that make an epsilon look smaller.

Each is planted twice. An operator who holds the server's key signs his edit: the sites' countersignatures then do not
verify. If every site signs the same lie (all run the same broken software), signatures hold, and the replay finds it.
"""

import pytest
from planted_ledgers import found

from fedmeta_privacy.ledger import decimal
from secure_fedmeta.audit import Verdict
from secure_fedmeta.federation.statements import units


def epsilon_of_the_round_alone(forger):
    """An engine that is made anew each round and forgets what was spent before."""
    schedule = forger.schedule
    for body in forger.bodies():
        body["books"] = [units(float(body["shift"]), schedule.limit)] * len(body["cohort"])
        body["epsilon"]["server"] = decimal(schedule.epsilon(float(body["shift"])))


def sampling_rate(forger):
    for body in forger.bodies():
        body["terms"]["sampling"] = {"kind": "poisson", "q": "0.1", "secret_from": "everybody"}


def amplification_for_a_known_cohort(forger):
    """A rate of sites, drawn by the server, who knows the draw and lists it."""
    for body in forger.bodies():
        body["terms"]["sampling"] |= {"kind": "fixed size", "secret_from": "outsiders"}
        body["epsilon"]["release"] = decimal(float(body["epsilon"]["release"]) / 3)


def noise_halved(forger):
    """Half the noise was added; the statement says so, and keeps the epsilon of the whole."""
    for body in forger.bodies():
        body["terms"]["mechanism"]["scale"] = decimal(float(body["terms"]["mechanism"]["scale"]) / 2)


def noise_halved_in_the_plan(forger):
    """The opening too."""
    noise_halved(forger)
    behaviour = forger.lines[0]["body"]["behaviour"]
    behaviour["scale"] = decimal(float(behaviour["scale"]) / 2)


def epsilon_edited(forger):
    forger.bodies()[1]["epsilon"]["server"] = "0.5"


def epsilon_of_the_last_line_edited(forger):
    forger.lines[-1]["body"]["epsilon"]["member"] = "0.25"


def client_unclipped(forger):
    for body in forger.bodies():
        body["terms"]["clip"] = {"how": "none", "norm": None}


def sensitivity_without_rounding(forger):
    """Delta / step, without the sqrt(d) that two rounded vectors may differ by."""
    for body in forger.bodies():
        body["terms"]["sensitivity"] = decimal(float(body["terms"]["sensitivity"]) - 2.0)


def wrong_adjacency(forger):
    for body in forger.bodies():
        body["terms"]["adjacency"] = "zero-out"


def wrong_unit(forger):
    for body in forger.bodies():
        body["terms"]["unit"] = "client"


def survivors_inflated(forger):
    """One site never answered; its noise is counted all the same."""
    body = forger.bodies()[0]
    body["honest"] += 1
    body["shift"] = decimal(forger.schedule.shift(body["honest"]))


def cohort_too_small(forger):
    """A sum over fewer sites than any site accepts."""
    body = forger.bodies()[2]
    for name in ("survivors", "answered", "noise"):
        body[name] = body[name][:3]
    body["votes"] = 3
    forger.rounds()[2]["sigs"] = forger.rounds()[2]["sigs"][:4]


def seed_reused(forger):
    """Noise from one seed in two rounds: the difference of the uploads has none."""
    first, second = forger.bodies()[:2]
    second["noise"][0] = first["noise"][0]


def delta_of_a_whole_record(forger):
    """delta above 1/N: publishing one record in N at random would pass."""
    for body in forger.bodies():
        body["delta"] = body["terms"]["delta"] = "0.5"


def floor_forgotten(forger):
    """A round charges less than the fewest noises that a site could be sure of."""
    for body in forger.bodies():
        body["charge"] = body["shift"]


CLAIMS = [
    epsilon_of_the_round_alone,
    sampling_rate,
    amplification_for_a_known_cohort,
    noise_halved,
    noise_halved_in_the_plan,
    epsilon_edited,
    epsilon_of_the_last_line_edited,
    client_unclipped,
    sensitivity_without_rounding,
    wrong_adjacency,
    wrong_unit,
    survivors_inflated,
    cohort_too_small,
    seed_reused,
    delta_of_a_whole_record,
    floor_forgotten,
]


def test_the_honest_run_is_ok(forger):
    assert forger.audit(heads=True).findings.found == []
    assert forger.signed(all_keys=True).audit(heads=True).findings.found == []  # the forger's own work adds nothing


@pytest.mark.parametrize("plant", CLAIMS)
def test_all_sites_sign_the_lie(forger, plant):
    plant(forger)
    audit = forger.signed(all_keys=True).audit()
    assert found(audit, "signatures") == found(audit, "chain") == []
    assert audit.findings.verdict is Verdict.CLAIM_TOO_SMALL, audit.findings.found


@pytest.mark.parametrize("plant", [plant for plant in CLAIMS if plant is not epsilon_of_the_last_line_edited])
def test_the_operator_signs_the_lie(forger, plant):
    plant(forger)
    audit = forger.signed().audit()
    assert audit.findings.verdict is Verdict.TAMPERED
    assert any("countersignature of site" in one.what for one in found(audit, "signatures"))


@pytest.mark.parametrize("plant", CLAIMS)
def test_somebody_without_any_key_edits(forger, plant):
    plant(forger)
    audit = forger.plain().audit()
    assert audit.findings.verdict is Verdict.TAMPERED
    assert any("the server's signature" in one.what for one in found(audit, "signatures"))


def test_the_operator_cannot_lower_the_last_line(forger):
    """Nobody countersigns the end line: it is recomputed."""
    epsilon_of_the_last_line_edited(forger)
    audit = forger.signed().audit()
    assert [one.line for one in found(audit, "epsilon")] == [len(forger.lines)]
    assert "member: 0.25 is stated" in found(audit, "epsilon")[0].what


def test_delta_beyond_one_in_n_gives_no_verdict_when_the_plan_has_it(forger):
    """No guarantee follows from such a plan: there is nothing to judge."""
    from secure_fedmeta.errors import AuditRefused

    forger.lines[0]["body"]["behaviour"]["delta"] = "0.5"
    with pytest.raises(AuditRefused, match=r"SFM-122: .*delta=0.5 is not below 1/N"):
        forger.signed(all_keys=True).audit()


def test_another_accountants_name(forger):
    """Swapped in all lines and signed by everyone: this release does not vouch for numbers of another."""
    for body in forger.bodies():
        body["terms"]["accountant"] = {"name": "moments", "version": "0.1"}
    audit = forger.signed(all_keys=True).audit(heads=False)
    assert any("another accountant" in one.what for one in found(audit, "terms"))
    assert audit.findings.verdict is Verdict.INCOMPLETE
    assert forger.signed().audit().findings.verdict is Verdict.INCOMPLETE  # signed by all above
    forger.bodies()[0]["terms"]["accountant"]["version"] = "0.2"
    assert forger.signed().audit().findings.verdict is Verdict.TAMPERED


def test_reproducible_noise_hidden_as_a_guarantee(tmp_path):
    """A run whose noise came from the seed says "none"; an epsilon written into it is a claim that does not hold."""
    from planted_ledgers import Forger, honest_run

    honest_run(tmp_path / "seeded", insecure_reproducible=True)
    forger = Forger(tmp_path / "seeded", tmp_path)
    assert forger.audit().findings.verdict is Verdict.INCOMPLETE
    for body in forger.bodies():
        body["epsilon"]["server"] = "1.0"
    audit = forger.signed(all_keys=True).audit()
    assert audit.findings.verdict is Verdict.CLAIM_TOO_SMALL
    assert all("none holds" in one.what for one in found(audit, "epsilon") if one.verdict is Verdict.CLAIM_TOO_SMALL)
