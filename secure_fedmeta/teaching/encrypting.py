# SPDX-License-Identifier: Apache-2.0
"""Checks of notebook 07: homomorphic instead."""

from __future__ import annotations

from typing import Any

from .verdicts import Verdict, judge


def check_1(bits: Any) -> Verdict:
    """rlwe32 opens sums of 16-bit numbers: the ring for the sum of 50 clients needs how many bits?"""
    return judge(
        bits,
        right=lambda b: int(b) == 22,
        says="16 bits, and 6 more for the sum of 50: `ring_bits` says the same.",
        hints=[
            (lambda b: int(b) == 16, "That is one client's number. The sum of 50 is up to 50 times as large."),
            (lambda b: int(b) == 21, "2^5 = 32 is less than 50: one bit more."),
            (lambda b: int(b) == 32, "That is what masks have. Here the ciphertext needs the rest for its errors."),
        ],
        otherwise="16 + the number of bits that count up to 50.",
    )


def check_2(who: Any) -> Verdict:
    """Who could read each upload in a ckks run: "nobody", "the server" or "the decryptor"?"""
    return judge(
        str(who).strip().lower(),
        right=lambda a: "decrypt" in a,
        says="It made the key. That is why only the local epsilon may be claimed, and why bfv masks before it encrypts.",
        hints=[
            (lambda a: "nobody" in a, "Somebody must hold a key, or no sum could be opened. Who made it?"),
            (lambda a: "server" in a, "The server holds ciphertexts and no key."),
            (lambda a: "client" in a, "Clients hold the public key alone: they can lock, not unlock."),
        ],
        otherwise='Answer "nobody", "the server" or "the decryptor".',
    )


def check_3(what: Any) -> Verdict:
    """What makes the approximate sums of ckks a trouble for exact noise: "size", "speed" or "error"?"""
    return judge(
        str(what).strip().lower(),
        right=lambda a: "err" in a,
        says="Its error depends on the values, so it is no noise to count on; it must stay below half a step.",
        hints=[
            (lambda a: "size" in a, "Ciphertexts are large, but that costs bytes, not privacy."),
            (lambda a: "speed" in a, "It is slower than masks, but that costs time, not privacy."),
            (lambda a: "key" in a, "The key decides who can read; this is about the numbers that come out."),
        ],
        otherwise="Which of them changes the numbers that come out?",
    )
