# SPDX-License-Identifier: Apache-2.0
"""What an audit says and writes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from planted_ledgers import honest_run

from secure_fedmeta.audit import Findings, Verdict, audit_run, write_verification
from secure_fedmeta.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("audited") / "run"
    honest_run(out, rounds=2, dropout=0.2)
    (out.parent / "roster.toml").write_bytes((out / "allow-list.toml").read_bytes())
    return out


def given(run):
    return ["--roster", str(run.parent / "roster.toml"), "--heads", str(run.with_name("run-sites"))]


def test_exit_status_and_words(run, capsys):
    assert main(["audit", str(run), *given(run)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("verdict: ok\n") and "epsilon recomputed: server " in text
    assert main(["audit", str(run)]) == 5
    text = capsys.readouterr().out
    assert "verdict: incomplete" in text and "keys taken from the run itself" in text and "no site's heads" in text


def test_json_is_the_file_and_the_same_twice(run, capsys):
    assert main(["audit", str(run), *given(run), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("format") == "secure-fedmeta/audit/1"
    written = (run / "verification.json").read_bytes()
    assert json.loads(written) == shown and shown["verdict"] == "ok" and shown["status"] == 0
    audit = audit_run(run, roster=run.parent / "roster.toml", heads=run.with_name("run-sites"))
    assert write_verification(run, audit).read_bytes() == written
    assert shown["epsilon"]["recomputed"] == shown["epsilon"]["stated"]
    checks = {
        "chain",
        "roster",
        "signatures",
        "terms",
        "participation",
        "noise",
        "epsilon",
        "sampling",
        "statements",
        "heads",
        "models",
    }
    assert {check["check"] for check in shown["checks"]} == checks
    assert str(run) not in written.decode()


def test_the_worst_finding_decides():
    found = Findings()
    assert found.verdict is Verdict.OK
    for verdict in (Verdict.INCOMPLETE, Verdict.CLAIM_TOO_SMALL, Verdict.TAMPERED, Verdict.INCOMPLETE):
        found.add(verdict, "x", 0, "")
    assert found.verdict is Verdict.TAMPERED and int(found.verdict) == 3
    assert [int(v) for v in (Verdict.OK, Verdict.CLAIM_TOO_SMALL, Verdict.INCOMPLETE)] == [0, 4, 5]


@pytest.mark.parametrize("changes", [{"strength": "semi-honest"}, {"aggregation": "none"}, {"epsilon": None}])
def test_runs_without_signatures_or_noise_are_incomplete(tmp_path, changes):
    out = tmp_path / "run"
    honest_run(out, rounds=2, **changes)
    roster = out / "allow-list.toml"
    audit = audit_run(out, roster=roster if roster.exists() else None, heads=out.with_name("run-sites"))
    assert audit.findings.verdict is Verdict.INCOMPLETE, audit.findings.found
    assert all(one.verdict is Verdict.INCOMPLETE for one in audit.findings.found)


def test_the_lone_verifier_imports_nothing_of_this_project(run):
    source = (ROOT / "tools" / "verify_ledger.py").read_text()
    assert len(source.splitlines()) < 200
    assert "fedmeta" not in "".join(line for line in source.splitlines() if line.startswith(("import", "from")))
    script = run.parent / "verify_ledger.py"
    script.write_text(source)
    command = [sys.executable, "-I", str(script), str(run / "ledger.jsonl"), str(run.parent / "roster.toml")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=run.parent)
    assert (ended.returncode, ended.stdout) == (0, "chain and signatures hold\n")
    assert subprocess.run(command[:3], capture_output=True, check=False, timeout=120).returncode == 1
