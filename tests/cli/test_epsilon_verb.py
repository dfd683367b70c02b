"""`secure-fedmeta epsilon`: any list of events, in order, on one line."""

import json
import math

import pytest

from fedmeta_privacy import gdp
from secure_fedmeta.cli import main

GAUSSIAN = {"id": "b", "delta": 1e-5, "events": [{"type": "gaussian", "sigma": 2, "count": 4}]}
SECOND = {"id": "a", "delta": 1e-3, "events": [{"type": "gaussian", "sigma": 1.5}, {"type": "gaussian", "sigma": 3.0}]}
SAMPLED = {"id": "q", "delta": 1e-5, "events": [{"type": "poisson_gaussian", "sigma": 1.0, "q": 0.01, "count": 100}]}
OPEN = {"id": "open", "delta": 1e-5, "events": [{"type": "non_private"}]}
NOTHING = {"id": "nothing", "delta": 1e-5, "events": []}


@pytest.fixture
def ask(tmp_path, capsys):
    def ask(content, *options):
        file = tmp_path / "events.json"
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif content is not None:
            file.write_text(json.dumps(content))
        status = main(["epsilon", "--events", str(file), *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return ask


@pytest.mark.parametrize("form", [lambda cases: cases, lambda cases: {"cases": cases}, lambda c: {"cases": c, "v": 1}])
def test_both_forms_keep_the_order_on_one_line(ask, form):
    status, out, err = ask(form([GAUSSIAN, SECOND, NOTHING]), "--format", "json")
    assert status == 0 and err == "" and out.count("\n") == 1
    cases = json.loads(out)["cases"]
    assert [case["id"] for case in cases] == ["b", "a", "nothing"]
    assert all(set(case) == {"id", "eps_lower", "eps_upper"} for case in cases)
    for case, mu, delta in zip(cases, (1.0, math.sqrt(1 / 2.25 + 1 / 9)), (1e-5, 1e-3), strict=False):
        low, high = gdp.epsilon_bounds(mu, delta)
        assert low * (1 - 1e-9) <= case["eps_lower"] <= case["eps_upper"] <= high * (1 + 1e-8)
    assert cases[2]["eps_lower"] == cases[2]["eps_upper"] == 0.0


def test_sampled_events_and_none(ask):
    status, out, err = ask([SAMPLED, OPEN], "--format", "json")
    sampled, none = json.loads(out)["cases"]
    assert status == 0 and 0 < sampled["eps_lower"] <= sampled["eps_upper"] < 2
    assert sampled["eps_upper"] - sampled["eps_lower"] < 5e-3
    assert none == {"id": "open", "eps_lower": None, "eps_upper": None} and "no finite epsilon" in err
    assert "NaN" not in out and "Infinity" not in out


NEW = {
    "two-stage": {"type": "client_then_record", "sigma": 1.0, "q_client": 0.1, "q_record": 0.1, "count": 1000},
    "fixed": {"type": "fixed_size_gaussian", "sigma_over_clip": 2.0, "population": 1000, "sample": 10, "count": 10},
    "capped": {"type": "capped_poisson", "sigma": 1.0, "q": 0.01, "population": 1000, "cap": 16, "count": 10},
    "skellam": {"type": "skellam_sum", "l1": 1000, "l2": 100, "variance": 100000, "count": 2},
    "discrete": {"type": "discrete_gaussian_sum", "l2": 100, "variance": 25000, "smallest_scale": 50, "parties": 10,
                 "dimension": 31, "sampler_variation": 1e-32, "count": 2},
    "sampled discrete": {"type": "discrete_gaussian_sum", "l2": 100, "variance": 25000, "smallest_scale": 50, "q": 0.1,
                         "parties": 10, "dimension": 31, "sampler_variation": 1e-32, "count": 2},
    "nested": {"type": "repeated", "count": 3,
               "event": {"type": "composed", "events": [{"type": "gaussian", "sigma": 9}]}},
}  # fmt: skip


def test_every_kind_of_event(ask):
    cases = [{"id": name, "delta": 1e-5, "events": [event]} for name, event in NEW.items()]
    status, out, err = ask(cases, "--format", "json")
    found = {case["id"]: case for case in json.loads(out)["cases"]}
    assert status == 0 and err == "" and list(found) == list(NEW)
    assert all(0 <= case["eps_lower"] <= case["eps_upper"] < 20 for case in found.values())
    assert found["two-stage"]["eps_upper"] == pytest.approx(7.139, rel=2e-3)
    assert found["two-stage"]["eps_lower"] == pytest.approx(1.826, rel=2e-2)
    assert found["nested"]["eps_upper"] == pytest.approx(gdp.epsilon_upper(math.sqrt(3) / 9, 1e-5))


def test_text_has_one_line_a_case(ask):
    status, out, _ = ask([GAUSSIAN, OPEN])
    assert status == 0 and len(out.splitlines()) == 2
    assert "4.3771" in out.splitlines()[0] and "none" in out.splitlines()[1]


def test_an_empty_list_is_an_empty_answer(ask):
    assert ask([], "--format", "json")[:2] == (0, '{"format": "secure-fedmeta/epsilon/1", "cases": []}\n')


BAD = {
    "not json": (b"{", "SFM-103"),
    "binary": (b"\xff\xfe", "SFM-103"),
    "missing": (None, "SFM-103"),
    "number": (3, "SFM-103"),
    "no cases": ({"case": []}, "SFM-103"),
    "a case that is text": (["x"], "SFM-103"),
    "no delta": ([{"id": "x", "events": []}], "SFM-101"),
    "delta 1": ([GAUSSIAN | {"delta": 1}], "SFM-101"),
    "delta true": ([GAUSSIAN | {"delta": True}], "SFM-101"),
    "delta text": ([GAUSSIAN | {"delta": "1e-5"}], "SFM-101"),
    "delta nan": (b'[{"id": "x", "delta": NaN, "events": []}]', "SFM-101"),
    "no events": ([{"id": "x", "delta": 1e-5}], "SFM-101"),
    "an event that is text": ([GAUSSIAN | {"events": ["gaussian"]}], "SFM-101"),
    "unknown type": ([GAUSSIAN | {"events": [{"type": "laplace"}]}], "SFM-303"),
    "no sigma": ([GAUSSIAN | {"events": [{"type": "gaussian"}]}], "SFM-303"),
    "sigma 0": ([GAUSSIAN | {"events": [{"type": "gaussian", "sigma": 0}]}], "SFM-303"),
    "sigma infinite": (b'[{"id":"x","delta":1e-5,"events":[{"type":"gaussian","sigma":Infinity}]}]', "SFM-303"),
    "sigma text": ([GAUSSIAN | {"events": [{"type": "gaussian", "sigma": "2"}]}], "SFM-303"),
    "q above 1": ([GAUSSIAN | {"events": [{"type": "poisson_gaussian", "sigma": 1, "q": 2}]}], "SFM-303"),
    "count 0": ([GAUSSIAN | {"events": [{"type": "gaussian", "sigma": 1, "count": 0}]}], "SFM-303"),
    "count 1.5": ([GAUSSIAN | {"events": [{"type": "gaussian", "sigma": 1, "count": 1.5}]}], "SFM-303"),
    "two adjacencies": ([GAUSSIAN | {"events": [NEW["fixed"], NEW["two-stage"]]}], "SFM-312"),
    "a sample larger than all": ([GAUSSIAN | {"events": [NEW["fixed"] | {"sample": 1001}]}], "SFM-303"),
    "half a unit": ([GAUSSIAN | {"events": [NEW["fixed"] | {"sample": 1.5}]}], "SFM-303"),
    "nothing to repeat": ([GAUSSIAN | {"events": [{"type": "repeated", "count": 2}]}], "SFM-303"),
    "repeated text": ([GAUSSIAN | {"events": [{"type": "repeated", "event": "gaussian"}]}], "SFM-303"),
    "composed of one": ([GAUSSIAN | {"events": [{"type": "composed", "events": {}}]}], "SFM-303"),
    "noise below the lemma": ([GAUSSIAN | {"events": [NEW["discrete"] | {"smallest_scale": 3.0}]}], "SFM-303"),
    "a field too many": ([GAUSSIAN | {"events": [{"type": "gaussian", "sigma": 1, "q": 0.5}]}], "SFM-303"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("form", ["text", "json"])
def test_what_cannot_be_accounted_for(ask, name, form):
    content, number = BAD[name]
    status, out, err = ask(content, "--format", form)
    assert status == 1 and err.startswith(f"{number}: ") and err.count("\n") == 1 and "events.json" in err
    if form == "json":
        assert json.loads(out)["error"]["code"] == number and out.count("\n") == 1
    else:
        assert out == ""


def test_a_bad_case_is_named_by_its_id_and_nothing_is_printed(ask):
    status, out, err = ask([GAUSSIAN, SECOND | {"id": "the-third", "delta": 7}])
    assert status == 1 and "the-third" in err and out == ""
