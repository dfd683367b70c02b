"""`secure-fedmeta run hospital` from the outside: files, lines, sentences, folders."""

import json
import re

import numpy as np
import pytest
from safetensors.numpy import load_file

from fedmeta_privacy.ledger import verify
from secure_fedmeta.cli import main
from secure_fedmeta.plan import Plan

FILES = {
    "allow-list.toml",
    "config.toml",
    "roster.json",
    "ledger.jsonl",
    "metrics.jsonl",
    "model.safetensors",
    "report.html",
    "scores.json",
    "disclosure.json",
    "registry.yaml",
    "MODEL_CARD.md",
}


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    """Run once per set of options and keep what it left and printed."""
    made = {}
    folder = tmp_path_factory.mktemp("runs")

    def run(*options, again=""):
        key = (options, again)
        if key not in made:
            out = folder / f"run{len(made)}"
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                capture = Capture()
                patch.setattr("sys.stdout", capture.out)
                patch.setattr("sys.stderr", capture.err)
                status = main(["run", "hospital", "--rounds", "2", "--out", str(out), *options])
            made[key] = (status, capture.out.getvalue(), capture.err.getvalue(), out)
        return made[key]

    return run


class Capture:
    def __init__(self):
        import io

        self.out, self.err = io.StringIO(), io.StringIO()


def ledger(out):
    return verify((out / "ledger.jsonl").read_bytes())


def test_all_files_are_left(pilot):
    status, text, err, out = pilot()
    assert status == 0 and err == ""
    assert {f.name for f in out.iterdir()} == FILES and all(f.stat().st_size for f in out.iterdir())
    assert all(name in text for name in FILES)
    assert [e["type"] for e in ledger(out)] == ["run", "round", "round", "end"]
    for name in ("budget.jsonl", "identity.key", "rounds"):
        files = list((out.parent / f"{out.name}-sites").glob(f"*/{name}"))
        assert len(files) == 10 and {f.stat().st_mode & 0o777 for f in files} == {0o600}
    assert load_file(out / "model.safetensors")["theta"].shape == (31,)
    page = (out / "report.html").read_text()
    assert "<script" not in page and not re.search(r'(src|href)="https?:', page)


def test_plain_lines_one_a_round_and_no_escapes(pilot):
    _, text, _, _ = pilot()
    assert "\x1b" not in text and "\r" not in text
    assert len(re.findall(r"^ *[12]/2 ", text, re.MULTILINE)) == 2
    assert "simulation only, not covered by epsilon" in text


def test_the_sentence_is_the_ledger_s_and_within_the_target(pilot):
    _, text, _, out = pilot()
    end = ledger(out)[-1]["body"]
    assert (
        end["guarantee"] in text and "at most A = 1 of 10 sites corrupt, together with a server that may break" in text
    )
    epsilon = float(end["epsilon"]["server"])
    assert 0 < epsilon <= 3.0 < float(end["epsilon"]["local"])
    assert "by at most a factor of e^3 " in text
    shown = float(re.search(r"used e\^([0-9.]+) of it", text)[1])
    assert epsilon <= shown < epsilon + 0.001
    assert end["guarantee"] in (out / "report.html").read_text().replace("&#39;", "'")


def test_the_config_says_the_same_plan(pilot):
    _, _, _, out = pilot()
    name, plan = Plan.from_toml(out / "config.toml")
    assert name == "hospital" and plan.rounds == 2 and plan.epsilon == 3.0
    behaviour = ledger(out)[0]["body"]["behaviour"]
    assert behaviour["rounds"] == 2 and float(behaviour["clip_norm"]) == plan.clip_norm


def test_json_is_one_line_on_stdout(pilot):
    status, text, err, out = pilot("--format", "json")
    assert status == 0 and text.count("\n") == 1
    answer = json.loads(text)
    assert answer["rounds"] == 2 and answer["stopped"] is None and answer["out"] == str(out)
    assert answer["epsilon"]["server"] <= 3.0 and answer["guarantee"] in err.replace("\n", " ")
    assert "guarantee" in err


def test_a_second_run_into_the_folder_is_refused_and_the_first_untouched(pilot, capsys):
    _, _, _, out = pilot()

    def looks():
        both = [out, out.parent / f"{out.name}-sites"]
        return {f: (f.read_bytes(), f.stat().st_mtime_ns) for d in both for f in d.rglob("*") if f.is_file()}

    before = looks()
    assert main(["run", "hospital", "--rounds", "2", "--out", str(out)]) == 1
    assert capsys.readouterr().err.startswith("SFM-103: the folder already holds a run")
    assert looks() == before


def test_the_sites_folder_of_an_older_run_is_refused_and_nothing_is_made(tmp_path, capsys):
    (tmp_path / "run-sites" / "hospital-01").mkdir(parents=True)
    (tmp_path / "run-sites" / "hospital-01" / "budget.jsonl").write_text("")
    assert main(["run", "hospital", "--rounds", "2", "--out", str(tmp_path / "run")]) == 1
    assert "SFM-103" in capsys.readouterr().err
    assert [f.name for f in tmp_path.iterdir()] == ["run-sites"]


def test_without_out_the_next_free_folder_is_taken(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "hospital-1").mkdir(parents=True)
    assert main(["run", "hospital", "--rounds", "1", "--epsilon", "none"]) == 0
    assert {f.name for f in (tmp_path / "runs" / "hospital-2").iterdir()} == FILES
    assert (tmp_path / "runs" / "hospital-2-server" / "identity.key").stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "runs" / "hospital-1").iterdir()) == []
    assert "runs/hospital-2" in capsys.readouterr().out


def test_reproducible_twice_is_identical_and_claims_nothing(pilot):
    options = ("--insecure-reproducible", "--dropout", "0.1", "--seed", "5")
    (first, text, _, a), (second, _, _, b) = pilot(*options), pilot(*options, again="yes")
    assert first == second == 0 and a != b
    for name in FILES - {"metrics.jsonl", "report.html"}:
        assert (a / name).read_bytes() == (b / name).read_bytes(), name
    for entry in ledger(a)[1:]:
        assert set(entry["body"]["epsilon"].values()) == {"none"}
    end = ledger(a)[-1]["body"]
    assert end["second_accountant"]["server"] == "none" and end["guarantee"].startswith("No privacy guarantee")
    assert "a factor of e^" not in text and not re.search(r"epsilon \d+\.\d+", text)
    rounds = [line for line in text.splitlines() if re.match(r" *[12]/2 ", line)]
    assert len(rounds) == 2 and all(line.split()[-4:-1] == ["none"] * 3 for line in rounds)


def test_otherwise_the_noise_is_fresh(pilot):
    (_, _, _, a), (_, _, _, b) = pilot("--seed", "5"), pilot("--seed", "5", again="yes")
    first, second = (load_file(out / "model.safetensors")["theta"] for out in (a, b))
    assert not np.array_equal(first, second)
    assert [e["body"]["survivors"] for e in ledger(a)[1:3]] == [e["body"]["survivors"] for e in ledger(b)[1:3]]
    assert (a / "config.toml").read_bytes() == (b / "config.toml").read_bytes()


def test_no_epsilon_no_sentence(pilot):
    status, text, _, out = pilot("--epsilon", "none")
    assert status == 0
    page = (out / "report.html").read_text()
    for told in (text, page):
        assert "No privacy guarantee" in told and "a factor of e^" not in told
    assert set(ledger(out)[-1]["body"]["epsilon"].values()) == {"none"}
    assert "second accountant" not in text


def test_without_masks_only_each_upload_is_claimed(pilot):
    status, text, _, out = pilot("--aggregation", "none")
    assert status == 0
    sentence = ledger(out)[-1]["body"]["guarantee"]
    assert sentence in text and "each site's upload included" in sentence
    assert "the sum over" not in sentence and "outsiders" not in sentence and "colluding" not in sentence
    end = ledger(out)[-1]["body"]["epsilon"]
    assert end["server"] == end["local"] and float(end["local"]) <= 3.0
    assert f"e^{np.ceil(float(end['local']) * 1000) / 1000:.3f}" in sentence
    assert ledger(out)[0]["body"]["protocol"] == "none"


SAYS = {
    "bfv": ('trust model "split, masked"', "sums of masked words, uniform to it", True),
    "rlwe32": ('trust model "threshold"', "Research grade", True),
    "rlwe64": ('trust model "threshold"', "Research grade", True),
    "ckks": ('trust model "split":', "could have read every hospital", False),
}


@pytest.mark.parametrize(
    "word", ["bfv", "rlwe32", *(pytest.param(word, marks=pytest.mark.long) for word in ("rlwe64", "ckks"))]
)
def test_every_aggregation_runs_and_says_who_could_decrypt_what(pilot, word, tmp_path, capsys):
    trust, seen, sums_only = SAYS[word]
    status, text, _, out = pilot("--aggregation", word)
    assert status == 0
    sentence = ledger(out)[-1]["body"]["guarantee"]
    assert trust in sentence and sentence in text
    assert ("the sum over at least 9 sites" in sentence) == sums_only
    assert ("each site's upload included" in sentence) == (not sums_only)
    end = ledger(out)[-1]["body"]["epsilon"]
    assert (float(end["server"]) < float(end["local"])) == sums_only and float(end["server"]) <= 3.0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert seen in page and trust.replace('"', "&#34;") in page
    assert "decryptor" in page or word.startswith("rlwe")
    assert main(["run", str(out / "config.toml"), "--rounds", "1", "--out", str(tmp_path / "again")]) == 0
    capsys.readouterr()
    roster = tmp_path / "roster.toml"
    if sums_only:
        roster.write_bytes((out / "allow-list.toml").read_bytes())
        heads = out.with_name(out.name + "-sites")
        assert main(["audit", str(out), "--roster", str(roster), "--heads", str(heads)]) == 0
        assert capsys.readouterr().out.startswith("verdict: ok")
    else:
        assert main(["audit", str(out)]) == 5  # nobody signed


def test_colluders_and_dropouts_stay_within_the_target(pilot):
    status, text, _, out = pilot("--colluders", "3", "--dropout", "0.15", "--dropout-fraction", "0.2")
    assert status == 0 and "at most A = 3 of 10 sites corrupt" in text and "A=3, D=2, quorum 7" in text
    assert float(ledger(out)[-1]["body"]["epsilon"]["server"]) <= 3.0


def test_rounds_that_never_open_end_the_run_by_themselves(pilot):
    status, text, _, out = pilot("--dropout", "0.95", "--dropout-fraction", "0.1", "--rounds", "30")
    assert status == 0 and "stopped early" in text and "rounds in a row" in text
    entries = ledger(out)
    assert entries[-1]["body"]["stopped"] and all(not e["body"]["survivors"] for e in entries if e["type"] == "round")
    assert not load_file(out / "model.safetensors")["theta"].any()


@pytest.mark.parametrize("strength", ["malicious", "semi-malicious", "semi-honest"])
def test_the_strength_and_a_downgrade_are_told_everywhere(pilot, strength):
    status, text, _, out = pilot("--strength", strength)
    assert status == 0 and f"{strength}: double masks, complete graph, k=9, t=6" in text
    page = (out / "report.html").read_text()
    assert f"strength {strength}; double masks" in page
    assert f"SFM-SecAgg/1 {strength}, complete graph, k=9, t=6" in ledger(out)[0]["body"]["protocol"]
    for told in (text, page):
        assert ("Downgrade: " in told) == (strength != "malicious")
        assert "nobody signs yet" not in told.lower()
    if strength != "semi-honest":
        assert "A=1, D=1, quorum 6" in text and "n_min = 9 survivors, at least 8 honest" in text
        assert "A = 1" in page and "quorum=6" in page and "h = 8 honest" in page


def test_a_threshold_is_refused_where_it_follows_from_the_rest(tmp_path, capsys):
    assert main(["run", "hospital", "--threshold", "7", "--out", str(tmp_path / "run")]) == 1
    assert "SFM-301" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
    options = ["--rounds", "1", "--strength", "semi-honest", "--threshold", "7", "--out", str(tmp_path / "run")]
    assert main(["run", "hospital", *options]) == 0
    assert "t=7 of 10" in capsys.readouterr().out
