# SPDX-License-Identifier: Apache-2.0
"""The credit pilot: loan applications at banks that differ, and a world that moves on between training and use.

Generated; no applicant exists. The model, for an applicant of bank b at time t (registered ones in [0, 1], the others
in [1, 1.5], so that the evaluation is out of time):

    income      lognormal around 2600 exp(m_b) exp(-0.08 t) a month, sd 0.45        amount   lognormal, with income
    utilisation Beta, higher at banks with poorer customers, and growing with t      ...      see `_applicants`
    logit P(default) = a_b + 0.15 t + sum_j (w_j + v_bj) z_j + 0.35 z_util z_delinquent + 0.20 z_age^2 - 0.10
                       + 0.15 t z_util

z_j: the attributes, transformed and standardised by constants; w common; v_bj ~ N(0, 0.10) each bank's own lending; a_b
spreads default rates over about 10 to 35 %. Realistic: sizes that differ fourfold, drift in who applies and in what it
means, an interaction and a curve that a linear model misses. Not realistic: nobody applies twice, nothing is missing,
rejected applicants do not exist.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from secure_fedmeta.datasets.codebook import Codebook, Feature
from secure_fedmeta.datasets.federation import Federation, Member
from secure_fedmeta.datasets.generated.counts import check_counts
from secure_fedmeta.datasets.records import RecordsError, SiteRecords
from secure_fedmeta.datasets.table import TableError

Float = NDArray[np.float64]

SMALLEST, LARGEST = 250, 960
"""Applications of the smallest and the largest bank, before the split; public."""
REGISTERED_SHARE = 0.6

_FEATURES = (
    Feature("income", 100.0, 60_000.0, "EUR a month", "log", origin="from social benefits to board members"),
    Feature("amount", 200.0, 200_000.0, "EUR", "log", origin="what the product lends"),
    Feature("duration", 3.0, 120.0, "month", "linear", origin="what the product allows"),
    Feature("instalment", 0.0, 100.0, "% of income", "linear", origin="a share; more is cut off by the form"),
    Feature("utilisation", 0.0, 100.0, "% of credit lines", "linear", origin="a share"),
    Feature("delinquencies", 0.0, 12.0, "in two years", "sqrt", origin="the credit bureau reports 12 at most"),
    Feature("enquiries", 0.0, 20.0, "in six months", "sqrt", origin="the credit bureau reports 20 at most"),
    Feature("employed", 0.0, 50.0, "year", "sqrt", origin="a working life"),
    Feature("customer", 0.0, 60.0, "year", "sqrt", origin="accounts begin at 18"),
    Feature("accounts", 0.0, 40.0, "1", "sqrt", origin="the form has room for 40"),
    Feature("savings", 0.0, 48.0, "months of income", "sqrt", origin="more is entered as 48"),
    Feature("age", 18.0, 100.0, "year", "linear", origin="adults; the oldest customers"),
    Feature("dependants", 0.0, 12.0, "1", "sqrt", origin="the form has room for 12"),
    Feature("owner", 0.0, 1.0, "yes or no", "linear", origin="yes or no"),
)
#            income amount durat. instal. util.  delinq. enq.  empl.  cust.  acc.   sav.   age    dep.  owner
_WEIGHTS = (-0.25, 0.15, 0.20, 0.35, 0.65, 0.60, 0.30, -0.35, -0.20, 0.05, -0.40, -0.10, 0.10, -0.25)


def codebook() -> Codebook:
    """Public limits of the fourteen attributes.

    >>> book = codebook()
    >>> book.name, book.width
    ('credit-generated', 15)
    """
    return Codebook("credit-generated", 1, _FEATURES)


def load_banks(*, seed: int, members: int = 16, later: int = 2) -> Federation:
    """The banks of this seed. Ids are "applicant-BB-NNNN"; label 1 is a default.

    Raises:
        RecordsError: SFM-137 for a negative seed or fewer than two banks.

    >>> held = load_banks(seed=0)
    >>> len(held.members), len(held.later), held.generated
    (16, 2, True)
    >>> held.members[0].registered.features.shape[1]
    14
    """
    check_counts("banks", seed=seed, members=members, later=later)
    rng = np.random.default_rng([seed, members, later, 0xC4ED17])
    count = members + later
    sizes = np.rint(SMALLEST * (LARGEST / SMALLEST) ** np.linspace(0, 1, count)).astype(int)
    richness, intercepts = rng.normal(0, 0.25, count), np.linspace(-3.0, -2.0, count)
    lending = rng.normal(0, 0.10, (count, len(_WEIGHTS)))
    order, riskier = rng.permutation(count), rng.permutation(count)
    joined, newcomers = [], []
    for place in range(count):
        n = int(sizes[order[place]])
        registered = round(REGISTERED_SHARE * n)
        when = np.concatenate([rng.uniform(0, 1, registered), rng.uniform(1, 1.5, n - registered)])
        features = _applicants(when, richness[place], rng)
        labels = _defaults(features, when, intercepts[riskier[place]], lending[place], rng)
        name = f"bank-{place + 1:02d}" if place < members else f"later-{place - members + 1:02d}"
        ids = tuple(f"applicant-{place:02d}-{i:04d}" for i in range(n))
        site = SiteRecords(name, features, labels, ids)
        if place < members:
            joined.append(Member(name, site.take(list(range(registered))), site.take(list(range(registered, n)))))
        else:
            newcomers.append(site)
    source = "generated loan applications (docs/pilots.md): no applicant exists"
    return Federation("credit-generated", codebook(), tuple(joined), tuple(newcomers), True, source)


def _applicants(when: Float, richness: float, rng: np.random.Generator) -> Float:
    """Attributes (n, 14) in their units, inside the public limits."""
    n = len(when)
    income = np.clip(2600.0 * np.exp(richness - 0.08 * when + rng.normal(0, 0.45, n)), 250, 40_000)
    amount = np.clip(2.2 * income * np.exp(rng.normal(0.3, 0.7, n)), 500, 150_000)
    duration = np.clip(np.rint(6 * rng.gamma(4.0, 1.6, n)), 6, 96)
    instalment = np.clip(100 * amount * 1.08 / duration / income, 0.5, 95)
    tightness = np.clip(0.38 - 0.25 * richness + 0.06 * when, 0.1, 0.8)
    utilisation = 100 * rng.beta(4 * tightness, 4 * (1 - tightness))
    delinquencies = np.minimum(rng.poisson(0.35 + 0.9 * (utilisation / 100) ** 2), 10).astype(float)
    enquiries = np.minimum(rng.poisson(1.2 + 0.6 * (utilisation / 100)), 16).astype(float)
    age = np.clip(rng.normal(42, 13, n), 19, 88)
    employed = np.clip((age - 18) * rng.beta(1.2, 2.2, n), 0, 45)
    customer = np.clip((age - 18) * rng.beta(1.0, 2.0, n), 0, 55)
    accounts = np.minimum(rng.poisson(4.0, n), 30).astype(float)
    savings = np.minimum(rng.exponential(2.5 * np.exp(0.4 * richness), n), 45)
    dependants = np.minimum(rng.poisson(0.9, n), 9).astype(float)
    owner = (rng.random(n) < 1 / (1 + np.exp(-(age - 45) / 12 - 1.2 * richness))).astype(float)
    columns = (income, amount, duration, instalment, utilisation, delinquencies, enquiries)
    return np.column_stack((*columns, employed, customer, accounts, savings, age, dependants, owner))


def _standard(features: Float) -> Float:
    """z: transformed and standardised by fixed constants."""
    income, amount, duration, instalment, utilisation, delinquencies, enquiries = features.T[:7]
    employed, customer, accounts, savings, age, dependants, owner = features.T[7:]
    return np.column_stack(
        (
            (np.log(income) - 7.8) / 0.5,
            (np.log(amount) - 8.9) / 0.8,
            (duration - 38) / 19,
            (instalment - 12) / 14,
            (utilisation - 40) / 27,
            (np.sqrt(delinquencies) - 0.55) / 0.62,
            (np.sqrt(enquiries) - 1.1) / 0.6,
            (np.sqrt(employed) - 2.7) / 1.2,
            (np.sqrt(customer) - 2.5) / 1.2,
            (np.sqrt(accounts) - 1.95) / 0.5,
            (np.sqrt(savings) - 1.4) / 0.7,
            (age - 42) / 13,
            (np.sqrt(dependants) - 0.7) / 0.6,
            (owner - 0.45) / 0.5,
        )
    )


def _defaults(features: Float, when: Float, intercept: float, own: Float, rng: np.random.Generator) -> Float:
    z = _standard(features)
    logit = intercept + 0.15 * when + z @ (np.array(_WEIGHTS) + own)
    logit += 0.35 * z[:, 4] * z[:, 5] + 0.20 * z[:, 11] ** 2 - 0.10 + 0.15 * when * z[:, 4]
    return (rng.random(len(when)) < 1 / (1 + np.exp(-logit))).astype(float)


# The German credit data of the UCI repository (Hofmann 1994): 1000 real applicants, 20 attributes, no header.

_GERMAN_NUMBERS = {
    1: Feature("duration", 1.0, 120.0, "month", "linear", origin="what lenders offer"),
    4: Feature("amount", 100.0, 50_000.0, "DM", "log", origin="consumer loans"),
    7: Feature("rate", 1.0, 4.0, "class of instalment over income", "linear", origin="the file's documentation"),
    10: Feature("residence", 1.0, 4.0, "class of years", "linear", origin="the file's documentation"),
    12: Feature("age", 18.0, 100.0, "year", "linear", origin="adults"),
    15: Feature("credits", 1.0, 4.0, "at this bank, class", "linear", origin="the file's documentation"),
    17: Feature("liable", 1.0, 2.0, "persons, class", "linear", origin="the file's documentation"),
}
_GERMAN_CODES = {
    0: ("status", ("A11", "A12", "A13", "A14")),
    2: ("history", ("A30", "A31", "A32", "A33", "A34")),
    3: ("purpose", ("A40", "A41", "A42", "A43", "A44", "A45", "A46", "A47", "A48", "A49", "A410")),
    5: ("savings", ("A61", "A62", "A63", "A64", "A65")),
    6: ("employed", ("A71", "A72", "A73", "A74", "A75")),
    8: ("personal", ("A91", "A92", "A93", "A94", "A95")),
    9: ("others", ("A101", "A102", "A103")),
    11: ("property", ("A121", "A122", "A123", "A124")),
    13: ("plans", ("A141", "A142", "A143")),
    14: ("housing", ("A151", "A152", "A153")),
    16: ("job", ("A171", "A172", "A173", "A174")),
    18: ("telephone", ("A191", "A192")),
    19: ("foreign", ("A201", "A202")),
}


def german_codebook() -> Codebook:
    """Seven numbers and thirteen lists of codes, a column a code; all from the file's public documentation.

    >>> german_codebook().width
    64
    """
    features = list(_GERMAN_NUMBERS.values())
    for name, codes in _GERMAN_CODES.values():
        weight = len(codes) ** -0.5
        features += [Feature(f"{name} = {code}", 0.0, 1.0, "yes or no", weight=weight) for code in codes]
    return Codebook("german-credit", 1, tuple(features))


def read_german_credit(path: str | Path, *, seed: int, members: int = 8, later: int = 2) -> Federation:
    """`german.data` as banks: applicants are dealt to banks at random by the seed, since the file names no branch.

    Label 1 is a bad risk (2 in the file). Ids are "line-NNNN". 60 % of a member's applicants are registered.

    Raises:
        TableError: SFM-150, the file is not in the repository's layout; with the line.
        RecordsError: SFM-137, too many banks for its applicants.
    """
    features, labels = _german_rows(Path(path))
    count = members + later
    if seed < 0 or members < 2 or later < 0 or len(labels) < 30 * count:
        raise RecordsError(
            "SFM-137",
            f"{len(labels)} applicants for {count} banks",
            str(path),
            "use a seed >= 0, and banks of 30 applicants at least",
        )
    order = np.random.default_rng([seed, count]).permutation(len(labels))
    joined, newcomers = [], []
    for place, part in enumerate(np.array_split(order, count)):
        name = f"bank-{place + 1:02d}" if place < members else f"later-{place - members + 1:02d}"
        site = SiteRecords(name, features[part], labels[part], tuple(f"line-{i + 1:04d}" for i in part))
        cut = round(REGISTERED_SHARE * len(part))
        if place < members:
            joined.append(Member(name, site.take(list(range(cut))), site.take(list(range(cut, len(part))))))
        else:
            newcomers.append(site)
    source = "Statlog (German Credit Data), UCI repository (Hofmann 1994): real applicants, dealt to banks at random"
    return Federation("german-credit", german_codebook(), tuple(joined), tuple(newcomers), False, source)


def _german_rows(path: Path) -> tuple[Float, Float]:
    try:
        lines = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    except OSError as error:
        raise TableError(f"cannot read the file: {error.strerror}", str(path), "check the path") from None
    except UnicodeDecodeError:
        raise TableError("not plain text", str(path), "give the repository's german.data") from None
    remedy = "give the repository's german.data: 20 attributes and a class, separated by blanks"
    rows, labels = np.zeros((len(lines), german_codebook().width - 1)), np.zeros(len(lines))
    for number, cells in enumerate(lines):
        where = f"{path}, line {number + 1}"
        if len(cells) != 21 or cells[20] not in ("1", "2"):
            raise TableError(f"{len(cells)} cells, or no class 1 or 2 at the end", where, remedy)
        labels[number] = float(cells[20] == "2")
        place = len(_GERMAN_NUMBERS)
        for column, (at, feature) in enumerate(_GERMAN_NUMBERS.items()):
            if not cells[at].isdigit() or not feature.low <= int(cells[at]) <= feature.high:
                raise TableError(f"attribute {at + 1} is no number within its range", where, remedy)
            rows[number, column] = int(cells[at])
        for at, (_, codes) in _GERMAN_CODES.items():
            if cells[at] not in codes:
                raise TableError(f"attribute {at + 1} has no code of the documentation", where, remedy)
            rows[number, place + codes.index(cells[at])] = 1.0
            place += len(codes)
    if not lines:
        raise TableError("an empty file", str(path), remedy)
    return rows, labels
