# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 05: someone leaves."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge, judge_function

P = 65537


def check_1(interpolate: Any) -> Verdict:
    """`interpolate(points, values, p)`: the polynomial's value at 0, mod p (Lagrange)."""

    def at_zero(points: Any, values: Any, p: int, *, modular: bool = True) -> int:
        total = 0
        for i, xi in enumerate(points):
            top, bottom = 1, 1
            for j, xj in enumerate(points):
                if i != j:
                    top, bottom = top * -xj, bottom * (xi - xj)
            total += values[i] * top * pow(bottom, -1, p) if modular else values[i] * top // bottom
        return int(total % p)

    def share(coefficients: Any, x: int) -> int:
        return int(sum(c * x**k for k, c in enumerate(coefficients)) % P)

    cases = [
        ([1, 2, 3], [share((1234, 55, 777), x) for x in (1, 2, 3)], P),
        ([2, 5], [share((42, 60_000), x) for x in (2, 5)], P),
    ]
    return judge_function(
        interpolate,
        cases,
        right=lambda points, values, p: at_zero(points, values, p),
        says="Any t points fix the polynomial, and with it the secret at zero; t - 1 points fix nothing.",
        hints=[
            (
                lambda points, values, p: at_zero(points, values, p, modular=False),
                "You divided whole numbers. Mod p, dividing is multiplying by the inverse: pow(x, -1, p).",
            ),
            (
                lambda points, values, p: sum(values) % p,
                "That is the sum of the shares; each needs its Lagrange weight.",
            ),
            (lambda points, values, p: values[0], "That is one share. One share tells nothing."),
        ],
        otherwise="Sum over i of value_i times the product over j of (-x_j) / (x_i - x_j), all mod p.",
    )


def check_2(threshold: Any) -> Verdict:
    """5 clients, at most 1 corrupt, at most 1 silent: the smallest t with t > corrupt whose shares 4 clients can give,
    so that two groups of the honest cannot both reach it (2t > 5 + 1).
    """
    return judge(
        threshold,
        right=lambda t: int(t) == 4,
        says="2t > n + A leaves no room for two disjoint opinions, and n - D = 4 clients can still give t shares.",
        hints=[
            (
                lambda t: int(t) == 3,
                "2 x 3 = 6 is not more than 6: two groups of two, each with the corrupt one, reach 3.",
            ),
            (lambda t: int(t) == 5, "Then one silent client stops every round."),
            (lambda t: int(t) <= 2, "The corrupt one and a single honest one could open anybody's secret."),
        ],
        otherwise="Try t = 1, 2, 3, ... against 2t > 6 and t <= 4.",
    )


def check_3(why: Any) -> Verdict:
    """What does the server hold if it gets both a client's pair secret and its self-mask seed: "nothing", "the vector",
    "the key"?
    """
    return judge(
        str(why).strip().lower(),
        right=lambda a: "vector" in a,
        says="With both it takes all masks off the upload. So a client reveals one of the two for each peer, never both.",
        hints=[
            (lambda a: "nothing" in a, "Upload = vector + pair pads + self pad. Which of these are left?"),
            (lambda a: "key" in a, "It has keys indeed. What can it now compute from the upload?"),
            (lambda a: "sum" in a, "It has the sum anyway. This is about one client."),
        ],
        otherwise="Upload = vector + pair pads + self pad.",
    )
