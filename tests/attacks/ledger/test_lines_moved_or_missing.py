# SPDX-License-Identifier: Apache-2.0
"""Planted cheats on the order of a ledger, with the server's key in the cheater's hands where that is stronger."""

import copy
import shutil

import numpy as np
import pytest
from planted_ledgers import found, standalone

from secure_fedmeta.audit import Verdict


def dropped(forger):
    del forger.lines[2]


def dropped_and_renumbered(forger):
    del forger.lines[2]
    for number, line in enumerate(forger.rounds(), start=1):
        line["round"] = number


def replayed(forger):
    forger.lines.insert(3, copy.deepcopy(forger.lines[2]))


def reordered(forger):
    forger.lines[1], forger.lines[2] = forger.lines[2], forger.lines[1]


def signer_replaced(forger):
    """One site's signature stands in for another's."""
    sigs = forger.lines[2]["sigs"]
    sigs[1] = [sigs[1][0], sigs[2][1]]


def of_another_round(forger):
    forger.lines[2]["sigs"] = copy.deepcopy(forger.lines[1]["sigs"])


def model_hash_swapped(forger):
    forger.bodies()[1]["model"] = "00" * 32


def survivor_added(forger):
    forger.bodies()[0]["findings"] = ["all was well"]


TAMPERING = [
    dropped,
    dropped_and_renumbered,
    replayed,
    reordered,
    signer_replaced,
    of_another_round,
    model_hash_swapped,
    survivor_added,
]


@pytest.mark.parametrize("plant", TAMPERING)
@pytest.mark.parametrize("by_operator", [False, True])
def test_tampering_is_named_by_both_verifiers(forger, plant, by_operator):
    plant(forger)
    forger.signed() if by_operator else forger.plain()
    audit = forger.audit()
    assert audit.findings.verdict is Verdict.TAMPERED
    assert standalone(forger) == 3


def test_the_honest_ledger_passes_both(forger):
    assert forger.audit(heads=True).findings.verdict is Verdict.OK and standalone(forger) == 0


def test_heads_that_were_not_given_are_named(forger):
    audit = forger.audit()
    assert audit.findings.verdict is Verdict.INCOMPLETE
    assert [one.check for one in audit.findings.found] == ["heads"]


def test_a_round_dropped_by_everybody_is_still_in_the_sites_files(forger):
    """All keys in one hand: the order is perfect, and the sites' own folders tell."""
    dropped_and_renumbered(forger)
    forger.signed(all_keys=True)
    assert found(forger.audit(heads=True), "heads") != []
    assert forger.audit(heads=True).findings.verdict is Verdict.TAMPERED


def test_a_truncated_tail_with_a_kept_head(forger):
    """The last round and the end are cut off; a new end line is signed with the server's key."""
    end = forger.lines.pop()
    forger.lines.pop()
    end["body"]["epsilon"] = dict(forger.bodies()[-1]["epsilon"])
    end["body"]["model"] = forger.bodies()[-1]["model"]
    forger.lines.append(end)
    audit = forger.signed().audit()
    assert found(audit, "chain") == found(audit, "signatures") == found(audit, "epsilon") == []
    assert standalone(forger) == 0  # nothing in the ledger itself can show it
    # Who has the heads sees it; the model of the cut round is unlogged now, too.
    shown = forger.audit(heads=True)
    assert shown.findings.verdict is Verdict.TAMPERED
    assert any("another line here" in one.what or "tail was cut off" in one.what for one in found(shown, "heads"))
    assert any("leaves out" in one.what for one in found(shown, "heads"))
    assert any("unlogged" in one.what for one in found(shown, "models"))


def test_a_tail_cut_off_without_a_new_end(forger):
    forger.plain(forger.lines[:-2])
    assert any("no end line" in one.what for one in found(forger.audit(), "chain"))
    assert standalone(forger) == 5
    assert any("tail was cut off" in one.what for one in found(forger.audit(heads=True), "heads"))


def test_a_fork_is_seen_by_a_kept_head(forger):
    """The same keys sign another history of round 3: internally perfect, not what the sites kept."""
    forger.bodies()[2]["findings"] = ["another history"]
    audit = forger.signed(all_keys=True).audit(heads=True)
    assert found(audit, "signatures") == found(audit, "chain") == []
    assert len(found(audit, "heads", line=4)) == 5 and audit.findings.verdict is Verdict.TAMPERED


def test_an_aborted_round_that_released_uploads_is_left_out(forger):
    """A site was charged for a round that the ledger does not have."""
    with (forger.sites / "clinic-2" / "budget.jsonl").open("rb") as file:
        first = file.readline()
    journal = forger.sites / "clinic-2" / "budget.jsonl"
    journal.write_bytes(journal.read_bytes() + first.replace(b'"round":1', b'"round":4'))
    audit = forger.audit(heads=True)
    assert any("clinic-2 was charged for round 4" in one.what for one in found(audit, "heads"))
    assert audit.findings.verdict is Verdict.TAMPERED


def test_an_aborted_round_whose_asked_were_emptied(forger):
    """It stays in the ledger, but says that nobody was asked: the later books no longer add up."""
    body = forger.bodies()[1]
    body |= {"asked": [], "answered": [], "survivors": [], "aborted": "lost", "honest": 0, "shift": None, "noise": []}
    forger.rounds()[1]["sigs"] = forger.rounds()[1]["sigs"][:1]
    audit = forger.signed(all_keys=True).audit()
    assert [one.line for one in found(audit, "participation")] == [3, 4]
    assert audit.findings.verdict is Verdict.CLAIM_TOO_SMALL


def test_signers_missing(forger):
    """Fewer than t countersignatures are no evidence; an unsigned line of the server is tampering."""
    line = forger.lines[2]
    line["sigs"] = line["sigs"][:2]
    audit = forger.plain().audit()
    assert "1 sites countersigned it" in found(audit, "signatures", line=3)[0].what
    assert audit.findings.verdict is Verdict.INCOMPLETE and standalone(forger) == 5
    line["sigs"] = line["sigs"][1:]
    assert forger.plain().audit().findings.verdict is Verdict.TAMPERED and standalone(forger) == 3


@pytest.mark.parametrize("swap", ["changed", "earlier", "unlogged", "pickled"])
def test_models_that_are_not_in_the_chain(forger, swap):
    from safetensors.numpy import load_file, save_file

    path = forger.run / "model.safetensors"
    theta = load_file(path)["theta"]
    if swap == "earlier":
        save_file({"theta": np.zeros_like(theta)}, path)  # the first round's model: in the chain, not released
    elif swap == "pickled":
        (forger.run / "best.pt").write_bytes(b"?")
    else:
        target = path if swap == "changed" else forger.run / "best.safetensors"
        save_file({"theta": theta + 1e-9}, target)
    audit = forger.audit(heads=True)
    expected = Verdict.INCOMPLETE if swap == "pickled" else Verdict.TAMPERED
    assert audit.findings.verdict is expected and {one.check for one in audit.findings.found} == {"models"}


def test_a_roster_of_other_people(forger, tmp_path):
    """The ledger is signed; by whom, the roster decides."""
    text = forger.roster.read_text()
    keys = [line.split('"')[1] for line in text.splitlines() if line.startswith("key")]
    forger.roster.write_text(text.replace(keys[0], "x").replace(keys[1], keys[0]).replace("x", keys[1], 1))
    audit = forger.audit()
    assert audit.findings.verdict is Verdict.TAMPERED and standalone(forger) == 3


def test_keys_from_the_run_itself_are_never_enough(forger):
    from secure_fedmeta.audit import audit_run

    audit = audit_run(forger.run, heads=forger.sites)
    assert audit.findings.verdict is Verdict.INCOMPLETE
    assert "keys taken from the run itself" in found(audit, "roster")[0].what
    shutil.rmtree(forger.sites / "clinic-3")
    assert "clinic-3" in found(forger.audit(heads=True), "heads")[0].what
