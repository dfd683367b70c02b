"""Operators with the server's key, and with every site's, who want "ok" for a ledger that is not true.

Each cheat was found to pass, or would, if the check that it names were missing.
"""

import os

import numpy as np
import pytest
from planted_ledgers import Forger, found, standalone

from secure_fedmeta.audit import Verdict, audit_run


def aborted_but_full(forger):
    """Few answered, the operator writes: all did, and then it was aborted. Nobody is asked to sign such a line."""
    forger.bodies()[2]["aborted"] = "lost"
    forger.rounds()[2]["sigs"] = forger.rounds()[2]["sigs"][:1]


def a_view_of_its_own(forger):
    forger.lines[-1]["body"]["epsilon"]["patients"] = "0.01"


def a_guarantee_in_other_words(forger):
    body = forger.lines[-1]["body"]
    body["guarantee"] = "Nobody can learn anything about any patient (epsilon 0.1)."


def a_second_accountant_that_flatters(forger):
    forger.lines[-1]["body"]["second_accountant"]["server"] = "0.5"


def another_delta_at_the_end(forger):
    forger.lines[-1]["body"]["delta"] = "1e-09"


def another_unit_in_the_first_line(forger):
    forger.lines[0]["body"]["unit"] = "client"


def less_sensitivity_in_the_first_line(forger):
    forger.lines[0]["body"]["sensitivity"]["query"] = "0.001"


def stronger_protocol_in_the_first_line(forger):
    body = forger.lines[0]["body"]
    body["protocol"] = body["protocol"].replace("A=0", "A=3")


def a_number_for_other_readers(forger):
    """Python reads 2_79.0 as 279, others as 2 or not at all."""
    body = forger.lines[-1]["body"]
    body["epsilon"]["server"] = "1_0.0"


def digits_of_another_script(forger):
    forger.lines[-1]["body"]["epsilon"]["server"] = "٩٩"


def a_field_more(forger):
    forger.lines[-1]["body"]["epsilon_total"] = "0.1"


def a_field_more_in_a_round(forger):
    forger.bodies()[1]["note"] = "epsilon 0.1"


def another_author(forger):
    forger.lines[-1]["actor"] = "clinic-1"


def strangers_asked(forger):
    body = forger.bodies()[1]
    body["asked"] = [*body["asked"], 99]


def commitments_that_are_none(forger):
    for body in forger.bodies():
        body["noise"] = [[site, f"{site}-{body['session'][:4]}"] for site, _ in body["noise"]]


def another_model_at_the_end(forger):
    """Trained elsewhere, put in the folder, named by the line that nobody countersigns."""
    from safetensors.numpy import save_file

    from secure_fedmeta.federation.model import model_digest

    theta = np.arange(4.0)
    save_file({"theta": theta}, forger.run / "model.safetensors")
    forger.lines[-1]["body"]["model"] = model_digest(theta)


CHEATS = {
    aborted_but_full: (Verdict.INCOMPLETE, "signatures"),
    a_view_of_its_own: (Verdict.CLAIM_TOO_SMALL, "statements"),
    a_guarantee_in_other_words: (Verdict.CLAIM_TOO_SMALL, "statements"),
    a_second_accountant_that_flatters: (Verdict.CLAIM_TOO_SMALL, "statements"),
    another_delta_at_the_end: (Verdict.CLAIM_TOO_SMALL, "statements"),
    another_unit_in_the_first_line: (Verdict.CLAIM_TOO_SMALL, "statements"),
    less_sensitivity_in_the_first_line: (Verdict.CLAIM_TOO_SMALL, "statements"),
    stronger_protocol_in_the_first_line: (Verdict.CLAIM_TOO_SMALL, "statements"),
    a_number_for_other_readers: (Verdict.INCOMPLETE, "epsilon"),
    digits_of_another_script: (Verdict.INCOMPLETE, "epsilon"),
    a_field_more: (Verdict.INCOMPLETE, "statements"),
    a_field_more_in_a_round: (Verdict.INCOMPLETE, "statements"),
    another_author: (Verdict.INCOMPLETE, "statements"),
    strangers_asked: (Verdict.CLAIM_TOO_SMALL, "participation"),
    commitments_that_are_none: (Verdict.INCOMPLETE, "noise"),
    another_model_at_the_end: (Verdict.TAMPERED, "models"),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_cheat_is_ok_even_with_all_keys(forger, cheat):
    cheat(forger)
    audit = forger.signed(all_keys=True).audit()
    verdict, check = CHEATS[cheat]
    assert [one for one in found(audit, check) if one.verdict is verdict], audit.findings.found
    assert forger.audit(heads=True).findings.verdict is not Verdict.OK


def test_an_aborted_sum_without_witnesses_for_the_lone_verifier(forger):
    aborted_but_full(forger)
    forger.signed()
    assert standalone(forger) == 5


def test_a_threshold_lowered_in_the_first_line(forger):
    """The server alone writes that no countersignature is needed, and drops them all."""
    forger.lines[0]["body"]["behaviour"]["threshold"] = 0
    for line in forger.rounds():
        line["body"]["terms"]["threshold"] = 0
        line["sigs"] = line["sigs"][:1]
    audit = forger.signed().audit()
    assert found(audit, "terms") and audit.findings.verdict is Verdict.CLAIM_TOO_SMALL
    assert standalone(forger) == 3


def test_a_threshold_lowered_in_the_first_line_only(forger):
    forger.lines[0]["body"]["behaviour"]["threshold"] = 2
    forger.signed(all_keys=True)
    assert standalone(forger) == 3


@pytest.mark.parametrize("bend", [{"seq": True}, {"round": True}, {"seq": "1"}, {"round": -1}, {"round": 2**70}])
def test_numbers_that_are_none_are_no_ledger(forger, bend):
    forger.lines[1] |= bend
    (forger.run / "ledger.jsonl").write_text("")
    forger.plain()
    assert standalone(forger) == 1


def test_signatures_in_capitals_have_another_form(forger):
    who, text = forger.lines[1]["sigs"][0]
    forger.lines[1]["sigs"][0] = [who, text.upper()]
    forger.plain()
    assert standalone(forger) == 1


@pytest.mark.parametrize("how", ["same", "linked", "hard"])
def test_the_run_s_own_keys_are_not_from_outside_by_another_name(forger, tmp_path, how):
    inside, given = forger.run / "allow-list.toml", tmp_path / "other.toml"
    if how == "same":
        given = forger.run / ".." / forger.run.name / "allow-list.toml"
    else:
        (os.link if how == "hard" else os.symlink)(inside, given)
    audit = audit_run(forger.run, roster=given, heads=forger.sites)
    assert audit.findings.verdict is Verdict.INCOMPLETE
    assert "keys taken from the run itself" in found(audit, "roster")[0].what


@pytest.mark.parametrize("lost", ["heads", "budget.jsonl"])
@pytest.mark.parametrize("how", ["empty", "gone", "shorter"])
def test_site_files_that_are_empty_or_gone_are_named(forger, lost, how):
    path = forger.sites / "clinic-4" / lost
    whole = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(b"" if how == "empty" else whole[: whole.index(b"\n") + 1])
    audit = forger.audit(heads=True)
    assert audit.findings.verdict in {Verdict.INCOMPLETE, Verdict.TAMPERED}
    assert all("clinic-4" in one.what for one in found(audit, "heads"))


def test_no_site_handed_its_files_over(forger, tmp_path):
    (tmp_path / "nothing").mkdir()
    audit = audit_run(forger.run, roster=forger.roster, heads=tmp_path / "nothing")
    assert audit.findings.verdict is Verdict.INCOMPLETE
    assert any("no heads of 5 sites" in one.what for one in found(audit, "heads"))


@pytest.mark.parametrize("where", ["best.h5", "deep/er/best.safetensors", "linked", "ckpt.tar", "MODEL.SAFETENSORS"])
def test_whatever_may_be_a_model_is_named(forger, tmp_path, where):
    from safetensors.numpy import save_file

    path = forger.run / where
    if where == "linked":
        (tmp_path / "elsewhere").mkdir()
        save_file({"theta": np.ones(4)}, tmp_path / "elsewhere" / "best.safetensors")
        path.symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"theta": np.ones(4)}, path)
    audit = forger.audit(heads=True)
    assert audit.findings.verdict is not Verdict.OK
    assert {one.check for one in audit.findings.found} == {"models"}


def test_a_folder_that_cannot_be_read_is_named(forger, monkeypatch):
    (forger.run / "hidden").mkdir()
    real = os.scandir

    def refused(path="."):
        if str(path).endswith("hidden"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert any("hidden" in one.what for one in found(forger.audit(heads=True), "models"))


def test_a_released_model_that_is_a_link(forger, tmp_path):
    path = forger.run / "model.safetensors"
    path.rename(tmp_path / "outside.safetensors")
    path.symlink_to(tmp_path / "outside.safetensors")
    assert found(forger.audit(heads=True), "models")


def test_a_round_of_another_run_with_the_same_keys(honest, tmp_path, forger):
    """Line and countersignatures are real, of the same people: they are bound to that run's chain."""
    other = Forger(honest, tmp_path.joinpath("other").absolute().parent / "second")
    forger.lines[2] = other.copy_of(2) | {"round": 2}
    forger.lines[2]["body"]["session"] = "ab" * 32
    assert forger.signed().audit().findings.verdict is Verdict.TAMPERED and standalone(forger) == 3


def test_rounds_all_dropped(forger):
    """A run line and an end line, nothing between: the sites' files say otherwise."""
    forger.lines = [forger.lines[0], forger.lines[-1]]
    forger.lines[-1]["body"]["epsilon"] = dict.fromkeys(forger.lines[-1]["body"]["epsilon"], "0.0")
    audit = forger.signed().audit(heads=True)
    assert audit.findings.verdict is Verdict.TAMPERED and found(audit, "heads")
    for site in forger.sites.iterdir():
        for name in ("heads", "budget.jsonl"):
            (site / name).write_bytes(b"")
    assert any("kept no head" in one.what for one in found(forger.audit(heads=True), "heads"))


def test_the_lone_verifier_does_not_take_the_run_s_own_keys(forger):
    forger.roster = forger.run / "allow-list.toml"
    assert standalone(forger) == 5


def a_second_accountant_without_end(forger):
    forger.lines[-1]["body"]["second_accountant"]["server"] = "1e999"


def sites_that_are_true(forger):
    forger.bodies()[0]["noise"][0][0] = True


def masks_that_bind_nothing(forger):
    forger.bodies()[0]["behaviour"] = "x"


@pytest.mark.parametrize("cheat", [a_second_accountant_without_end, sites_that_are_true, masks_that_bind_nothing])
def test_values_that_are_none(forger, cheat):
    cheat(forger)
    audit = forger.signed(all_keys=True).audit()
    assert {one.check for one in audit.findings.found} > {"heads"}


@pytest.mark.parametrize("keys", [(), (1,), (1, 2)])
def test_the_operator_and_some_sites_are_too_few(forger, keys):
    """They leave a round's dropouts out and sign it themselves; the others' signatures do not fit any more."""
    for line in forger.rounds():
        line["body"]["findings"] = ["another history"]
        line["sigs"] = [[who, text] for who, text in line["sigs"] if who == "server" or who in keys]
    audit = forger.signed(all_keys=True).audit()  # of the sites that are left in `sigs`
    assert {one.check for one in audit.findings.found} == {"signatures", "heads"}
    assert audit.findings.verdict is Verdict.INCOMPLETE and standalone(forger) == 5
    assert forger.audit(heads=True).findings.verdict is Verdict.TAMPERED
