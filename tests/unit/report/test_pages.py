"""A run's page: made of its folder alone, the same bytes for the same files, readable by all, and without a script."""

import json
import re
import shutil

import numpy as np
import pytest

from fedmeta_privacy.errors import LedgerDamaged
from secure_fedmeta import Codebook, Plan, SiteRecords, federate
from secure_fedmeta.audit import audit_run, write_verification
from secure_fedmeta.cli import main
from secure_fedmeta.errors import FileError
from secure_fedmeta.report import write_comparison, write_report
from secure_fedmeta.report.facts import Facts

KINDS = {
    "masked": {"dropout": 0.15},
    "semi-honest": {"strength": "semi-honest", "epsilon": 1.0},
    "ckks": {"aggregation": "ckks"},
    "bfv": {"aggregation": "bfv"},
    "unmasked": {"aggregation": "none"},
    "no noise": {"epsilon": None},
    "task": {"unit": "task", "mode": "task-is-person", "task_slots": 30, "algorithm": "fomaml"},
}


def sites(repeat=False):
    rng = np.random.default_rng(3)
    made = []
    for k in range(5):
        x = rng.uniform(0, 1, (24, 2))
        ids = tuple(f"{k}-{i // 2 if repeat else i}" for i in range(24))
        made.append(
            SiteRecords(f"site-<{k}>"[:5] + str(k), x, (x[:, 0] > x[:, 1]).astype(float), ids, rows_repeat=repeat)
        )
    return made


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    made = {}

    def run(kind):
        if kind not in made:
            out = tmp_path_factory.mktemp("pages") / kind.replace(" ", "-")
            settings = {"rounds": 4, "delta": 1e-3, "support_slots": 30, "query_slots": 30, "dropout_fraction": 0.3}
            plan = Plan.make(settings | KINDS[kind])
            model = None
            if kind == "task":
                import torch

                model = torch.nn.Linear(2, 1)
            federate(plan, sites(kind == "task"), Codebook.from_ranges([(0, 1)] * 2), out=out, model=model)
            write_report(out)
            made[kind] = out
        return made[kind]

    return run


def page(out):
    return (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_no_script_no_network_and_small(run_of, kind):
    text = page(run_of(kind))
    assert len(text.encode()) < 300_000
    assert (
        "<script" not in text
        and not re.search(r'(src|href)\s*=\s*"(https?:|//)', text)
        and "url(" not in text.replace("url(#", "")
    )
    assert "default-src 'none'" in text and '<html lang="en">' in text
    assert text.count("<figure") == text.count('role="img" aria-label=')  # every drawing has words


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_files_make_the_same_bytes(run_of, kind, tmp_path):
    copy = tmp_path / run_of(kind).name
    shutil.copytree(run_of(kind), copy)
    before = page(copy)
    write_report(copy)
    assert page(copy) == before


def test_the_numbers_are_the_ledger_s(run_of):
    out = run_of("masked")
    facts, text = Facts.of(out), page(out)
    from secure_fedmeta.guarantee import show

    for value in facts.record.epsilon.values():
        assert f">{show(value)}<" in text
    assert facts.record.guarantee in text.replace("&#39;", "'")
    for name, times, opened in facts.absences:
        assert f"{name}: {times} of {opened} sums" in text


@pytest.mark.parametrize(("kind", "said"), [("ckks", "could have read every"), ("unmasked", "in the clear")])
def test_what_hides_nothing_is_told_so(run_of, kind, said):
    text = page(run_of(kind))
    assert said in text and "which sees each upload" in text and "only sums" not in text


def test_a_run_without_noise_claims_nothing(run_of):
    text = page(run_of("no noise"))
    assert "No privacy guarantee" in text and "<b>none</b>" in text


def test_the_verdict_of_an_audit_stands_on_the_next_page(run_of, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run_of("masked"), out)
    assert "No audit has been made" in page(out)
    write_verification(out, audit_run(out))
    write_report(out)
    assert "Last audit: <strong>incomplete</strong>" in page(out)
    content = json.loads((out / "verification.json").read_text())
    content["ledger"]["head"] = "0" * 64
    (out / "verification.json").write_text(json.dumps(content))
    write_report(out)
    assert "it was of another state of the ledger" in page(out)


def test_names_from_files_cannot_become_markup(run_of, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run_of("masked"), out)
    roster = json.loads((out / "roster.json").read_text())
    for one in roster:
        one["name"] = f"<img src=x onerror=alert({one['id']})>"
    (out / "roster.json").write_text(json.dumps(roster))
    (out / "scores.json").write_text(json.dumps({"title": "<script>alert(1)</script>", "columns": [], "rows": []}))
    write_report(out)
    assert "<img" not in page(out) and "<script" not in page(out)


def contrast(first, second):
    """WCAG 2.1's ratio of two colours (#rrggbb)."""

    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(first), light(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_has_contrast_in_light_and_dark(run_of):
    text = page(run_of("masked"))
    themes = [
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    ]
    assert len(themes) >= 2
    for theme in themes[:2]:
        for words in ("text", "soft", "blue", "orange", "green"):
            for ground in ("page", "box", "warn", "code"):
                least = 4.5 if words in ("text", "soft", "blue") else 3.0  # lines of a drawing are graphics
                if words in ("text", "soft", "blue") or ground == "page":
                    assert contrast(theme[words], theme[ground]) >= least, (words, ground, theme)


def test_broken_off_runs_have_a_page(run_of, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(run_of("masked"), out)
    lines = (out / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (out / "ledger.jsonl").write_bytes(b"".join(lines[:-1]))
    for name in ("disclosure.json", "metrics.jsonl", "roster.json"):
        (out / name).unlink()
    write_report(out)
    assert "broken off before its guarantee" in page(out)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("ledger.jsonl", b"not a ledger\n", LedgerDamaged),
        ("roster.json", b"{}", FileError),
        ("disclosure.json", b"[1", FileError),
        ("scores.json", b"nonsense", FileError),
    ],
)
def test_files_that_are_no_run_s_are_refused(run_of, tmp_path, name, content, error):
    out = tmp_path / "run"
    shutil.copytree(run_of("masked"), out)
    before = page(out)
    (out / name).write_bytes(content)
    with pytest.raises(error):
        write_report(out)
    assert page(out) == before


def test_a_folder_without_a_ledger(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "no ledger.jsonl in this folder" in capsys.readouterr().err


def test_two_runs_on_one_page_with_what_does_not_compare(run_of, tmp_path, capsys):
    first, second = run_of("masked"), run_of("semi-honest")
    path = write_comparison(first, second, tmp_path / "both.html")
    text = path.read_text()
    assert "They withstand different servers: malicious and semi-honest" in text and "<script" not in text
    assert "<td>epsilon</td><td>3.0</td><td>1.0</td>" in text
    assert (
        main(["compare", str(first), str(run_of("task")), "--out", str(tmp_path / "c.html"), "--format", "json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert any("different things: record" in line for line in said["not_comparable"])
    same = write_comparison(first, first, tmp_path / "same.html").read_text()
    assert "(first)" in same and "what differs between the two is noise" in same


def test_a_page_that_is_there_is_not_overwritten_unasked(run_of, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masked-bfv.html").write_text("mine")
    assert main(["compare", str(run_of("masked")), str(run_of("bfv"))]) == 1
    assert (tmp_path / "masked-bfv.html").read_text() == "mine"
