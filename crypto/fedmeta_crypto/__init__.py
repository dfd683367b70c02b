# SPDX-License-Identifier: Apache-2.0
"""Sums of vectors that nobody sees: secure aggregation over integers modulo 2^b.

The two sessions are sans-IO state machines: bytes in, a `Step` out. Events are in
`fedmeta_crypto.secagg.step`, errors in `fedmeta_crypto.errors`.
"""

from fedmeta_crypto.errors import LocalProtocolError, PeerProtocolError, ProtocolError, TooFewSurvivors
from fedmeta_crypto.prg import Entropy, Keystream
from fedmeta_crypto.secagg.client import ClientSession
from fedmeta_crypto.secagg.parameters import RoundParameters, Strength
from fedmeta_crypto.secagg.policy import ClientPolicy
from fedmeta_crypto.secagg.server import ServerSession
from fedmeta_crypto.secagg.step import Outgoing, Phase, Step
from fedmeta_crypto.wire import SERVER

__all__ = [
    "SERVER",
    "ClientPolicy",
    "ClientSession",
    "Entropy",
    "Keystream",
    "LocalProtocolError",
    "Outgoing",
    "PeerProtocolError",
    "Phase",
    "ProtocolError",
    "RoundParameters",
    "ServerSession",
    "Step",
    "Strength",
    "TooFewSurvivors",
]
