"""The documents of real small runs: complete, valid, true to the ledger, silent about records."""

import copy
import json
import re
from importlib import resources

import jsonschema
import pytest
import yaml

from fedmeta_privacy import gdp, ledger
from fedmeta_privacy.disclosure import disclose, to_json
from fedmeta_privacy.errors import DisclosureRefused
from fedmeta_privacy.registry import fields_used, registry_entry
from fedmeta_privacy.run_record import RunRecord
from fedmeta_privacy.statements import NOT_STATED, Statements
from secure_fedmeta.documents import write_documents

from .conftest import EVERYTHING, KINDS, RECORDS

SCHEMA = json.loads(resources.files("fedmeta_privacy").joinpath("disclosure.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
NAMES = ("disclosure.json", "registry.yaml", "MODEL_CARD.md")


def document(run):
    return json.loads((run.out / "disclosure.json").read_bytes())


def entries(run):
    return ledger.verify((run.out / "ledger.jsonl").read_bytes())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", [None, EVERYTHING], ids=["gaps", "stated"])
def test_the_document_follows_the_schema(run_of, kind, said):
    VALIDATOR.check_schema(SCHEMA)
    VALIDATOR.validate(document(run_of(kind, said)))


# What an auditor is to find, group by group; each is a field with a value or a named gap.
FIELDS = {
    "identity": "run_id title curators intended_use sector region data_product_type started ended contact software "
    "dependencies git_commit config_sha256 seed_policy",
    "protected": "unit unit_in_words adjacency adjacency_formally contributions_per_person groups data_domain "
    "not_covered",
    "guarantee": "variant delta delta_rule budget views per_round per_client",
    "mechanism": "clip_norm clipped noise_multiplier_per_site noise_std_per_site noise_added_by noise_distribution "
    "sampling_implemented sampling_assumed adaptation post_processing",
    "accounting": "accountant composition amplification second_accountant numerical_error conversion",
    "unprotected": "leaving_a_site_without_noise losses_and_metrics feature_scalers hyperparameter_tuning",
    "deployment": "model actors protocol minimum_cohort dropouts_per_round encryption authentication "
    "a_malicious_server_could release refresh access collusion_assumed",
    "hazards": "random_numbers floating_point side_channels wrap_around tests_passed known_limitations debug_flags",
    "verification": "ledger_head recomputed empirical_audit allow_list_sha256",
    "utility": "scores without_privacy per_site_and_subgroup fairness",
    "context": "recipients threats_considered residual_risk measures sign_off review_date",
    "label": "plain exact",
}


@pytest.mark.parametrize("group", FIELDS)
def test_every_field_is_there_and_required(run_of, group):
    fields = FIELDS[group].split()
    whole = document(run_of("masked"))
    assert set(fields) <= set(whole[group]) and set(fields) <= set(SCHEMA["properties"][group]["required"])
    for name in fields:
        broken = copy.deepcopy(whole)
        del broken[group][name]
        assert not VALIDATOR.is_valid(broken), name
        broken[group][name] = {"gap": ""}
        assert not VALIDATOR.is_valid(broken), name
    assert not VALIDATOR.is_valid(whole | {"more": 1})


def leaves(value):
    if isinstance(value, dict) and set(value) != {"gap"}:
        return [leaf for part in value.values() for leaf in leaves(part)]
    return [value]


def test_gaps_are_named_and_what_is_stated_fills_them(run_of):
    bare, full = document(run_of("masked")), document(run_of("masked", EVERYTHING))
    for whole in (bare, full):
        found = [leaf for leaf in leaves(whole) if isinstance(leaf, dict)]
        assert len(found) == len(whole["gaps"])
    assert f"identity.contact: {NOT_STATED}" in bare["gaps"]
    assert not [line for line in full["gaps"] if NOT_STATED in line]
    fields = [(g, name) for g in FIELDS for name in full[g]]
    filled = [1 for g, name in fields if not (isinstance(full[g][name], dict) and "gap" in full[g][name])]
    assert len(filled) >= 0.95 * len(fields)


def test_numbers_are_the_ledger_s_or_above(run_of):
    run = run_of("masked")
    whole, end = document(run), entries(run)[-1]["body"]
    for view, stated in end["epsilon"].items():
        numbers = whole["guarantee"]["views"][view]
        assert numbers["epsilon"] == float(stated)
        assert gdp.epsilon_upper(numbers["gdp_mu"], 1e-4) >= float(stated)
        assert numbers["profile"]["0.0001"] >= float(stated) > numbers["profile"]["0.0001"] * (1 - 1e-6)
        eps = [numbers["profile"][d] for d in ("0.0001", "1e-05", "1e-06", "1e-07", "1e-08", "1e-09", "1e-10")]
        assert eps == sorted(eps)
        groups = [numbers["groups"][k]["epsilon"] for k in ("2", "5", "10")]
        assert all(g == "none" or g > numbers["epsilon"] for g in groups)
    assert whole["guarantee"]["views"]["server"]["gdp_mu"] ** 2 <= run.schedule.limit
    assert whole["label"]["exact"] == run.guarantee == end["guarantee"]
    assert whole["accounting"]["second_accountant"]["epsilon"] == run.second_opinion
    assert [row["round"] for row in whole["guarantee"]["per_round"]["rows"]] == [1, 2, 3]
    alone = [row["epsilon_of_this_round_alone"] for row in whole["guarantee"]["per_round"]["rows"]]
    assert all(0 < each < whole["guarantee"]["views"]["server"]["epsilon"] for each in alone)


@pytest.mark.parametrize("kind", ["no noise", "reproducible"])
def test_without_a_guarantee_no_number_is_claimed(run_of, kind):
    run = run_of(kind)
    whole = document(run)
    for numbers in whole["guarantee"]["views"].values():
        assert numbers["epsilon"] == "none" and set(numbers) == {"sees", "epsilon", "delta"}
    assert "gap" in whole["guarantee"]["budget"]
    assert "no promise about privacy" in whole["label"]["plain"]
    registry = (run.out / "registry.yaml").read_text()
    assert "epsilon:" not in registry and "No privacy guarantee" in registry
    assert "factor of e^" not in (run.out / "MODEL_CARD.md").read_text()


def test_another_reader_of_yaml_finds_the_same_entry(run_of):
    run = run_of("masked")
    entry = yaml.safe_load((run.out / "registry.yaml").read_text())
    assert entry["deployment"]["privacy_loss"]["privacy_parameters"]["epsilon"] > 0
    assert entry["status"] and entry["deployment"]["basic"]["name"]


def test_no_count_of_records_is_told(run_of):
    run = run_of("masked")
    told = "\n".join((run.out / name).read_text() for name in NAMES)
    told += (run.out / "ledger.jsonl").read_text()
    told = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", "", told)  # a clock shows every number once an hour
    for count in (*RECORDS, sum(RECORDS)):
        assert not re.search(rf"(?<![\w.]){count}(?![\w.])", told), count
    assert '"registered_slots": 800' in told  # 5 sites, 80 + 80 slots: public


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_ledger_makes_the_same_bytes(run_of, kind):
    run = run_of(kind, EVERYTHING)
    before = {name: (run.out / name).read_bytes() for name in NAMES}
    scores = run.metrics[-1]
    write_documents(run.out, EVERYTHING, utility=scores)
    assert {name: (run.out / name).read_bytes() for name in NAMES} == before


def test_the_documents_say_what_they_are_not(run_of):
    run = run_of("masked")
    assert document(run)["notice"] == "Technical evidence, no legal certificate."
    assert "no legal certificate" in (run.out / "MODEL_CARD.md").read_text()


# The registry's schema, as far as it constrains an entry: all fields that exist, those required, and closed lists.
REGISTRY = {
    "url_slug status tier deployment": "",
    "basic dp_variant privacy_loss deployment_model accounting implementation administrative": "deployment.",
    "name data_curators description intended_use data_product_type data_product_region publication_date "
    "data_product_sector": "deployment.basic.",
    "variant_name data_domain unprotected_quantities": "deployment.dp_variant.",
    "privacy_unit privacy_unit_details privacy_parameters privacy_parameters_details": "deployment.privacy_loss.",
    "epsilon delta rho": "deployment.privacy_loss.privacy_parameters.",
    "model_name model_name_details actors release_type release_type_details data_source_type data_source_type_details "
    "access_type access_type_details": "deployment.deployment_model.",
    "post_processing composition": "deployment.accounting.",
    "preprocessing_and_hyperparameter_tuning mechanisms justification": "deployment.implementation.",
    "registry_authors sources": "deployment.administrative.",
}
ALLOWED = {prefix + name for names, prefix in REGISTRY.items() for name in names.split()}
REQUIRED = (
    {"url_slug", "status", "tier", "deployment", "deployment.basic"}
    | {
        f"deployment.basic.{name}"
        for name in ("name", "data_curators", "description", "intended_use", "publication_date")
    }
    | {"deployment.basic.data_product_type", "deployment.basic.data_product_region"}
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("said", [None, EVERYTHING], ids=["gaps", "stated"])
def test_the_registry_entry_has_the_registry_s_fields_and_no_others(run_of, kind, said):
    run = run_of(kind, said)
    record = RunRecord.from_entries(entries(run))
    entry = registry_entry(record, said or Statements(), run_id="0" * 64)
    used = fields_used(entry)
    assert used <= ALLOWED and used >= REQUIRED
    deployment = entry["deployment"]
    assert entry["status"] == "Draft" and entry["tier"] == 3
    assert deployment["deployment_model"]["model_name"] == "Federated"
    assert deployment["deployment_model"]["release_type"] in {"One release", "Many releases"}
    assert deployment["basic"]["data_product_type"] == "Machine learning model"
    assert deployment["dp_variant"]["variant_name"] == "Approximate DP"
    assert all(isinstance(name, str) for name in deployment["basic"]["data_curators"])
    if said:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", deployment["basic"]["publication_date"])
    parameters = deployment["privacy_loss"].get("privacy_parameters")
    if record.private:
        assert parameters == {"epsilon": record.planned_epsilon, "delta": 1e-4}
        assert parameters["epsilon"] >= record.epsilon["server"]
    else:
        assert parameters is None


def changed(run, change):
    bodies = copy.deepcopy(entries(run))
    change(bodies)
    return RunRecord.from_entries(bodies)


@pytest.mark.parametrize(
    ("unit", "adjacency", "mode", "slots"),
    [
        ("task", "slot", "task-is-person", 400),
        ("client", "zero-out", "client-vector", 5),
        ("record", "replace-one", "noisy-inner", 800),
    ],
)
def test_other_units_are_told_as_they_are(run_of, unit, adjacency, mode, slots):
    def change(bodies):
        bodies[0]["body"] |= {"unit": unit, "adjacency": adjacency, "mode": mode}
        bodies[0]["body"]["behaviour"]["task_slots"] = 80

    record = changed(run_of("masked"), change)
    whole = json.loads(to_json(disclose(record, Statements())))
    VALIDATOR.validate(whole)
    assert whole["protected"]["unit"] == unit and whole["protected"]["registered_slots"] == slots
    if unit != "record":
        assert "record in a registered slot" not in json.dumps(whole)
        assert "person's record" not in whole["label"]["plain"]


def test_intervals_and_other_accountants_are_read(run_of):
    def change(bodies):
        for body in (b["body"] for b in bodies[1:]):
            body["epsilon"] = {view: {"lower": "0.0", "upper": value} for view, value in body["epsilon"].items()}
        bodies[-1]["body"]["accountant"] = "dp-accounting 0.6.0 PLD at 0.0003"

    record = changed(run_of("masked"), change)
    assert record.epsilon["server"] == run_of("masked").spent.server
    whole = disclose(record, Statements())
    VALIDATOR.validate(json.loads(to_json(whole)))
    server = whole["guarantee"]["views"]["server"]
    assert "gap" in server["gdp_mu"] and "gap" in server["profile"]
    assert server["groups"]["2"]["epsilon"] == 2 * server["epsilon"] and server["groups"]["2"]["delta"] > 1e-4


def test_a_run_that_was_broken_off_is_told(run_of):
    record = changed(run_of("masked"), lambda bodies: bodies.pop())
    whole = disclose(record, Statements())
    VALIDATOR.validate(json.loads(to_json(whole)))
    assert whole["verification"]["ledger_complete"] is False and "gap" in whole["label"]["exact"]
    no_rounds = changed(run_of("masked"), lambda bodies: bodies.__delitem__(slice(1, None)))
    VALIDATOR.validate(json.loads(to_json(disclose(no_rounds, Statements()))))


def test_a_long_run_is_thinned_out_and_says_so(run_of):
    def change(bodies):
        rounds = [copy.deepcopy(bodies[1]) for _ in range(2501)]
        for n, entry in enumerate(rounds, start=1):
            entry["round"] = n
        bodies[1:-1] = rounds

    whole = disclose(changed(run_of("masked"), change), Statements())
    VALIDATOR.validate(json.loads(to_json(whole)))
    told = whole["guarantee"]["per_round"]
    assert told["executed"] == 2501 and told["listed"] == len(told["rows"]) < 520
    assert told["rows"][0]["round"] == 1 and told["rows"][-1]["round"] == 2501


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b.pop(0),
        lambda b: b[0]["body"].pop("unit"),
        lambda b: b[1]["body"].update(epsilon="much"),
        lambda b: b[1]["body"].update(epsilon={"server": "-1"}),
        lambda b: b[1]["body"].update(shift="nan"),
        lambda b: b[-1].update(body=[]),
    ],
)
def test_a_ledger_that_cannot_be_read_makes_no_document(run_of, change):
    with pytest.raises(DisclosureRefused, match="SFM-329"):
        changed(run_of("masked"), change)
