"""No record value, id or secret in a repr, an error, a ledger, a metric or any file that is shared."""

import json

import numpy as np
import pytest
from small_runs import arrays_plan, small_book

from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.errors import UserError
from secure_fedmeta.federation.client import SiteClient
from secure_fedmeta.registration import prepare_tasks
from secure_fedmeta.run import federate
from secure_fedmeta.tasks import register

CODES = [f"{7.1234567 + i * 1e-6:.7f}" for i in range(48)]


def marked_sites():
    """Every value and id can be recognised in text."""
    sites = []
    for number in range(4):
        codes = CODES[number * 12 : number * 12 + 12]
        features = np.array([[float(code), 5.0, float(code) / 2] for code in codes])
        ids = tuple(f"SECRETID{number}-{i}" for i in range(12))
        sites.append(SiteRecords(f"clinic-{number}", features, np.arange(12) % 2.0, ids))
    return sites


def tells(text):
    needles = [*CODES, *(repr(float(code)) for code in CODES), "SECRETID", "7.12345", "7.1235"]
    return [needle for needle in needles if needle in text]


def test_the_check_itself_sees_a_value():
    assert tells(str(marked_sites()[0].features[0, 0])) and tells(marked_sites()[0].ids[3])


def test_files_of_a_run(tmp_path, capsys):
    run = federate(arrays_plan(epsilon=8.0), marked_sites(), small_book(), out=tmp_path / "run")
    files = [f for f in tmp_path.rglob("*") if f.is_file()]
    assert {f.name for f in files} >= {"ledger.jsonl", "metrics.jsonl", "config.toml", "roster.json", "budget.jsonl"}
    for file in files:
        assert not tells(file.read_bytes().decode("latin-1")), file.name
    # Binary forms as well, raw and encoded.
    rows = np.concatenate([small_book().encode(s.features) for s in marked_sites()])
    raw = np.concatenate([s.features for s in marked_sites()])
    blobs = [value.tobytes() for value in np.concatenate([rows[:, 0], raw[:, 0]])]
    for file in files:
        data = file.read_bytes()
        assert not any(blob in data for blob in blobs), file.name
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert not tells(repr(run) + run.guarantee + "".join(run.beside))


def test_shared_lines_have_known_keys_only(tmp_path):
    federate(arrays_plan(epsilon=8.0), marked_sites(), small_book(), out=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "ledger.jsonl").read_text().splitlines()]
    assert [entry["type"] for entry in lines] == ["run", "round", "round", "end"]
    assert set(lines[1]["body"]) == {
        *("session", "agreed", "behaviour", "terms", "cohort", "asked", "answered", "survivors", "votes", "aborted"),
        *("honest", "shift", "charge", "books", "noise", "model_before", "model", "delta", "epsilon", "epsilon_lower"),
        *("false_shares", "findings", "excluded", "heads"),
    }
    journal = (tmp_path / "run-sites" / "clinic-0" / "budget.jsonl").read_text().splitlines()
    assert {frozenset(json.loads(line)) for line in journal} == {frozenset({"prev", "round", "seq", "shift", "type"})}


def test_reprs():
    sites = marked_sites()
    registered = prepare_tasks(arrays_plan(), sites, small_book())
    from small_runs import small_run

    simulation, parties = small_run(4)
    simulation.run_round()
    texts = [repr(registered), repr(simulation), repr(simulation.server), repr(simulation.schedule), repr(parties)]
    texts += [repr(p.client) for p in parties.values()] + [repr(p.client._task) for p in parties.values()]
    assert not any(map(tells, texts))
    assert repr(parties[1].client) == "SiteClient(1)" and isinstance(parties[1].client, SiteClient)
    assert repr(parties[1].client._task) == "Task(<records of one site>)"
    rows = parties[1].client._task.query_rows
    assert f"{rows[0, 0]:.6f}" not in "".join(texts)


def test_reprs_of_records():
    assert not any(tells(repr(site)) for site in marked_sites())
    assert "clinic-0" in repr(marked_sites()[0])


@pytest.mark.parametrize("spoil", ["range", "nan", "cap", "norm", "few", "labels", "repeat"])
def test_errors_about_records_name_no_value(spoil):
    site = marked_sites()[0]
    features, labels, ids = site.features.copy(), site.labels.copy(), list(site.ids)
    plan = arrays_plan()

    def attempt():
        if spoil == "norm":
            return register(features, labels, ids, plan=plan, key=bytes(32), site=site.name)
        made = SiteRecords(site.name, features, labels, tuple(ids))
        return prepare_tasks(plan, [made], small_book())

    if spoil == "range":
        features[3, 0] *= 1000
    elif spoil == "nan":
        features[3, 0] = np.nan
    elif spoil == "cap":
        plan = plan.changed(support_slots=1)
    elif spoil == "few":
        features, labels, ids = features[:2], labels[:2], ids[:2]
    elif spoil == "labels":
        labels[2] = 7.1234567
    elif spoil == "repeat":
        ids[1] = ids[0]
    with pytest.raises((UserError, ValueError), match="SFM-") as caught:
        attempt()
    error = caught.value
    chain = "".join(repr(e) + str(e) for e in (error, error.__cause__) if e is not None)
    assert not tells(chain) and "7123" not in chain and str(error).startswith("SFM-")
