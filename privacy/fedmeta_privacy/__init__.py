# SPDX-License-Identifier: Apache-2.0
"""The privacy room: sensitivity, noise, epsilon, evidence. No sockets, no protocol, no torch.

The Opacus adapter is `fedmeta_privacy.dp_sgd`; import it only where torch is welcome.
"""

from .accountant import Epsilon, epsilon
from .budget import GdpFilter
from .claims import Adjacency, Claim, Mode, Unit, View, claim
from .encoding import IntegerEncoding
from .errors import PrivacyError
from .events import DiscreteGaussianSum, Gaussian, NonPrivate, PoissonGaussian
from .sensitivity import RoleSensitivity

__all__ = [
    "Adjacency",
    "Claim",
    "DiscreteGaussianSum",
    "Epsilon",
    "Gaussian",
    "GdpFilter",
    "IntegerEncoding",
    "Mode",
    "NonPrivate",
    "PoissonGaussian",
    "PrivacyError",
    "RoleSensitivity",
    "Unit",
    "View",
    "claim",
    "epsilon",
]
