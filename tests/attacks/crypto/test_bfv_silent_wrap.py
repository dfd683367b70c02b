# SPDX-License-Identifier: Apache-2.0
"""BFV wraps without a word: sums that could are refused when a plan is made, and whole rounds come out exact."""

import numpy as np
import pytest
import tenseal as ts
from split_rounds import SplitRehearsal, small_vectors

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme


def test_bare_tenseal_wraps_in_silence():
    context = ts.context(ts.SCHEME_TYPE.BFV, 4096, 65537)
    assert (ts.bfv_vector(context, [32000]) + ts.bfv_vector(context, [32000])).decrypt() == [-1537]


def test_a_plan_that_could_wrap_or_drown_is_refused():
    cipher = TensealBfv()
    most = cipher.max_clients
    SplitScheme(clients=most, modulus_bits=28, dimension=5, cipher=cipher)
    with pytest.raises(PlanRefused):
        SplitScheme(clients=most + 1, modulus_bits=28, dimension=5, cipher=cipher)
    with pytest.raises(PlanRefused):
        SplitScheme(clients=64, modulus_bits=6, dimension=5, cipher=cipher)


@pytest.mark.parametrize("bits", [21, 30])
def test_a_whole_round_with_a_client_lost(bits):
    scheme = SplitScheme(clients=4, modulus_bits=bits, dimension=4500, cipher=TensealBfv(seconds=60))
    rehearsal = SplitRehearsal(scheme, dropped=1)
    ids = rehearsal.parameters.cohort
    rehearsal.vectors = small_vectors(scheme, ids)
    rehearsal.advertise().share().deliver().mask(drop=ids[1:2]).agree().unmask()
    left = tuple(id_ for id_ in ids if id_ != ids[1])
    assert rehearsal.opened.survivors == left
    want = sum(rehearsal.vectors[id_].astype(np.int64) for id_ in left) % 2**bits
    assert np.array_equal(rehearsal.opened.total, want.astype(np.uint32))
