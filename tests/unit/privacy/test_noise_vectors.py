# SPDX-License-Identifier: Apache-2.0
"""Draws from a fixed key are the same in every release, and those of an implementation that shares no code."""

import json
from pathlib import Path

import numpy as np
import pytest

from fedmeta_crypto.prg import Keystream
from fedmeta_privacy.noise import DiscreteGaussian
from fedmeta_privacy.skellam import Skellam

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "privacy" / "noise.json").read_text())
LAWS = {"discrete_gaussian": DiscreteGaussian, "wide": DiscreteGaussian, "skellam": Skellam}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['law']} {case['scale']}")
def test_golden_draws(case):
    stream = Keystream(bytes.fromhex(VECTORS["key"]))
    drawn = LAWS[case["law"]](case["scale"]).sample(case["count"], stream.words)
    assert drawn[: len(case["first"])].tolist() == case["first"]
    assert drawn[-len(case["last"]) :].tolist() == case["last"]
    assert int(drawn @ np.arange(1, case["count"] + 1)) == case["weighed"]


def test_the_vectors_are_of_several_blocks_and_not_all_alike():
    assert all(case["count"] > 1 << 15 for case in VECTORS["cases"]) and len(VECTORS["cases"]) == 5
    assert all(len(set(case["first"])) > 5 for case in VECTORS["cases"])
