"""Documents name who could read an upload as the run was, and never a stronger hiding than it had."""

import dataclasses
import json

import pytest

from fedmeta_privacy import ledger
from fedmeta_privacy.label import plain_label
from fedmeta_privacy.run_record import RunRecord
from fedmeta_privacy.statements import Statements


def deployment(run):
    return json.loads((run.out / "disclosure.json").read_bytes())["deployment"]


def record(run):
    return RunRecord.from_entries(ledger.verify((run.out / "ledger.jsonl").read_bytes()))


def actor(run, name):
    return next((a for a in deployment(run)["actors"] if a["actor"] == name), None)


@pytest.mark.parametrize("kind", ["ckks", "unmasked"])
def test_an_upload_that_somebody_could_read_is_not_called_masked(run_of, kind):
    run = run_of(kind)
    said = deployment(run)
    assert said["model"].startswith("local: noise on each upload, no masking")
    assert said["strength"] == "none" and "double masks" not in said["encryption"]
    assert "sums of masked uploads" not in actor(run, "server")["sees"]
    assert "only noise on each upload protects" in said["a_malicious_server_could"]
    for name in ("registry.yaml", "MODEL_CARD.md"):
        text = (run.out / name).read_text(encoding="utf-8")
        assert "only sums" not in text and "no party needs to be trusted" not in text
    views = record(run).epsilon
    assert views["server"] == views["local"], "noise of others hides nothing from who reads each upload"


def test_the_reader_of_ckks_uploads_is_an_actor(run_of):
    second = actor(run_of("ckks"), "decryptor")
    assert "any site's upload" in second["sees"] and second["trusted_for"] == "opening nothing but the sums"
    assert "could read each" in deployment(run_of("ckks"))["encryption"]


@pytest.mark.parametrize(
    ("kind", "second"), [("masked", False), ("rlwe", False), ("bfv", True), ("semi-honest", False)]
)
def test_masks_are_told_with_what_stood_beside_them(run_of, kind, second):
    said = deployment(run_of(kind))
    assert said["model"].startswith("distributed: noise on each site, sums masked")
    assert said["encryption"].startswith("double masks")
    assert (actor(run_of(kind), "decryptor") is not None) is second
    views = record(run_of(kind)).epsilon
    assert views["server"] < views["local"]


def test_a_server_is_trusted_for_nothing_only_where_all_is_signed(run_of):
    assert actor(run_of("masked"), "server")["trusted_for"] == "nothing but availability"
    assert "following the protocol" in actor(run_of("semi-honest"), "server")["trusted_for"]
    assert "chained, unsigned ledger" in (run_of("semi-honest").out / "registry.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("protocol", ["", "something new, no masks", "none", "masked"])
def test_an_unknown_protocol_promises_no_masks(run_of, protocol):
    odd = dataclasses.replace(record(run_of("masked")), protocol=protocol)
    assert not odd.masked and "saw only sums" not in plain_label(odd, Statements(), 0.05)
