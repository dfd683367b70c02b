# SPDX-License-Identifier: Apache-2.0
"""The floating-point product against Python's integers, and its error against the bound that is claimed."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.homomorphic.rlwe import product
from fedmeta_crypto.homomorphic.rlwe.product import Multiplier, error_factor

RNG = np.random.default_rng(7)


def exact(a, s):
    """a s in Z[x] / (x^N + 1) by one product of two big integers (Kronecker substitution)."""
    n, bits = len(a), 96

    def packed(values):
        return sum(int(value) << (bits * place) for place, value in enumerate(values))

    whole, found = packed(a) * packed(s), []
    for _ in range(2 * n):
        low = whole & ((1 << bits) - 1)
        low -= (low >> (bits - 1)) << bits
        found.append(low)
        whole = (whole - low) >> bits
    return [found[i] - found[i + n] for i in range(n)]


def signed(row):
    return row.view(f"i{row.itemsize}").tolist()


def inputs(degree, kind, which):
    top = np.iinfo(kind).max // 2
    match which:
        case "uniform":
            return RNG.integers(0, np.iinfo(kind).max, degree, dtype=kind, endpoint=True)
        case "largest":
            return np.full(degree, top, kind)
        case "smallest":
            return np.full(degree, top + 1, kind)
        case _:
            return np.where(np.arange(degree) % 2, top, top + 1).astype(kind)


SECRETS = {
    "drawn": lambda n: np.rint(RNG.normal(0, 6.5, n)).astype(np.int64),
    "largest": lambda n: np.full(n, 87),
    "alternating": lambda n: np.where(np.arange(n) % 2, 87, -87),
    "fifty clients": lambda n: np.rint(RNG.normal(0, 6.5 * 50**0.5, n)).astype(np.int64),
    "fifty largest": lambda n: np.full(n, 50 * 87),
}


def is_exact(degree, kind, secret, which):
    a, s = inputs(degree, kind, which), SECRETS[secret](degree)
    found = Multiplier(s).times(a[None])[0]
    modulus = 2 ** (8 * a.itemsize)
    return found.tolist() == [value % modulus for value in exact(signed(a), s.tolist())]


@pytest.mark.parametrize("which", ["uniform", "largest", "smallest", "alternating"])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("degree", "kind"), [(256, np.uint32), (512, np.uint64)])
def test_every_small_product_is_exact(degree, kind, secret, which):
    assert is_exact(degree, kind, secret, which)


@pytest.mark.parametrize("secret", ["drawn", "fifty largest"])
@pytest.mark.parametrize(("degree", "kind"), [(2048, np.uint32), (4096, np.uint64)])
def test_products_are_exact_at_full_size(degree, kind, secret):
    assert is_exact(degree, kind, secret, "uniform")


@pytest.mark.long
@pytest.mark.parametrize("which", ["uniform", "largest", "smallest", "alternating"])
@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(("degree", "kind"), [(2048, np.uint32), (4096, np.uint64)])
def test_every_product_is_exact_at_full_size(degree, kind, secret, which):
    assert is_exact(degree, kind, secret, which)


@pytest.mark.parametrize("which", ["uniform", "largest", "smallest", "alternating"])
@pytest.mark.parametrize("degree", [8, 2048, 4096])
def test_the_error_stays_below_the_bound(degree, which):
    limb = inputs(degree, np.uint32, which).view(np.int32).astype(np.float64)
    s = SECRETS["largest" if which != "uniform" else "drawn"](degree)
    multiplier = Multiplier(s)
    spectrum = product._fold(limb[None]) * multiplier._transformed
    folded = np.fft.ifft(spectrum, axis=-1) * multiplier._untwist
    rough = np.concatenate([folded.real, folded.imag], -1)[0]
    true = exact(limb.astype(np.int64).tolist(), s.tolist())
    error = max(
        abs(round(value) - want + (value - round(value))) for value, want in zip(rough.tolist(), true, strict=True)
    )
    assert error < error_factor(degree) * np.linalg.norm(limb) * np.linalg.norm(s)


def test_the_factor_is_not_lost_in_rounding():
    # In floating point 1 + 2^-53 is 1: without log1p the first term would vanish.
    getcontext().prec = 60
    for degree in (2048, 4096):
        levels, unit = int(math.log2(degree // 2)) + 2, Decimal(2) ** -53
        true = (1 + unit) ** (6 * levels) * (1 + Decimal(5).sqrt() * unit) ** (3 * levels + 1) - 1
        assert true <= Decimal(error_factor(degree)) <= true * (1 + Decimal(2) ** -28)


def test_one_limb_only_where_it_is_proved(monkeypatch):
    """A secret of one client takes one limb; the sum of fifty takes more, since its bound is beyond one half."""
    seen = []
    cut = product._cut
    monkeypatch.setattr(product, "_cut", lambda a, width, limbs: seen.append(limbs) or cut(a, width, limbs))
    a = inputs(2048, np.uint32, "uniform")[None]
    Multiplier(SECRETS["drawn"](2048)).times(a)
    assert seen == [1]
    Multiplier(SECRETS["fifty clients"](2048)).times(a)
    assert seen == [1, 2]


def test_what_is_not_proved_is_refused():
    with pytest.raises(BadArgument, match="not proved exact"):
        Multiplier(np.full(4096, 2**40)).times(inputs(4096, np.uint64, "uniform")[None])
    for shape in ((7,), (2, 8), (2,)):
        with pytest.raises(BadArgument, match="no polynomial"):
            Multiplier(np.zeros(shape, np.int64))


@pytest.mark.parametrize("kind", [np.uint32, np.uint64])
@pytest.mark.parametrize("limbs", [2, 3, 4])
def test_limbs_add_up(kind, limbs):
    a = np.concatenate([inputs(64, kind, w) for w in ("uniform", "largest", "smallest")])
    bits = 8 * a.itemsize
    width = -(-bits // limbs)
    cut = product._cut(a, width, limbs)
    for limb in cut:
        assert -(2 ** (width - 1)) <= limb.min() and limb.max() < 2 ** (width - 1)
    total = [sum(int(limb[i]) << (place * width) for place, limb in enumerate(cut)) % 2**bits for i in range(a.size)]
    assert total == a.tolist()


def test_a_multiplier_is_wiped_and_shows_nothing():
    multiplier = Multiplier(SECRETS["drawn"](2048))
    assert repr(multiplier) == "Multiplier(degree=2048)"
    multiplier.wipe()
    assert not multiplier._transformed.any() and multiplier._norm == 0
