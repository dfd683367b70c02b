# SPDX-License-Identifier: Apache-2.0
"""Where Opacus' published behaviour breaks the bound that an accountant is told, and what ours does there.

Each trap is shown on Opacus first: if a later version mends it, the test says so, and its counterpart here can go.
"""

from fractions import Fraction

import numpy as np
import pytest
import torch
from opacus.data_loader import CollateFnWithEmpty
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import (
    AdaClipDPOptimizer,
    DPOptimizer,
    DPOptimizerFastGradientClipping,
    DPPerLayerOptimizer,
)
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch.utils.data import default_collate

from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, PerLayerClip, clip, row_slack
from fedmeta_privacy.dp_sgd import ClippedNoisySum
from fedmeta_privacy.encoding import IntegerEncoding

D = 5
ROWS = np.random.default_rng(0).normal(size=(8, D))
GENERAL = {"noise_multiplier": 0.0, "expected_batch_size": None, "loss_reduction": "sum"}
ADAPTIVE = {
    "target_unclipped_quantile": 0.5,
    "clipbound_learning_rate": 0.2,
    "max_clipbound": 1e3,
    "min_clipbound": 1e-3,
    "unclipped_num_std": 1e-9,
}


def opacus(kind, rows, dtype=torch.float64, **more):
    """The optimizer after one release of `rows`, and the released sum."""
    parameter = torch.nn.Parameter(torch.zeros(rows.shape[1:], dtype=dtype))
    optimizer = kind(torch.optim.SGD([parameter], lr=0.0), **GENERAL, **more)
    parameter.grad_sample = torch.as_tensor(rows, dtype=dtype)
    optimizer.pre_step()
    return optimizer, parameter.grad.double().numpy()


def ours(rows, clipping, step=2.0**-20):
    encoding = IntegerEncoding(step, D + clipping.extra_coordinates, 32)
    return encoding.decode(ClippedNoisySum(clipping=clipping, encoding=encoding, noise=None)(rows, None))


def test_one_nan_poisons_opacus_sum_and_leaves_ours():
    rows = ROWS.copy()
    rows[3, 1] = np.nan
    assert np.isnan(opacus(DPOptimizer, rows, max_grad_norm=1.0)[1]).all()
    assert (ours(rows, FlatClip(1.0)) == ours(np.delete(rows, 3, axis=0), FlatClip(1.0))).all()


@pytest.mark.parametrize(("dtype", "excess"), [(torch.float32, 1e-8), (torch.bfloat16, 1e-3)])
def test_narrow_floats_exceed_the_clip_norm_in_opacus_and_float64_does_not_here(dtype, excess):
    rows = np.random.default_rng(1).normal(size=(300, 64)) * 1e4
    norm = 1.0
    largest = max(np.linalg.norm(opacus(DPOptimizer, row[None], dtype, max_grad_norm=norm)[1]) for row in rows)
    assert largest > norm * (1 + excess)
    for row in clip(rows, FlatClip(norm)).values:
        assert sum(Fraction(float(x)) ** 2 for x in row) <= Fraction(norm * row_slack(64)) ** 2
    for row in rows[:50]:
        released = opacus(DPOptimizer, row[None], max_grad_norm=norm)[1]
        assert sum(Fraction(float(x)) ** 2 for x in released) <= Fraction(norm * row_slack(64)) ** 2


def test_adaclip_divides_by_how_many_rows_there_truly_are():
    # Neighbours: one more row, beyond the norm. The released norm tells the exact number of rows from it.
    inside = np.full((4, D), 0.01)
    norms = []
    for rows in (inside, np.vstack([inside, np.full((1, D), 9.0)])):
        optimizer, _ = opacus(AdaClipDPOptimizer, rows, max_grad_norm=1.0, **ADAPTIVE)
        assert optimizer.sample_size == len(rows)
        norms.append(float(optimizer.max_grad_norm))
    assert norms[0] == pytest.approx(np.exp(-0.2 * (4 / 4 - 0.5)))
    assert norms[1] == pytest.approx(np.exp(-0.2 * (4 / 5 - 0.5)))

    rule = AdaptiveClip(clip_norm=1.0, count_weight=0.5)
    ours_after = [rule.after(ours(rows, rule)[-1], slots=100) for rows in (inside, np.empty((0, D)))]
    # Divided by 100 public slots: four rows within the norm move the fraction from 1/2 by 2/100.
    assert ours_after[0].clip_norm == pytest.approx(np.exp(-0.2 * 0.02))
    assert ours_after[1].clip_norm == 1.0


def test_adaclip_fails_on_an_empty_batch_which_tells_that_it_was_empty():
    with pytest.raises(RuntimeError):
        opacus(AdaClipDPOptimizer, np.empty((0, D)), max_grad_norm=1.0, **ADAPTIVE)
    assert (ours(np.empty((0, D)), AdaptiveClip(clip_norm=1.0, count_weight=0.5)) == 0).all()


def test_per_layer_clipping_fails_on_a_scalar_parameter():
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        opacus(DPPerLayerOptimizer, np.array([3.0, -4.0]), max_grad_norm=[1.0])
    layers = PerLayerClip((D - 1, 1), (1.0, 0.5))
    rows = np.zeros((2, D))
    rows[:, -1] = 3.0, -4.0
    assert ours(rows, layers) == pytest.approx(np.zeros(D), abs=1e-5)
    assert ours(rows[:1], layers)[-1] == pytest.approx(0.5, abs=1e-5)


def ghost(loss_per_sample, rows):
    """What ghost clipping accumulates for a linear model whose per-sample gradient is the row."""
    module = GradSampleModuleFastGradientClipping(
        torch.nn.Linear(D, 1, bias=False, dtype=torch.float64), max_grad_norm=1.0, loss_reduction="sum"
    )
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(module.parameters(), lr=0.0), max_grad_norm=1.0, **GENERAL
    )
    criterion = DPLossFastGradientClipping(module, optimizer, loss_per_sample, "sum")
    criterion(module(torch.from_numpy(rows)), torch.zeros(len(rows), 1)).backward()
    optimizer.accumulate()
    return module._module.weight.summed_grad.numpy()[0]


class Plain(torch.nn.Module):
    """Loss = output, of shape (B,) or (B, 1)."""

    reduction = "sum"

    def __init__(self, squeeze):
        super().__init__()
        self.squeeze = squeeze

    def forward(self, output, target):
        per_sample = output[:, 0] if self.squeeze else output
        return per_sample if self.reduction == "none" else per_sample.sum()


@pytest.mark.filterwarnings("ignore")  # torch's and Opacus' own, about hooks
def test_ghost_clipping_of_losses_with_a_trailing_dimension_does_not_clip():
    rows = np.abs(ROWS) * 10  # every row beyond the norm, in nearly one direction
    bound = 1.0
    right = ghost(Plain(squeeze=True), rows)
    wrong = ghost(Plain(squeeze=False), rows)
    assert right == pytest.approx(clip(rows, FlatClip(bound)).values.sum(axis=0), abs=1e-4)
    # One record moves the wrong sum by far more than the norm that noise is scaled to.
    assert np.linalg.norm(wrong - ghost(Plain(squeeze=False), rows[1:])) > 5 * bound
    moved = ours(rows, FlatClip(bound)) - ours(rows[1:], FlatClip(bound))
    assert np.linalg.norm(moved) <= bound + D**0.5 * 2.0**-20


@pytest.mark.filterwarnings("ignore")
def test_rand_on_empty_makes_a_record_out_of_nothing():
    # World one: the sampled batch is one record. World two: that record is not there, the batch is empty, and a
    # made-up record of full norm comes in its place: the sums differ by up to twice the norm that is accounted for.
    collate = CollateFnWithEmpty(default_collate, rand_on_empty=True)
    record = torch.full((D,), -9.0, dtype=torch.float64)
    collate([record])
    torch.manual_seed(1)
    made_up = collate([])
    assert made_up.shape == (1, D) and (made_up >= 0).all() and made_up.any()
    with_record = opacus(DPOptimizer, record[None].numpy(), max_grad_norm=1.0)[1]
    without = opacus(DPOptimizer, made_up.numpy(), max_grad_norm=1.0)[1]
    assert np.linalg.norm(with_record - without) > 1.5
    moved = ours(record[None].numpy(), FlatClip(1.0)) - ours(np.empty((0, D)), FlatClip(1.0))
    assert np.linalg.norm(moved) <= 1.0 + D**0.5 * 2.0**-20
