# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 04: keys from nothing."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge, judge_function

P, G = 2**61 - 1, 7  # a toy group for exercises; rounds use X25519


def check_1(agree: Any) -> Verdict:
    """`agree(my_secret, their_public, p)`: the shared number of Diffie and Hellman."""
    cases = [(5, pow(G, 11, P), P), (11, pow(G, 5, P), P)]
    return judge_function(
        agree,
        cases,
        right=lambda s, public, p: pow(public, s, p),
        says="Both sides get g^(ab): (g^b)^a = (g^a)^b. Who only saw g^a and g^b does not.",
        hints=[
            (
                lambda s, public, p: pow(G, s, p),
                "That is your own public number. Put *their* public number to your power.",
            ),
            (lambda s, public, p: s * public % p, "You multiplied. Then anybody divides your secret out again."),
            (lambda s, public, p: public, "That is their public number; everybody knows it."),
            (lambda s, public, p: pow(s, public, p), "Base and exponent are swapped: the two sides would not agree."),
        ],
        otherwise="their_public to the power my_secret, mod p: pow(base, exponent, modulus).",
    )


def check_2(info: Any) -> Verdict:
    """Which labels keep the two keys of a pair apart? Pick from "pad"/"pad", "pad"/"seal", ""/""."""
    return judge(
        info,
        right=lambda pair: len(set(pair)) == 2 and all(pair),
        says="One secret, two labels, two keys that tell nothing of each other: domain separation.",
        hints=[
            (lambda pair: tuple(pair) == ("", ""), "Without labels both uses get the same key."),
            (
                lambda pair: pair[0] == pair[1],
                "The same label makes the same key: whoever breaks one use has the other.",
            ),
            (lambda pair: not all(pair), "An empty label may be chosen by somebody else too: name both uses."),
        ],
        otherwise='Answer with two different labels, such as ("pad", "seal").',
    )


def check_3(who: Any) -> Verdict:
    """Who could stand between two clients if keys were not signed?"""
    return judge(
        str(who).strip().lower(),
        right=lambda a: "server" in a,
        says="All keys pass through the server. At strength malicious each is signed, by keys of an allow-list.",
        hints=[
            (lambda a: "nobody" in a, "Who hands client 1 the key that is said to be client 2's?"),
            (lambda a: "client" in a, "Clients never talk to each other directly here. Through whom?"),
            (lambda a: "eaves" in a, "An eavesdropper only listens. Who may *change* what passes?"),
        ],
        otherwise="Look at the picture: through whose hands does every message go?",
    )
