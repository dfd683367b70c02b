"""A run that was killed goes on: the state comes back exactly, and the interrupted round stays charged."""

import json

import pytest
from killed_runs import Died, audited, charged, dying, played

from secure_fedmeta.audit import Verdict
from secure_fedmeta.errors import FileError, ResumeRefused
from secure_fedmeta.federation.contribution import ClosedForm
from secure_fedmeta.federation.state import held_states
from secure_fedmeta.files import server_beside


def between(simulation):
    """Between two rounds."""
    raise Died


def amid(monkeypatch):
    """A moment inside a round: the second site is about to compute its upload."""
    calls = iter(range(10**6))

    def moment(simulation):
        real = ClosedForm.units

        def units(*given):
            if next(calls) == 1:
                monkeypatch.setattr(ClosedForm, "units", real)
                raise Died
            return real(*given)

        monkeypatch.setattr(ClosedForm, "units", units)

    return moment


def lines_of(out):
    return [json.loads(line) for line in (out / "ledger.jsonl").read_bytes().splitlines()]


def server_epsilon(line):
    return float(line["body"]["epsilon"]["server"])


@pytest.mark.parametrize("strength", ["malicious", "semi-honest"])
def test_an_interrupted_round_is_kept_charged_and_done_again(tmp_path, monkeypatch, strength):
    out = tmp_path / "run"
    dying(monkeypatch, out, 3, amid(monkeypatch), strength=strength)
    before = charged(out, strength=strength)
    assert [sorted(rounds) for rounds in before.values()].count([1, 2, 3]) >= 1
    run = played(out, resume=True, strength=strength)
    lines = lines_of(out)
    assert [(line["type"], line["round"]) for line in lines][:5] == [
        ("run", 0), ("round", 1), ("round", 2), ("round", 3), ("resume", 3),
    ]  # fmt: skip
    lost = lines[3]["body"]
    assert lost["survivors"] == [] and lost["aborted"] and lost["asked"]
    assert server_epsilon(lines[3]) > server_epsilon(lines[2]) and lines[4]["body"]["interrupted"] == 3
    assert lines[5]["type"] == "round" and lines[5]["round"] == 4 and not lines[5]["body"]["aborted"]
    after = charged(out, strength=strength)
    assert all(after[name][at] >= shift * (1 - 1e-12) for name, old in before.items() for at, shift in old.items())
    assert run.spent.server >= server_epsilon(lines[3])
    audit = audited(out)
    assert audit.findings.verdict is (Verdict.OK if strength == "malicious" else Verdict.INCOMPLETE), audit.findings
    assert float(audit.epsilon["server"]) == pytest.approx(run.spent.server)
    assert [json.loads(row)["round"] for row in (out / "metrics.jsonl").read_text().splitlines()] == [
        line["round"] for line in lines if line["type"] == "round" and line["round"] != 3
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"outer": "adam"},
        {"outer_momentum": 0.5},
        {"tail_average": 0.6},
    ],
)
def test_the_outer_state_comes_back_exactly(tmp_path, monkeypatch, changes):
    """The optimiser after loading is the one before, to the last bit; without noise the whole model is."""
    quiet = {"epsilon": None, "strength": "semi-honest"} | changes
    whole = played(tmp_path / "whole", **quiet)
    dying(monkeypatch, tmp_path / "run", 4, between, **quiet)
    again = played(tmp_path / "run", resume=True, **quiet)
    assert again.theta.tobytes() == whole.theta.tobytes()
    assert [report.closed.round for report in again.rounds] == [4, 5]


def test_between_two_rounds_nothing_is_lost(tmp_path, monkeypatch):
    out = tmp_path / "run"
    dying(monkeypatch, out, 3, between)
    assert len(held_states(server_beside(out))) == 2
    with (out / "ledger.jsonl").open("ab") as file:
        file.write(b'{"torn')
    with (out / "metrics.jsonl").open("ab") as file:
        file.write(b'{"round": 9}\n{"rou')
    played(out, resume=True)
    lines = lines_of(out)
    assert lines[3]["type"] == "resume" and lines[3]["body"]["interrupted"] is None
    assert audited(out).findings.verdict is Verdict.OK


@pytest.mark.parametrize("changes", [{}, {"aggregation": "bfv"}])
def test_reproducible_runs_end_bit_identical(tmp_path, monkeypatch, changes):
    exact = {"insecure_reproducible": True} | changes
    whole = played(tmp_path / "whole", **exact)
    dying(monkeypatch, tmp_path / "run", 3, amid(monkeypatch), **exact)
    again = played(tmp_path / "run", resume=True, **exact)
    assert again.theta.tobytes() == whole.theta.tobytes()
    released = [tmp_path / name / "model.safetensors" for name in ("whole", "run")]
    assert released[0].read_bytes() == released[1].read_bytes()
    assert (tmp_path / "run-interrupted-1" / "ledger.jsonl").is_file()
    assert audited(tmp_path / "run").findings.verdict is Verdict.INCOMPLETE  # no guarantee, and nothing else


def test_a_decryptor_never_makes_a_key_for_the_interrupted_round_again(tmp_path, monkeypatch):
    out = tmp_path / "run"
    dying(monkeypatch, out, 2, amid(monkeypatch), aggregation="bfv")
    played(out, resume=True, aggregation="bfv")
    kinds = [(line["type"], line["round"]) for line in lines_of(out)]
    assert kinds[2:5] == [("round", 2), ("resume", 2), ("round", 3)]
    assert audited(out).findings.verdict is Verdict.OK


def test_what_cannot_go_on_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ResumeRefused, match="SFM-149: the folder holds no run"):
        played(tmp_path / "run", resume=True)
    with pytest.raises(ResumeRefused, match="SFM-149: there is no folder"):
        played(None, resume=True)
    dying(monkeypatch, tmp_path / "run", 2, between)
    with pytest.raises(ResumeRefused, match="SFM-149: the ledger is of a run with other settings"):
        played(tmp_path / "run", resume=True, outer_lr=0.5)
    from secure_fedmeta.federation.storage import Appender

    held = Appender(tmp_path / "run" / "ledger.jsonl")
    with pytest.raises(FileError, match="another run holds this file"):
        played(tmp_path / "run", resume=True)
    held.close()
    played(tmp_path / "run", resume=True)
    with pytest.raises(ResumeRefused, match="SFM-149: the run has ended"):
        played(tmp_path / "run", resume=True)
