# SPDX-License-Identifier: Apache-2.0
"""A client sends its vector twice, to weigh double: the second is refused before it is added."""

import numpy as np
import pytest
from crypto_rounds import Rehearsal

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import MaskReuse, Repeated


def test_counts_once():
    rehearsal = Rehearsal().until(Phase.MASK_INPUT)
    message = rehearsal.clients[3].mask_input(rehearsal.vectors[3]).send[0].message
    rehearsal.server.receive(message, sender=3)
    before = rehearsal.server._sum.copy()
    with pytest.raises(Repeated):
        rehearsal.server.receive(message, sender=3)
    assert np.array_equal(rehearsal.server._sum, before)


def test_a_mask_covers_one_vector():
    rehearsal = Rehearsal().until(Phase.MASK_INPUT)
    client = rehearsal.clients[3]
    client.mask_input(rehearsal.vectors[3])
    with pytest.raises(MaskReuse):
        client.mask_input(rehearsal.vectors[13])
