# SPDX-License-Identifier: Apache-2.0
"""The server shows the victim another model than the rest, to read its update out of the sum.

Pasquini et al., arXiv 2111.07380. The behaviour hash is part of the session and of every pair key.
"""

import numpy as np
import pytest
from crypto_rounds import Rehearsal, counter_entropy, plan

from fedmeta_crypto.errors import WrongSession
from fedmeta_crypto.secagg.secrets_held import HeldSecrets

LENGTH = 20_000


def test_sessions_do_not_meet():
    honest, crafted = Rehearsal(), Rehearsal(behaviour_hash=b"x" * 32)
    message = crafted.clients[3].advertise_keys().send[0].message
    with pytest.raises(WrongSession):
        honest.server.receive(message, sender=3)


def test_pair_masks_do_not_cancel_even_under_one_session():
    """With the session check out of the way, what is left of the victim's vector is uniform noise."""
    from fedmeta_crypto.prg import add_masks

    a, b = HeldSecrets(counter_entropy("a")), HeldSecrets(counter_entropy("b"))
    publics = {3: a.mask_pair.public, 5: b.mask_pair.public}
    session = plan().session
    a.derive_mask_keys(3, {5: publics[5]}, session=session, behaviour_hash=b"x" * 32)
    b.derive_mask_keys(5, {3: publics[3]}, session=session, behaviour_hash=bytes(32))
    victim = np.full(LENGTH, 12345, np.uint32)
    total = victim.copy()
    add_masks(total, plus=a.mask_keys_plus[1:], minus=b.mask_keys_minus)
    assert not np.array_equal(total, victim)
    counts = np.bincount(total >> np.uint32(24), minlength=256)
    chi_square = ((counts - LENGTH / 256) ** 2 / (LENGTH / 256)).sum()
    assert chi_square < 400  # 255 degrees of freedom, fixed seed; P(> 400) is about 1e-8
    assert (total >> np.uint32(31)).mean() == pytest.approx(0.5, abs=0.02)


def test_the_same_behaviour_cancels():
    from fedmeta_crypto.prg import add_masks

    a, b = HeldSecrets(counter_entropy("a")), HeldSecrets(counter_entropy("b"))
    publics = {3: a.mask_pair.public, 5: b.mask_pair.public}
    session = plan().session
    a.derive_mask_keys(3, {5: publics[5]}, session=session, behaviour_hash=bytes(32))
    b.derive_mask_keys(5, {3: publics[3]}, session=session, behaviour_hash=bytes(32))
    total = np.full(9, 7, np.uint32)
    add_masks(total, plus=a.mask_keys_plus[1:], minus=b.mask_keys_minus)
    assert (total == 7).all()
