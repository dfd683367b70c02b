# SPDX-License-Identifier: Apache-2.0
"""Write noise.json: draws from fixed keys, computed without this project.

Thresholds by mpmath's exponential at 600 bits, uniform 128-bit numbers and bisection in Python's whole numbers, the
keystream by AES-128 in counter mode from block 2, little-endian words: what `noise` and `skellam` document, told again.

python tests/vectors/privacy/generate_noise.py
"""

import bisect
import json
import math
from pathlib import Path

import mpmath
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK = 1 << 15
KEY = bytes(range(16))
CASES = [
    ("discrete_gaussian", 3.2),
    ("discrete_gaussian", 64.0),
    ("discrete_gaussian", 1024.5),
    ("wide", 100000.0),
    ("skellam", 4.0),
]
COUNT = 40_000  # crosses a block
SHOWN = 64


class Stream:
    def __init__(self, key):
        self.encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(15) + b"\x02")).encryptor()

    def words(self, n):
        raw = self.encryptor.update(bytes(8 * n))
        return [int.from_bytes(raw[8 * i : 8 * i + 8], "little") for i in range(n)]


def thresholds(masses):
    total, cumulative, out = sum(masses), mpmath.mpf(0), []
    for mass in masses[:-1]:
        cumulative += mass
        out.append(int(mpmath.floor(cumulative / total * 2**128)))
    return out


def gaussian_masses(scale):
    reach = int(mpmath.ceil(mpmath.mpf(13.3) * mpmath.mpf(scale)))
    return [
        mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * mpmath.mpf(scale) ** 2)) * (2 if k else 1) for k in range(reach + 1)
    ]


def poisson_masses(scale):
    """From 0 on: a table that starts later gives the same counts, less its start."""
    rate = mpmath.mpf(scale) ** 2 / 2
    return [rate**k / mpmath.factorial(k) for k in range(int(rate) + 400)]


def invert(table, tops, stream):
    highs = {threshold >> 64 for threshold in table}
    out = []
    for top in tops:
        bottom = stream.words(1)[0] if top in highs else 0
        out.append(bisect.bisect_right(table, top << 64 | bottom))
    return out


def signed(table, count, stream):
    magnitudes = invert(table, stream.words(count), stream)
    signs = b"".join(word.to_bytes(8, "little") for word in stream.words((count + 63) // 64))
    return [-m if signs[i // 8] >> (7 - i % 8) & 1 else m for i, m in enumerate(magnitudes)]


def discrete_gaussian(scale, stream):
    table, out = thresholds(gaussian_masses(scale)), []
    for start in range(0, COUNT, BLOCK):
        out += signed(table, min(BLOCK, COUNT - start), stream)
    return out


def wide(scale, stream):
    """X + 128 Y for the one scale used: a = 3.25 * 128, b the float above sqrt(scale^2 - a^2)/128."""
    a, k = 416.0, 128
    b = float(mpmath.sqrt(mpmath.mpf(scale) ** 2 - mpmath.mpf(a) ** 2) / k)
    if (k * mpmath.mpf(b)) ** 2 + mpmath.mpf(a) ** 2 < mpmath.mpf(scale) ** 2:
        b = math.nextafter(b, math.inf)
    narrow, broad, out = thresholds(gaussian_masses(a)), thresholds(gaussian_masses(b)), []
    for start in range(0, COUNT, BLOCK):
        count = min(BLOCK, COUNT - start)
        x = signed(narrow, count, stream)
        out += [u + k * v for u, v in zip(x, signed(broad, count, stream), strict=True)]
    return out


def skellam(scale, stream):
    table, out = thresholds(poisson_masses(scale)), []
    for start in range(0, COUNT, BLOCK):
        count = min(BLOCK, COUNT - start)
        first = invert(table, stream.words(count), stream)
        second = invert(table, stream.words(count), stream)
        out += [a - b for a, b in zip(first, second, strict=True)]
    return out


def main():
    mpmath.mp.prec = 600
    cases = []
    for law, scale in CASES:
        drawn = {"discrete_gaussian": discrete_gaussian, "wide": wide, "skellam": skellam}[law](scale, Stream(KEY))
        weighed = sum((i + 1) * x for i, x in enumerate(drawn))  # a sum over all values that notices their order
        cases.append(
            {"law": law, "scale": scale, "count": COUNT, "first": drawn[:SHOWN], "last": drawn[-8:], "weighed": weighed}
        )
    text = json.dumps({"key": KEY.hex(), "cases": cases}, indent=1)
    Path(__file__).with_name("noise.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
