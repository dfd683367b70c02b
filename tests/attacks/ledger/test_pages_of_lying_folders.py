# SPDX-License-Identifier: Apache-2.0
"""A run's folder may come from anybody. Its page shows no less than its rounds come to, repeats no sentence of a file
beside the ledger, and a file that is no run's ends in a numbered error."""

import hashlib
import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmeta_privacy.errors import PrivacyError
from fedmeta_privacy.ledger import GENESIS, canonical, decimal
from secure_fedmeta.cli import main
from secure_fedmeta.errors import UserError
from secure_fedmeta.guarantee import show
from secure_fedmeta.report import write_comparison, write_report
from secure_fedmeta.report.facts import Facts

VIEWS = ("server", "member", "release", "local")


def page(run):
    return write_report(run).read_text(encoding="utf-8")


def lower_everything(forger):
    """Every epsilon of every line, and the sentence, a tenth of what they were."""
    for line in [*forger.rounds(), forger.lines[-1]]:
        stated = line["body"]["epsilon"]
        for view in stated:
            stated[view] = decimal(float(stated[view]) / 10)
    end = forger.lines[-1]["body"]
    end["guarantee"] = end["guarantee"].replace("epsilon", "a very small epsilon")
    return forger.signed(all_keys=True)


def test_an_honest_page_has_no_warning(forger):
    facts = Facts.of(forger.run)
    assert not facts.contradictions and facts.epsilon == dict(facts.record.epsilon)
    assert "contradicts itself" not in page(forger.run)


def test_lowered_claims_are_shown_as_what_the_rounds_come_to(forger):
    honest = Facts.of(forger.run)
    run = lower_everything(forger).run
    facts, text = Facts.of(run), page(run)
    assert facts.epsilon == pytest.approx(dict(honest.epsilon)) and facts.guarantee == honest.guarantee
    assert facts.record.epsilon["server"] < honest.record.epsilon["server"] / 9
    for view in VIEWS:
        assert f">{show(honest.epsilon[view])}<" in text
        assert f">{show(facts.record.epsilon[view])}<" not in text
    assert "This ledger contradicts itself" in text and "the closing line states epsilon" in text
    assert "a very small epsilon" not in text


def test_one_round_in_the_middle_is_named_and_drawn_as_it_should_be(forger):
    honest = Facts.of(forger.run)
    forger.bodies()[1]["epsilon"]["server"] = "0.001"
    facts = Facts.of(forger.signed(all_keys=True).run)
    assert [line.split(" states")[0] for line in facts.contradictions] == [f"round {facts.numbers[1]}"]
    assert facts.curves[1]["server"] == pytest.approx(honest.curves[1]["server"])


def test_a_comparison_says_which_of_the_two_lies(forger, honest, tmp_path, capsys):
    run = lower_everything(forger).run
    text = write_comparison(honest, run, tmp_path / "both.html").read_text()
    assert "contradicts itself: the closing line states epsilon" in text
    shown = show(Facts.of(honest).epsilon["server"])
    assert text.count(f"<b>{shown}</b>") == 2  # both cards: the lie is not repeated
    assert main(["compare", str(honest), str(run), "--out", str(tmp_path / "again.html")]) == 0
    said = capsys.readouterr().out
    assert said.count(f"epsilon {shown} for the server") == 2 and "contradicts itself" in said


def test_sentences_of_a_disclosure_beside_the_ledger_are_not_repeated(forger):
    path = forger.run / "disclosure.json"
    content = json.loads(path.read_text())
    before = page(forger.run)
    lie = "Nobody can learn anything at all."
    content["label"]["plain"] = lie
    content["protected"] = {"unit_in_words": lie, "not_covered": [lie]}
    content["deployment"]["actors"] = [{"actor": lie, "sees": lie, "trusted_for": lie}]
    content["guarantee"]["views"] = {"server": {"sees": lie, "gdp_mu": 0.001, "epsilon": "0.001"}}
    path.write_text(json.dumps(content))
    assert page(forger.run) == before


def test_a_title_is_no_formula_and_a_name_no_markup(forger):
    shown = {"key": "loss", "title": "$\\frac{$ <b>bold</b>"}
    (forger.run / "scores.json").write_text(json.dumps({"live": shown, "title": "$x_{", "columns": [], "rows": []}))
    (forger.run / "metrics.jsonl").write_text('{"round": 1, "loss": 1.0}\n{"round": 2, "loss": 0.5}\n')
    text = page(forger.run)
    assert "<b>bold" not in text and "$x_{" in text


def nested(leaves):
    def grow(inner):
        return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)

    return st.recursive(leaves, grow, max_leaves=12)


plain = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
nonsense = nested(plain | st.floats())


@pytest.fixture(scope="module")
def victim(honest, tmp_path_factory):
    """One copy for all the nonsense; each example restores what it spoiled."""
    run = tmp_path_factory.mktemp("victim") / "run"
    shutil.copytree(honest, run)
    write_report(run)
    return run


def spoiled_page(run, name, data):
    """The page, or the numbered error; anything else is a bug. What was there before stays when it is refused."""
    path, shown = run / name, run / "report.html"
    kept, before = path.read_bytes() if path.exists() else None, shown.read_bytes()
    path.write_bytes(data)
    try:
        write_report(run)
    except (UserError, PrivacyError) as error:
        assert str(error).startswith("SFM-") and shown.read_bytes() == before
    finally:
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(where=st.sampled_from(("scores.json", "disclosure.json", "roster.json", "verification.json")), what=nonsense)
def test_any_json_in_the_files_beside_the_ledger(victim, where, what):
    spoiled_page(victim, where, json.dumps(what).encode())


@pytest.mark.long
@settings(max_examples=15, deadline=None)
@given(
    key=st.sampled_from(("title", "site", "person", "generated", "source", "columns", "rows", "live")), what=nonsense
)
def test_any_value_in_the_scores(victim, key, what):
    kept = json.loads((victim / "scores.json").read_text()) if (victim / "scores.json").exists() else {}
    full = {"title": "t", "site": ["s", "ss"], "person": ["p", "pp"], "source": "", "columns": [], "rows": []}
    spoiled_page(victim, "scores.json", json.dumps(full | kept | {key: what}).encode())


@pytest.mark.long
@settings(max_examples=30, deadline=None)
@given(data=st.data(), what=nested(plain))
def test_any_value_in_a_line_of_the_ledger(victim, data, what):
    """Unsigned and unchained lines are refused for that; here the chain is made good, so that the value is read."""
    lines = [json.loads(line) for line in (victim / "ledger.jsonl").read_bytes().splitlines()]
    body = data.draw(st.sampled_from(lines))["body"]
    body[data.draw(st.sampled_from(sorted(body)))] = what
    head = GENESIS
    for line in lines:
        line["prev"] = head
        head = hashlib.sha256(canonical({k: v for k, v in line.items() if k != "sigs"})).hexdigest()
    spoiled_page(victim, "ledger.jsonl", b"".join(canonical(line) + b"\n" for line in lines))


@pytest.mark.parametrize(
    "rows", [b"\xff\xfe", b"[]\n", b'{"round": "x", "loss": 1}\n', b'{"round": 1e400}\n', b"{" * 9]
)
def test_curves_that_are_none(victim, rows):
    spoiled_page(victim, "metrics.jsonl", rows)


def test_two_thousand_points_make_a_small_drawing(forger):
    from secure_fedmeta.report.plots import lines

    values = [float(i % 17) for i in range(2000)]
    drawn = lines("Loss", range(1, 2001), {"loss": (values, "#0000ff")}, alt="a", note="n")
    assert len(drawn.svg) < 20_000  # a point is ten characters at least
