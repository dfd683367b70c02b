"""The Opacus adapter: clipping is Opacus', noise is ours, and nothing is left behind."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from fedmeta_privacy.claims import Adjacency, Unit
from fedmeta_privacy.clipping import AdaptiveClip, FlatClip, PerLayerClip, clip
from fedmeta_privacy.dp_sgd import ClippedNoisySum, IntegerNoiseOptimizer
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.errors import PlanError, TooManyRecords
from fedmeta_privacy.noise import DiscreteGaussian
from fedmeta_privacy.rounding import ConditionalRounding

ENCODING = IntegerEncoding(2.0**-16, 5, 32)


def words(seed=1):
    generator = np.random.default_rng(seed)
    return lambda n: generator.integers(0, 2**64, n, dtype=np.uint64, endpoint=False)


def release(clip=1.0, noise=None):
    return ClippedNoisySum(clip_norm=clip, encoding=ENCODING, noise=noise)


def test_clipping_matches_its_definition():
    rows = np.random.default_rng(0).normal(size=(20, 5)) * 3
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = (rows * np.minimum(1, 0.7 / (norms + 1e-6))).sum(axis=0)
    assert np.abs(ENCODING.decode(release(0.7)(rows, None)) - expected).max() <= ENCODING.step


def test_each_record_moves_the_sum_by_at_most_the_clip():
    rows = np.random.default_rng(0).normal(size=(6, 5)) * 100
    whole = ENCODING.decode(release(0.5)(rows, None))
    for index in range(len(rows)):
        less = rows.copy()
        less[index] = 0
        moved = np.linalg.norm(whole - ENCODING.decode(release(0.5)(less, None)))
        assert moved <= 0.5 + ENCODING.step * 5**0.5


def test_empty_site_still_sends_noise():
    noise = DiscreteGaussian(50.0)
    drawn = release(noise=noise)(np.empty((0, 5)), words())
    assert (drawn == noise.sample(5, words())).all() and drawn.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_broken_record_counts_as_zero_and_leaves_the_others(bad):
    rows = np.full((2, 5), 0.1)
    rows[0, 3] = bad
    assert (release()(rows, None) == release()(rows[1:], None)).all()


def test_noise_is_the_samplers_and_used_once():
    adapter = release(noise=DiscreteGaussian(50.0))
    rows = np.full((3, 5), 0.01)
    quiet = release()(rows, None)
    first = adapter(rows, words(7))
    assert (first - quiet == DiscreteGaussian(50.0).sample(5, words(7))).all()
    with pytest.raises(RuntimeError, match="keystream"):
        adapter(rows, None)


def test_repeated_use_starts_from_zero():
    adapter = release()
    rows = np.full((3, 5), 0.01)
    assert (adapter(rows, None) == adapter(rows, None)).all()


def test_importing_opacus_leaves_the_root_logger_alone():
    code = "import logging, fedmeta_privacy.dp_sgd; assert not logging.getLogger().handlers"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert logging.getLogger("opacus") is not None


RULES = [FlatClip(0.7), PerLayerClip((2, 1, 2), (0.5, 0.1, 2.0)), AdaptiveClip(clip_norm=0.7, count_weight=0.25)]
ids = ["flat", "layers", "adaptive"]


def wide(rule):
    return IntegerEncoding(2.0**-16, 5 + rule.extra_coordinates, 32)


def made(rule, noise=None, **more):
    return ClippedNoisySum(clipping=rule, encoding=wide(rule), noise=noise, **more)


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_opacus_clips_as_numpy_does(rule):
    rows = np.random.default_rng(0).normal(size=(20, 5))
    ours = wide(rule).decode(made(rule)(rows, None))
    # Opacus divides by (norm + 1e-6): short of the bound by that much, never beyond it.
    assert np.abs(ours - clip(rows, rule).values.sum(axis=0)).max() <= wide(rule).step + 20 * 1e-5


@pytest.mark.parametrize("rule", RULES, ids=ids)
@pytest.mark.parametrize("cut", [[], [0], [5], [3, 3, 11], list(range(1, 20))])
def test_blocks_give_the_sum_of_the_whole(rule, cut):
    rows = np.random.default_rng(0).normal(size=(20, 5))
    rows[4] = np.nan
    blocks = iter(np.split(rows, cut))  # consumed once, never held together
    whole, parts = made(rule)(rows, None), made(rule)(blocks, None)
    assert np.abs(whole - parts).max() <= 1  # two float sums may round to neighbouring steps


@pytest.mark.parametrize("rule", RULES, ids=ids)
def test_no_rows_no_blocks_and_an_empty_block_still_send_noise(rule):
    noise = DiscreteGaussian(50.0)
    for nothing in (np.empty((0, 5)), [], [np.empty((0, 5))] * 3):
        drawn = made(rule, noise)(nothing, words())
        assert (drawn == noise.sample(wide(rule).dimension, words())).all() and drawn.any()


def test_several_sums_of_one_stream_have_noise_of_their_own():
    adapter, stream, rows = made(RULES[0], DiscreteGaussian(50.0)), words(3), np.full((3, 5), 0.01)
    first, second = adapter(rows, stream), adapter(rows, stream)
    quiet = made(RULES[0])(rows, None)
    assert (first != second).any()
    both = words(3)
    noise = DiscreteGaussian(50.0)
    assert (first - quiet == noise.sample(5, both)).all() and (second - quiet == noise.sample(5, both)).all()


def test_the_count_coordinate_and_a_moved_norm():
    adapter = made(RULES[2])
    rows = np.vstack([np.full((3, 5), 0.1), np.full((2, 5), 9.0), np.full((1, 5), np.nan)])
    count = wide(RULES[2]).decode(adapter(rows, None))[-1]
    assert count == 0.25 * (3 - 2) / 2
    adapter.set_clip_norm(100.0)
    decoded = wide(RULES[2]).decode(adapter(rows, None))
    gradient, count = adapter.clipping.split(decoded)
    assert count == 0.25 * 5 / 2
    assert gradient == pytest.approx(np.full(5, 3 * 0.1 + 2 * 9.0), abs=100 * 2.0**-16)
    with pytest.raises(PlanError, match="adaptive"):
        made(RULES[0]).set_clip_norm(1.0)


def test_a_finite_row_whose_norm_overflows_is_bounded():
    for rule in RULES[:2]:
        rows = np.full((2, 5), 0.01)
        rows[0] = 1e200
        moved = wide(rule).decode(made(rule)(rows, None) - made(rule)(rows[1:], None))
        assert np.linalg.norm(moved) <= rule.row_bound + wide(rule).step * 5**0.5


def test_more_rows_than_slots():
    adapter = made(RULES[0], slots=4)
    rows = np.full((3, 5), 0.01)
    with pytest.raises(TooManyRecords, match="SFM-307"):
        adapter([rows, rows], None)
    # The refused sum leaves nothing behind.
    assert (adapter(rows, None) == made(RULES[0])(rows, None)).all()


def test_a_failure_half_way_leaves_nothing_behind():
    def blocks():
        yield np.full((3, 5), 0.2)
        raise OSError("the disk failed")

    adapter = made(RULES[0])
    with pytest.raises(OSError, match="disk"):
        adapter(blocks(), None)
    assert all(getattr(p, name) is None for p in adapter._parameters for name in ("grad", "grad_sample", "summed_grad"))
    assert (adapter(np.full((1, 5), 0.01), None) == made(RULES[0])(np.full((1, 5), 0.01), None)).all()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"clip_norm": 1.0, "clipping": FlatClip(1.0)},
        {"clip_norm": -1.0},
        {"clipping": PerLayerClip((2, 2), (1.0, 1.0))},
    ],
)
def test_refused_settings(settings):
    with pytest.raises(PlanError, match="SFM-301"):
        ClippedNoisySum(encoding=ENCODING, noise=None, **settings)


def test_narrow_floats_are_refused():
    import torch

    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        inner = torch.optim.SGD([torch.nn.Parameter(torch.zeros(5, dtype=dtype))], lr=0.0)
        with pytest.raises(PlanError, match="float64"):
            IntegerNoiseOptimizer(inner, max_grad_norm=1.0, encoding=ENCODING, noise=None)


def test_a_network_of_several_parameters():
    import torch

    shapes = [(2, 1), (), (2,)]
    parameters = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
    optimizer = IntegerNoiseOptimizer(
        torch.optim.SGD(parameters, lr=0.0), max_grad_norm=0.7, encoding=ENCODING, noise=None
    )
    rows = np.random.default_rng(0).normal(size=(6, 5))
    for p, part in zip(parameters, np.split(rows, [2, 3], axis=1), strict=True):
        p.grad_sample = torch.from_numpy(part.copy()).reshape(6, *p.shape)
    optimizer.pre_step()
    assert (optimizer.released == release(0.7)(rows, None)).all()
    assert [p.grad.shape for p in parameters] == [p.shape for p in parameters]


def conditional(step=2.0**-10, dimension=2):
    return ConditionalRounding(step, dimension, 1.0, Unit.CLIENT, Adjacency.ZERO_OUT)


def test_conditional_rounding_takes_its_words_ahead_of_the_noise():
    encoding = IntegerEncoding(step=2.0**-10, dimension=2, modulus_bits=32)
    noise = DiscreteGaussian(100.0)
    release = ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=noise, rounding=conditional())
    row, stream = np.array([[0.3, 0.4]]), np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64)

    def words(source):
        left = iter(source)
        return lambda n: np.array([next(left) for _ in range(n)], np.uint64)

    given = words(stream)
    rounded = conditional().round(row[0], given)
    assert release(row, words(stream)).tolist() == (rounded + noise.sample(2, given)).tolist()
    assert release(np.zeros((0, 2)), words(stream)).tolist() != [0, 0]


def test_a_rounding_of_another_encoding_or_without_words_is_refused():
    encoding = IntegerEncoding(step=2.0**-10, dimension=2, modulus_bits=32)
    for other in (conditional(step=2.0**-9), conditional(dimension=3)):
        with pytest.raises(PlanError, match="another encoding"):
            ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=None, rounding=other)
    release = ClippedNoisySum(clip_norm=1.0, encoding=encoding, noise=None, rounding=conditional())
    with pytest.raises(RuntimeError, match="no keystream"):
        release(np.zeros((1, 2)), None)
