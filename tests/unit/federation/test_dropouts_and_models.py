"""Who falls silent is fixed by the seed; a model on the wire is a flat vector and nothing else."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_runs import small_run

from fedmeta_privacy.errors import UnsafeModel
from secure_fedmeta.federation.dropouts import PHASES, dropout_pattern
from secure_fedmeta.federation.model import model_digest, model_from_bytes, model_to_bytes

COHORT = tuple(range(1, 11))


def patterns(seed, rate=0.3, cohort=COHORT, rounds=200):
    return [dict(dropout_pattern(r, cohort, rate=rate, seed=seed)) for r in range(1, rounds + 1)]


def test_fixed_by_the_seed_and_different_between_seeds():
    assert patterns(3) == patterns(3) != patterns(4)


def test_the_rate_is_the_chance_and_every_phase_occurs():
    drawn = patterns(0)
    count = sum(map(len, drawn))
    assert abs(count - 600) < 5 * (2000 * 0.3 * 0.7) ** 0.5
    by_phase = [sum(list(p.values()).count(phase) for p in drawn) for phase in PHASES]
    assert min(by_phase) > 100 and sum(by_phase) == count
    assert len({frozenset(p) for p in drawn}) > 50  # rounds differ


def test_a_site_s_own_draw_does_not_depend_on_the_others():
    few = patterns(0, cohort=(2, 5))
    assert few == [{s: phase for s, phase in p.items() if s in (2, 5)} for p in patterns(0)]


def test_a_larger_rate_only_adds_sites():
    assert all(set(a) <= set(b) for a, b in zip(patterns(0, rate=0.2), patterns(0, rate=0.4), strict=True))


def test_the_survivors_of_a_run_do_not_depend_on_its_data():
    def survivors(data_seed):
        run, _ = small_run(8, seed=data_seed, dropout=0.15, planned_survivors=8, rounds=6)
        return [report.closed.survivors for report in run.rounds()]

    assert survivors(0) == survivors(1)
    assert len(set(survivors(0))) > 1


@given(st.lists(st.floats(-(2.0**20), 2.0**20), min_size=1, max_size=40))
def test_models_survive_the_wire_bit_for_bit(values):
    theta = np.array(values)
    body = model_to_bytes(theta)
    assert body == struct.pack(f"<{len(values)}d", *values)
    assert model_from_bytes(body, len(values)).tobytes() == theta.tobytes()


@pytest.mark.parametrize("size", [0, 7, 8, 15, 17, 24])
def test_another_length_is_refused(size):
    with pytest.raises(UnsafeModel, match=f"SFM-306: the model has {size} bytes, not 16"):
        model_from_bytes(bytes(size), 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**20 + 1, -1e300])
def test_unsafe_entries_are_refused(bad):
    with pytest.raises(UnsafeModel, match="SFM-306"):
        model_from_bytes(np.array([0.0, bad]).tobytes(), 2)


def test_the_digest_tells_every_bit():
    theta = np.array([1.0, 2.0])
    assert model_digest(theta) == model_digest(theta.copy())
    assert model_digest(theta) != model_digest(np.nextafter(theta, 3))
