# SPDX-License-Identifier: Apache-2.0
"""The server announces a round that too few could open, or that could never be opened."""

import pytest
from crypto_rounds import plan, policy

from fedmeta_crypto import ClientSession, RoundParameters
from fedmeta_crypto.errors import BadMessage, BadSignature, PlanRefused, Unsupported


def test_majority_is_the_default_floor():
    strict = policy(min_threshold=None)
    for n, least in ((3, 2), (4, 3), (9, 5), (10, 6)):
        with pytest.raises(PlanRefused, match="threshold"):
            ClientSession(plan(n, threshold=least - 1).to_message(), client_id=3, policy=strict)
        ClientSession(plan(n, threshold=least).to_message(), client_id=3, policy=strict)


def test_two_clients_are_refused_by_default():
    with pytest.raises(PlanRefused):
        ClientSession(plan(2, threshold=1).to_message(), client_id=3, policy=policy(min_threshold=None))


def test_small_cohort():
    with pytest.raises(PlanRefused, match="cohort"):
        ClientSession(plan(4).to_message(), client_id=3, policy=policy(min_cohort=5))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 0},
        {"threshold": 4, "min_survivors": 4},  # nobody holds four shares of another's secret
        {"threshold": 2, "min_survivors": 2},
        {"min_survivors": 5},
        {"ids": (3, 3, 5)},
        {"ids": (5, 3, 8)},
        {"ids": (3,)},
        {"ids": (3, 5, 2**32 - 1)},
        {"bits": 7},
        {"bits": 33},
        {"length": 0},
        {"round_": 0},
        {"round_": 2**63},
        {"behaviour_hash": b""},
        {"server_nonce": bytes(31)},
        {"body": "text"},
        {"threshold": 1.5},
    ],
)
def test_unsound_plans_cannot_be_made(changes):
    with pytest.raises(PlanRefused):
        plan(**({"n": 4} | changes))


@pytest.mark.parametrize(
    ("at", "code", "error"),
    [
        (55, 0, Unsupported),
        (55, 2, BadSignature),
        (55, 3, BadSignature),
        (55, 255, Unsupported),
        (56, 0, Unsupported),
        (56, 2, BadMessage),
        (56, 3, BadMessage),
        (56, 255, Unsupported),
        (59, 0, BadMessage),
    ],
)
def test_other_strengths_and_graphs(at, code, error):
    """Codes that mean nothing, signed strengths without a signature, and a graph that its numbers are not."""
    message = bytearray(plan().to_message())
    message[at] = code
    with pytest.raises(error):
        RoundParameters.from_message(bytes(message), max_bytes=10**4)


def test_strength_not_allowed_here():
    with pytest.raises(PlanRefused, match="strength"):
        ClientSession(plan().to_message(), client_id=3, policy=policy(allowed_strengths=frozenset()))
