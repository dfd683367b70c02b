# SPDX-License-Identifier: Apache-2.0
"""One honest run, and a fresh forger's copy of it for each test."""

import pytest
from planted_ledgers import Forger, honest_run


@pytest.fixture(scope="session")
def honest(tmp_path_factory):
    out = tmp_path_factory.mktemp("honest") / "run"
    honest_run(out)
    return out


@pytest.fixture
def forger(honest, tmp_path):
    return Forger(honest, tmp_path)
