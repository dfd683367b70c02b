"""Small runs with files, one per kind of plan."""

import numpy as np
import pytest

from fedmeta_privacy.statements import Statements
from secure_fedmeta import Codebook, Plan, SiteRecords, federate

RECORDS = (53, 59, 61, 67, 71)  # primes: none of them is a public number of the run

KINDS = {
    "masked": {},
    "semi-honest": {"strength": "semi-honest"},
    "unmasked": {"aggregation": "none"},
    "no noise": {"epsilon": None},
    "reproducible": {"insecure_reproducible": True},
    "small noise": {"epsilon": 50.0},
    "ckks": {"aggregation": "ckks"},
    "bfv": {"aggregation": "bfv"},
    "rlwe": {"aggregation": "rlwe64"},
}

EVERYTHING = Statements.from_table(
    {
        "title": "Stroke pilot",
        "curators": ["Clinic A", "Clinic B"],
        "description": "A model for tests.",
        "intended_use": "tests",
        "sector": "Healthcare",
        "region": "Nowhere: law 1",
        "contact": "someone@example.org",
        "publication_date": "2026-01-02",
        "git_commit": "0123abc",
        "person": "patient",
        "data_domain": "two features in [0, 1]",
        "records_per_person": "one",
        "tuning": "none",
        "preprocessing": "none",
        "recipients": "members",
        "access_control": "by role",
        "release": "once",
        "refresh": "never",
        "threats": "members, server",
        "residual_risk": "small",
        "measures": "contracts",
        "sign_off": "data protection officer",
        "review_date": "2027-01-01",
        "fairness": "not measured",
        "registry_authors": ["A. Author"],
    }
)


def site(name, n):
    rng = np.random.default_rng(n)
    x = rng.uniform(0, 1, (n, 2))
    return SiteRecords(name, x, (x[:, 0] > x[:, 1]).astype(float), tuple(f"{name}-{i}" for i in range(n)))


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """Make each kind of run once: `run_of("masked")` is its `Run`, with files in `run.out`."""
    made = {}

    def run(kind, statements=None):
        key = kind, statements is None
        if key not in made:
            plan = Plan.make(
                {"rounds": 3, "epsilon": 4.0, "delta": 1e-4, "support_slots": 80, "query_slots": 80} | KINDS[kind]
            )
            sites = [site(f"clinic-{k}", n) for k, n in enumerate(RECORDS)]
            ranges = Codebook.from_ranges([(0, 1), (0, 1)])
            made[key] = federate(
                plan, sites, ranges, out=tmp_path_factory.mktemp("runs") / "run", statements=statements
            )
        return made[key]

    return run
