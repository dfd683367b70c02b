# SPDX-License-Identifier: Apache-2.0
"""The total variation that a disclosure states counts every draw of a run, removable parts included."""

from types import SimpleNamespace

import pytest

from fedmeta_privacy.ledger import decimal
from fedmeta_privacy.view_numbers import _variation
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule


@pytest.mark.parametrize("dropout_noise", ["over-provision", "surplus"])
def test_it_is_no_less_than_the_schedules(dropout_noise: str) -> None:
    plan = Plan(rounds=5, delta=1e-4, dropout_fraction=0.3, dropout_noise=dropout_noise)
    schedule = make_schedule(plan, clients=20, dimension=31)
    record = SimpleNamespace(
        settings=schedule.behaviour(),
        sensitivity={"steps": decimal(schedule.release.l2_sensitivity)},
        rounds=(),
        number=lambda _: None,
    )
    stated = _variation(record)  # type: ignore[arg-type]
    assert stated is not None and stated >= schedule.release.variation(plan.rounds)
