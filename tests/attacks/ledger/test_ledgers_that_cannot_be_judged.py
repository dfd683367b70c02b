# SPDX-License-Identifier: Apache-2.0
"""Bad input is a numbered error and no verdict, in the audit and in the verifier that stands alone."""

import json
import tracemalloc

import pytest

from fedmeta_privacy.errors import LedgerDamaged, LedgerTooLarge, LedgerVersion
from fedmeta_privacy.ledger import MAX_LINE_BYTES, MAX_LINES, canonical, read
from secure_fedmeta.cli import main
from secure_fedmeta.errors import AuditRefused, FileError

ERRORS = [
    (lambda line: line.replace(b'"v":2', b'"v":3'), LedgerVersion),
    (lambda line: line.replace(b'"v":2', b'"v":1'), LedgerVersion),
    (lambda line: line.replace(b'"v":2', b'"v":true'), LedgerVersion),
    (lambda line: line[:-1], LedgerDamaged),
    (lambda line: line[: len(line) // 2] + b"\n", LedgerDamaged),
    (lambda line: b"\xff\xfe" + line, LedgerDamaged),
    (lambda line: b"[" * 100_000 + b"\n", LedgerDamaged),
    (lambda line: b"9" * 10_000 + b"\n", LedgerDamaged),
    (lambda line: line.replace(b'"actor":', b'"actor":"server","actor":'), LedgerDamaged),
    (lambda line: line.replace(b'"seq":0', b'"seq":NaN'), LedgerDamaged),
    (lambda line: line.replace(b'"seq":0', b'"seq":0.0'), LedgerDamaged),
    (lambda line: line.replace(b'"seq":0', b'"seq":-1'), LedgerDamaged),
    (lambda line: line.replace(b'"round":0', b'"round":true'), LedgerDamaged),
    (lambda line: line.replace(b'"sigs":[', b'"sigs":[[7,"00"],'), LedgerDamaged),
    (lambda line: line.replace(b'"body":{', b'"body": {'), LedgerDamaged),
    (lambda line: b"x" * (MAX_LINE_BYTES + 1), LedgerTooLarge),
    (lambda line: b"\n" + line, LedgerDamaged),
    (lambda line: b"", AuditRefused),
]


@pytest.mark.parametrize(("bend", "error"), ERRORS)
def test_no_verdict_and_no_file(forger, bend, error, capsys):
    ledger = forger.run / "ledger.jsonl"
    ledger.write_bytes(bend(ledger.read_bytes().splitlines(keepends=True)[0]))
    with pytest.raises(error):
        forger.audit()
    assert main(["audit", str(forger.run), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == error.code
    assert not (forger.run / "verification.json").exists()


def test_a_gigabyte_line_is_not_read(tmp_path):
    """Of a file of holes only a little more than the largest line is looked at."""
    path = tmp_path / "ledger.jsonl"
    with path.open("wb") as file:
        file.truncate(2**30)
    tracemalloc.start()
    with path.open("rb") as file, pytest.raises(LedgerTooLarge, match="line 1 has more than"):
        list(read(file))
    assert tracemalloc.get_traced_memory()[1] < 8 * MAX_LINE_BYTES
    tracemalloc.stop()


def test_too_many_lines(monkeypatch, forger):
    from fedmeta_privacy import ledger

    assert MAX_LINES > 100_000  # a run of the most rounds fits
    monkeypatch.setattr(ledger, "MAX_LINES", 3)
    with pytest.raises(LedgerTooLarge, match="more than 3 lines"):
        forger.audit()


@pytest.mark.parametrize("value", [[], "x", None, {}, {"plan": 1}, {"clients": 5}])
def test_a_run_line_that_says_nothing(forger, value):
    forger.lines[0]["body"]["behaviour"] = value
    with pytest.raises(AuditRefused, match="SFM-122"):
        forger.signed().audit()


@pytest.mark.parametrize(
    ("name", "value"),
    [("epsilon", "-1.0"), ("epsilon", "nan"), ("epsilon", "inf"), ("rounds", -4), ("clients", 0), ("clients", True),
     ("dimension", -1), ("dimension", "4"), ("clip_norm", "0.0"), ("delta", "1.0"), ("codebook", "zz"), ("unit", 5),
     ("outer_lr", "1e999"), ("strength", "strong"), ("clients", 10**30)],
)  # fmt: skip
def test_settings_without_a_guarantee(forger, name, value):
    forger.lines[0]["body"]["behaviour"][name] = value
    if name == "unit":
        del forger.lines[0]["body"]["behaviour"]["clients"]
    with pytest.raises(AuditRefused):
        forger.signed().audit()


@pytest.mark.parametrize(
    ("field", "value"),
    [("survivors", "1-5"), ("asked", [1, 1]), ("asked", [5, 1]), ("votes", "5"), ("answered", None),
     ("survivors", [[1]]), ("epsilon", None), ("epsilon", {}), ("epsilon", {"server": "-1"}), ("terms", None),
     ("noise", None), ("noise", [1, 2]), ("noise", [[{}, {}]]), ("model", {}), ("model", [[]]), ("asked", {}),
     ("books", {}), ("cohort", [[]]),
     ("session", 5), ("agreed", "zz"), ("excluded", []), ("epsilon", {"server": {}})],
)  # fmt: skip
def test_a_round_that_does_not_say_enough_is_never_ok(forger, field, value):
    """Signed by everyone: what cannot be read is not passed over."""
    forger.bodies()[1][field] = value
    verdict = forger.signed(all_keys=field not in ("survivors", "session", "agreed")).audit(heads=False).findings
    assert verdict.verdict != 0 and any(one.line == 3 for one in verdict.found)


def test_folders_and_rosters_that_are_not_there(forger, tmp_path, capsys):
    with pytest.raises(FileError, match="cannot read the ledger"):
        from secure_fedmeta.audit import audit_run

        audit_run(tmp_path)
    assert main(["audit", str(forger.run), "--roster", str(tmp_path / "none.toml")]) == 1
    assert main(["audit", str(forger.run), "--heads", str(tmp_path / "none")]) == 1
    (forger.sites / "clinic-1" / "heads").write_bytes(canonical({"countersigned": 5}) + b"\n")
    assert main(["audit", str(forger.run), "--heads", str(forger.sites)]) == 1
    assert "SFM-121" in capsys.readouterr().err
