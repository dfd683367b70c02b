"""Opacus itself says what the rules say that it does."""

import warnings

import pytest

from fedmeta_privacy.accountant import epsilon
from fedmeta_privacy.events import PoissonGaussian
from secure_fedmeta.check import RULES


def test_a_fresh_engine_reports_one_round_of_fifty():
    from opacus import PrivacyEngine

    def reported(engine, rounds):
        for _ in range(rounds * 125):  # 4000 records in batches of 32
            engine.accountant.step(noise_multiplier=1.0, sample_rate=32 / 4000)
        return engine.get_epsilon(1e-5)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fresh, kept = reported(PrivacyEngine(), 1), reported(PrivacyEngine(), 50)
    assert f"{fresh:.2f}" == "0.62" and f"{kept:.2f}" == "3.69"
    assert "0.62" in RULES["SFM-501"].why and "3.69" in RULES["SFM-501"].why


def test_the_central_limit_accountant_is_below_the_truth():
    from opacus.accountants import GaussianAccountant

    with pytest.warns(UserWarning, match="experimental"):
        accountant = GaussianAccountant()
    for _ in range(1000):
        accountant.step(noise_multiplier=1.0, sample_rate=0.01)
    said = accountant.get_epsilon(1e-5)
    assert f"{said:.3f}" == "1.618" and "1.618" in RULES["SFM-518"].why
    true = epsilon([PoissonGaussian(1.0, 0.01, 1000)], 1e-5).upper
    assert said < 1.62 < 1.82 < true
