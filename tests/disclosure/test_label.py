"""The plain label can be read by a reader of fourteen, and says the same odds as the numbers."""

import json
import re

import pytest

from fedmeta_privacy.errors import DisclosureRefused
from fedmeta_privacy.label import hits_in_100, plain_label
from fedmeta_privacy.run_record import RunRecord
from fedmeta_privacy.statements import Statements
from secure_fedmeta.cli import main
from secure_fedmeta.documents import read_statements
from secure_fedmeta.errors import FileError

from .conftest import EVERYTHING, KINDS


def syllables(word):
    """Groups of vowels, a silent final e not counted; at least one. Digits are read as one or two syllables."""
    word = word.lower()
    if word.isdigit():
        return 1 if len(word) == 1 else 2 * len(word)
    groups = len(re.findall(r"[aeiouy]+", word))
    if word.endswith("e") and not word.endswith(("le", "ee")) and groups > 1:
        groups -= 1
    if word.endswith("ed") and not word.endswith(("ted", "ded")) and groups > 1:
        groups -= 1
    return max(1, groups)


def flesch_kincaid(text):
    """0.39 words/sentences + 11.8 syllables/words - 15.59 (Kincaid et al. 1975)."""
    sentences = [s for s in re.split(r"[.!?]+(?:\s|$)", text) if s.strip()]
    words = re.findall(r"[A-Za-z0-9']+", text)
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def test_the_measure_measures():
    assert flesch_kincaid("The cat sat on the mat. It was fat.") < 2
    assert (
        flesch_kincaid(
            "Adversarial membership inference against distributed differentially private optimisation presupposes "
            "considerable auxiliary information."
        )
        > 20
    )
    assert [syllables(w) for w in ("noise", "model", "privacy", "table", "used", "patient")] == [1, 2, 3, 2, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", [None, EVERYTHING], ids=["person", "patient"])
def test_reading_grade_is_nine_at_most(run_of, kind, said):
    text = json.loads((run_of(kind, said).out / "disclosure.json").read_bytes())["label"]["plain"]
    assert flesch_kincaid(text) <= 9 and "\n" not in text and len(text) < 1100
    assert "legal" in text or "no promise" in text


@pytest.mark.parametrize("unit", ["record", "task", "client", "another"])
def test_every_unit_has_words(run_of, unit):
    from fedmeta_privacy import ledger

    entries = ledger.verify((run_of("masked").out / "ledger.jsonl").read_bytes())
    entries[0]["body"]["unit"] = unit
    text = plain_label(RunRecord.from_entries(entries), Statements(), 0.1)
    assert flesch_kincaid(text) <= 9


def test_the_odds_are_the_document_s(run_of):
    whole = json.loads((run_of("masked").out / "disclosure.json").read_bytes())
    bound = whole["guarantee"]["views"]["server"]["detection_at_1_percent_false_alarms"]["bound"]
    said = int(re.search(r"at most (\d+) in 100", whole["label"]["plain"])[1])
    assert bound * 100 <= said + 1e-6 and said < bound * 100 + 1
    small = json.loads((run_of("small noise").out / "disclosure.json").read_bytes())["label"]["plain"]
    assert "might well find out" in small and "at most" not in small


@pytest.mark.parametrize(("rate", "cases"), [(0.01, 1), (0.010001, 2), (0.999, 100), (1.0, 100), (0.0, 0)])
def test_rates_are_rounded_up(rate, cases):
    assert hits_in_100(rate) == cases


def test_masking_is_claimed_only_where_it_was(run_of):
    def label(kind):
        return json.loads((run_of(kind).out / "disclosure.json").read_bytes())["label"]["plain"]

    for kind in ("masked", "bfv", "rlwe", "semi-honest"):
        assert "saw only sums" in label(kind)
    for kind in ("unmasked", "ckks"):
        assert "saw only sums" not in label(kind)
    assert "one helper had the key" in label("ckks")


BAD = {
    "unknown": 'titel = "x"\n',
    "number": "title = 3\n",
    "long": f'title = "{"x" * 2001}"\n',
    "control": 'title = "a\\u001b[31m"\n',
    "names": 'curators = "Clinic A"\n',
    "many": f"curators = {['x'] * 21}\n",
    "date": 'publication_date = "soon"\n',
    "person": 'person = "<b>"\n',
    "table": "[title]\na = 1\n",
}


@pytest.mark.parametrize("name", BAD)
def test_statements_that_cannot_be_used(tmp_path, name):
    file = tmp_path / "operator.toml"
    file.write_text(BAD[name])
    with pytest.raises(DisclosureRefused, match=r"SFM-329.*operator\.toml"):
        read_statements(file)


def test_statements_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileError):
        read_statements(tmp_path / "missing.toml")
    for content in (b"a = ", b"\xff", b"#" * 70000):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(FileError):
            read_statements(tmp_path / "bad.toml")


def test_an_operator_s_words_go_over_the_pilot_s(tmp_path, capsys):
    file = tmp_path / "operator.toml"
    file.write_text('curators = ["Clinic A"]\nintended_use = "triage <trial>"\npublication_date = 2026-02-03\n')
    out = tmp_path / "run"
    assert main(["run", "hospital", "--rounds", "1", "--operator", str(file), "--out", str(out)]) == 0
    whole = json.loads((out / "disclosure.json").read_bytes())
    assert whole["identity"]["intended_use"] == "triage <trial>" and whole["identity"]["sector"] == "Healthcare"
    assert 'publication_date: "2026-02-03"' in (out / "registry.yaml").read_text()
    page = (out / "report.html").read_text()
    assert whole["label"]["plain"].replace("'", "&#39;") in page and 'href="disclosure.json"' in page
    capsys.readouterr()


def test_a_bad_operator_file_is_refused_before_anything_is_made(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operator.toml").write_text("titel = 'x'\n")
    assert main(["run", "hospital", "--operator", "operator.toml", "--out", "run"]) == 1
    assert capsys.readouterr().err.startswith("SFM-329: operator.toml: the statement 'titel'")
    assert [f.name for f in tmp_path.iterdir()] == ["operator.toml"]
