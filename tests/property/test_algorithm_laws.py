"""Laws that every setting must keep: lengths of steps, untouched bodies, finite implicit gradients."""

import numpy as np
import torch
from algorithm_cases import small_net
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import random_task

from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.core import tape_grad
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps, limited
from secure_fedmeta.engines.loop import LoopEngine

NET = small_net(hidden=4)
SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, most=st.floats(1e-6, 1e6), scale=st.floats(1e-12, 1e12))
def test_a_limited_gradient_keeps_its_direction_and_its_length_if_short(seed, most, scale):
    gradient = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 7)) * scale)
    short = limited(gradient, most)
    norms, cut = gradient.norm(dim=-1), short.norm(dim=-1)
    assert (cut <= most * (1 + 1e-12)).all()
    within = norms <= most
    assert torch.allclose(short[within], gradient[within], rtol=1e-14, atol=0)  # the root of a square may be an ulp off
    assert torch.allclose(short * norms[:, None], gradient * cut[:, None], rtol=1e-12, atol=0)


@settings(max_examples=20)
@given(
    seed=SEEDS, lr=st.floats(1e-3, 10), count=st.integers(0, 4), names=st.sets(st.sampled_from(NET.names), min_size=1)
)
def test_anil_adapts_what_is_named_and_nothing_else(seed, lr, count, names):
    head = head_of(NET, sorted(names))
    task = random_task(np.random.default_rng(seed), 3, 4, 2)
    engine = LoopEngine(NET, Anil(GradientSteps(lr, count), head, NET.dimension), loss="logistic")
    moved = engine.adapted(NET.start, [task])[0] != NET.start
    allowed = np.zeros(NET.dimension, dtype=bool)
    for start, stop in head:
        allowed[start:stop] = True
    assert not moved[~allowed].any() and (count == 0 or moved[allowed].any())


@settings(max_examples=30)
@given(seed=SEEDS, rank=st.integers(0, 6), shift=st.floats(-5, 5), lam=st.floats(1e-2, 1e2), rounds=st.integers(1, 12))
def test_implicit_gradients_are_finite_whatever_the_curvature_and_exact_where_it_is_positive(
    seed, rank, shift, lam, rounds
):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(6, rank))
    hessian = torch.from_numpy(root @ root.T + shift * np.eye(6))
    target = torch.from_numpy(rng.normal(size=6))

    class Bent:
        def support(self, at):
            return at @ hessian @ at / 2

        def query(self, at):
            return at @ target

    algorithm = Imaml(GradientSteps(1e-3, 1), regularization=lam, cg_steps=rounds)
    got = algorithm.contribution(torch.zeros(6, dtype=torch.float64), Bent(), tape_grad)
    assert torch.isfinite(got).all()
    whole = torch.eye(6, dtype=torch.float64) + hessian / lam
    if shift >= 0 and rounds >= 12 and torch.linalg.cond(whole) < 1e4:
        assert torch.allclose(whole @ got, target, atol=1e-6)
