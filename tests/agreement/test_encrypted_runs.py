# SPDX-License-Identifier: Apache-2.0
"""Runs under each aggregation: the same noise, sums, model and epsilon, bit for bit, whatever hides the uploads."""

import json
from unittest import mock

import numpy as np
import pytest
from small_runs import arrays_plan, credentials_of, key_of, small_book, small_records, small_run, tap

from fedmeta_crypto import ProtocolError, Step
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy.ledger import verify
from secure_fedmeta.audit import audit_run
from secure_fedmeta.audit.verdict import Verdict
from secure_fedmeta.cli import main
from secure_fedmeta.federation.approximate import error_in_steps, sums_of
from secure_fedmeta.federation.decryptor import LocalDecryptor
from secure_fedmeta.federation.dropouts import PHASES
from secure_fedmeta.run import federate

WORDS = ("mask", "rlwe32", "rlwe64", "bfv")
ENCRYPTED = WORDS[1:]
# The two lattice presets differ in width alone: the wider one is run as often, but not in the quick suite.
QUICK = ["rlwe32", "bfv", pytest.param("rlwe64", marks=pytest.mark.long)]


def with_silent(run, pattern):
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
        return run.run_round().closed


def reproducible(word):
    settings = {"modulus_bits": 20, "insecure_reproducible": True, "seed": 5, "dropout": 0.3}
    plan = arrays_plan(rounds=5, aggregation=word, **settings)
    sums = []

    def watch(report, theta):
        sums.append((report.closed.survivors, theta.tobytes()))
        return {}

    run = federate(plan, small_records(5), small_book(), watch=watch)
    return run, sums


@pytest.fixture(scope="module")
def masked():
    return reproducible("mask")


@pytest.mark.parametrize("word", ENCRYPTED)
def test_the_same_model_after_every_round(word, masked):
    run, sums = reproducible(word)
    assert sums == masked[1] and np.array_equal(run.theta, masked[0].theta)
    assert run.schedule.noise == masked[0].schedule.noise and len(sums) == 5
    assert any(len(survivors) < 5 for survivors, _ in sums)


@pytest.mark.parametrize("word", QUICK)
def test_the_same_epsilon_as_masks(word):
    spent = [
        federate(arrays_plan(rounds=3, aggregation=one, modulus_bits=20), small_records(5), small_book()).spent
        for one in ("mask", word)
    ]
    assert spent[0] == spent[1] and 0 < spent[0].server < spent[0].local


@pytest.mark.parametrize("word", QUICK)
@pytest.mark.parametrize("phase", sorted(PHASES))
def test_dropouts_at_every_phase(word, phase):
    run, sites = small_run(6, aggregation=word, modulus_bits=19, epsilon=30.0)
    seen = tap(sites)
    closed = with_silent(run, {4: phase})
    assert closed.aborted is None and set(closed.survivors) >= {1, 2, 3, 5, 6}
    assert run.server.last_sum.tolist() == np.sum([seen[i][-1] for i in closed.survivors], axis=0).tolist()
    assert with_silent(run, {}).aborted is None  # and the next round is like any other
    run.close()


@pytest.mark.parametrize("word", QUICK)
def test_too_many_dropouts_end_the_round_by_name(word):
    run, sites = small_run(6, aggregation=word, epsilon=30.0)
    closed = with_silent(run, dict.fromkeys((1, 2, 3), "mask"))
    assert closed.survivors == () and "SFM-251" in closed.aborted
    assert all(site.client.budget.spent > 0 for site in list(sites.values())[3:])  # their uploads left
    assert with_silent(run, {}).aborted is None


@pytest.mark.parametrize("word", QUICK)
def test_surplus_noise_is_taken_off_the_sum(word):
    changes = {"dropout_noise": "surplus", "epsilon": 20.0, "dropout_fraction": 0.3}
    run, _ = small_run(7, aggregation=word, modulus_bits=20, **changes)
    assert run.schedule.surplus_parts > 0
    closed = with_silent(run, {})
    assert closed.aborted is None and len(closed.survivors) == 7


@pytest.mark.parametrize("word", QUICK)
def test_ledger_audit_and_folders(word, tmp_path):
    out = tmp_path / "run"
    run = federate(arrays_plan(rounds=2, aggregation=word), small_records(5), small_book(), out=out)
    (tmp_path / "roster.toml").write_bytes((out / "allow-list.toml").read_bytes())
    found = audit_run(out, roster=tmp_path / "roster.toml", heads=tmp_path / "run-sites").findings
    assert found.verdict is Verdict.OK
    first = next(iter(verify((out / "ledger.jsonl").read_bytes())))["body"]
    trust = run.schedule.hiding.trust
    assert first["trust"] == f"{trust.value}: {trust.who_could_read}" and trust.who_could_read in run.guarantee
    assert first["behaviour"]["scheme"] == run.schedule.scheme.digest.hex()
    second = tmp_path / "run-decryptor"
    assert second.exists() == ("decryptor" in first) == (word == "bfv")
    if word == "bfv":
        assert (second / "identity.key").stat().st_mode & 0o777 == 0o600
        assert first["decryptor"] in (out / "allow-list.toml").read_text()
        assert (second / "rounds").stat().st_size % 46 == 0
        secret = (second / "identity.key").read_bytes()
        for path in out.iterdir():
            assert secret not in path.read_bytes() and secret.hex().encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("word", "other"), [("rlwe32", "mask"), ("bfv", "mask"), ("mask", "bfv"), ("rlwe32", "rlwe64")]
)
def test_another_word_in_the_books_is_found(word, other, tmp_path):
    out = tmp_path / "run"
    plan = arrays_plan(rounds=2, aggregation=word, modulus_bits=20)
    federate(plan, small_records(5), small_book(), out=out)
    ledger = out / "ledger.jsonl"
    text = ledger.read_text()
    assert f'"aggregation":"{word}"' in text
    ledger.write_text(text.replace(f'"aggregation":"{word}"', f'"aggregation":"{other}"'))
    (tmp_path / "roster.toml").write_bytes((out / "allow-list.toml").read_bytes())
    assert main(["audit", str(out), "--roster", str(tmp_path / "roster.toml")]) not in (0, 5)


def test_a_decryptor_put_in_anothers_place_is_found(tmp_path):
    out = tmp_path / "run"
    federate(arrays_plan(rounds=1, aggregation="bfv"), small_records(5), small_book(), out=out)
    text = (out / "allow-list.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("decryptor"))
    (tmp_path / "roster.toml").write_text(text.replace(line, f'decryptor = "{key_of(99).public.hex()}"'))
    found = audit_run(out, roster=tmp_path / "roster.toml").findings
    assert found.verdict is Verdict.TAMPERED and "another decryptor" in str(found)


class Broken(LocalDecryptor):
    """Refuses to open, as one whose native process died does."""

    def receive(self, message):
        self.abort()
        return super().receive(message)


def test_a_decryptor_that_fails_costs_the_round_and_no_more():
    run, _ = small_run(5, aggregation="bfv", epsilon=30.0)
    real, run._decryptor.__class__ = type(run._decryptor), Broken
    closed = run.run_round().closed
    assert closed.survivors == () and "SFM-252" in closed.aborted
    run._decryptor.__class__ = real
    assert run.run_round().closed.aborted is None


def test_rounds_of_a_decryptor_are_never_begun_twice(tmp_path):
    """After a restart its own file says which rounds it began, whatever the server says."""
    run, sites = small_run(5, aggregation="bfv", epsilon=30.0, folder=tmp_path)
    assert run.run_round().closed.aborted is None
    run._decryptor.close()
    run.close()
    again = LocalDecryptor(run.schedule, credentials_of(DECRYPTOR, sites), tmp_path / "decryptor")
    with pytest.raises(Exception, match="SFM-246"):
        again.begin(1)
    assert again.begin(2).send
    again.close()


def test_nothing_of_a_run_shows_a_key(tmp_path, capsys, caplog):
    out = tmp_path / "run"
    federate(arrays_plan(rounds=1, aggregation="bfv"), small_records(5), small_book(), out=out)
    shown = capsys.readouterr()
    assert "secret" not in (shown.out + shown.err + caplog.text).lower()
    facts = json.loads((out / "disclosure.json").read_text())
    assert "bfv" in json.dumps(facts)


# -- ckks: no masks, an approximate sum, the epsilon of bare uploads ----------------------------------------


def test_approximate_sums_round_to_the_integers_of_bare_uploads():
    seen = {}
    for word in ("none", "ckks"):
        settings = {"modulus_bits": 28, "insecure_reproducible": True, "seed": 5, "dropout": 0.3}
        run = federate(arrays_plan(rounds=3, aggregation=word, **settings), small_records(5), small_book())
        seen[word] = run.theta.tobytes(), [report.closed.survivors for report in run.rounds]
    assert seen["ckks"] == seen["none"]


def test_the_error_is_there_and_within_its_bound():
    run, _ = small_run(6, aggregation="ckks", epsilon=30.0)
    assert run.run_round().closed.aborted is None
    assert 0 < run.server.last_error <= error_in_steps(run.schedule) < 0.5


@pytest.mark.parametrize("bent", ["short", "another round", "infinite", "another magic", "unasked"])
def test_an_opened_sum_that_is_not_one_is_refused(bent):
    run, _ = small_run(4, aggregation="ckks", epsilon=30.0)
    (key,) = run._decryptor.begin(1).send
    run.server.announce(key.message)
    approximate = run.server._plain
    head = b"sfmckks3" + (2 if bent == "another round" else 1).to_bytes(8, "little") + (4).to_bytes(4, "little")
    values = np.full(run.schedule.length, np.inf if bent == "infinite" else 1.0)
    message = head + values.astype("<f8").tobytes()
    if bent == "another magic":
        message = b"sfmckks9" + message[8:]
    if bent == "short":
        message = message[:-1]
    approximate._waiting = bent != "unasked"
    with pytest.raises(ProtocolError, match="SFM-248"):
        run.server.receive(message, sender=DECRYPTOR)
    assert run.server.closed is None
    run._decryptor.close()


def test_a_decryptor_that_says_nothing_ends_the_round_by_name():
    run, sites = small_run(4, aggregation="ckks", epsilon=30.0)
    run._decryptor.receive = lambda message: Step()
    closed = run.run_round().closed
    assert closed.survivors == () and "SFM-252" in closed.aborted
    assert all(site.client.budget.spent > 0 for site in sites.values())  # what they sent could be read
    del run._decryptor.receive
    assert run.run_round().closed.aborted is None


def test_a_decryptor_opens_one_sum_a_key():
    run, _ = small_run(4, aggregation="ckks", epsilon=30.0)
    decryptor = run._decryptor
    decryptor.begin(1)
    zeros = bytes(8 * sums_of(run.schedule).coefficients)
    message = b"sfmckks2" + (1).to_bytes(8, "little") + (4).to_bytes(4, "little") + zeros
    for wrong, error in (
        (message[:-1], "SFM-221"),
        (message + b"x", "SFM-222"),
        (message[:16] + bytes(4) + zeros, "SFM-223"),
    ):
        with pytest.raises(ProtocolError, match=error):
            decryptor.receive(wrong)
    with pytest.raises(ProtocolError):
        decryptor.receive(message[:20] + b"\xff" * len(zeros))
    with pytest.raises(ProtocolError, match="SFM-226"):
        decryptor.begin(1)
    decryptor.close()


def test_uploads_under_ckks_that_are_not_ones_are_refused():
    run, _ = small_run(4, aggregation="ckks", epsilon=30.0)
    sent, real = [], run.server.receive

    def watched(message, *, sender):
        sent.append((message, sender))
        return real(message, sender=sender)

    run.server.receive = watched
    run.run_round()
    upload = next(message for message, sender in sent if sender == 1)
    (key,) = run._decryptor.begin(2).send
    run.server.announce(key.message)
    with pytest.raises(ProtocolError, match="SFM-225"):
        real(upload, sender=1)  # of another round
    fresh = upload[:8] + run.server._plain._session + upload[40:]
    for bent, sender, code in (
        (fresh, 2, "SFM-227"),
        (fresh[:-1], 1, "SFM-221"),
        (fresh + b"x", 1, "SFM-222"),
        (b"", 1, "SFM-223"),
    ):
        with pytest.raises(ProtocolError, match=code):
            real(bent, sender=sender)
    real(fresh, sender=1)
    with pytest.raises(ProtocolError, match="SFM-229"):
        real(fresh, sender=1)
    run._decryptor.close()
