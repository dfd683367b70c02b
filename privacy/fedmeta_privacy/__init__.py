# SPDX-License-Identifier: Apache-2.0
"""The privacy room: sensitivity, noise, epsilon, evidence. No sockets, no protocol, no torch.

The Opacus adapter is `fedmeta_privacy.dp_sgd`; import it only where torch is welcome.
"""

from .accountant import Epsilon, epsilon
from .budget import GdpFilter, PrivacyFilter, require_filter
from .claims import Adjacency, Claim, Mode, Unit, View, claim
from .encoding import IntegerEncoding
from .errors import PrivacyError
from .events import (
    CappedPoisson,
    ClientThenRecord,
    Composed,
    DiscreteGaussianSum,
    FixedSizeGaussian,
    Gaussian,
    NonPrivate,
    PoissonDiscreteGaussianSum,
    PoissonGaussian,
    Repeated,
    SkellamSum,
)
from .filters import DominatingEventFilter, RdpFilter
from .journal import Witness
from .odometer import RunningEpsilon
from .sensitivity import RoleSensitivity

__all__ = [
    "Adjacency",
    "CappedPoisson",
    "Claim",
    "ClientThenRecord",
    "Composed",
    "DiscreteGaussianSum",
    "DominatingEventFilter",
    "Epsilon",
    "FixedSizeGaussian",
    "Gaussian",
    "GdpFilter",
    "IntegerEncoding",
    "Mode",
    "NonPrivate",
    "PoissonDiscreteGaussianSum",
    "PoissonGaussian",
    "PrivacyError",
    "PrivacyFilter",
    "RdpFilter",
    "Repeated",
    "RoleSensitivity",
    "RunningEpsilon",
    "SkellamSum",
    "Unit",
    "View",
    "Witness",
    "claim",
    "epsilon",
    "require_filter",
]
