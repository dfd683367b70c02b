# SPDX-License-Identifier: Apache-2.0
"""A rehearsal in which only selected coordinates are hidden."""

import numpy as np
from crypto_rounds import Rehearsal, plan, signed_plan
from lattice_rounds import LatticeRehearsal
from split_rounds import SplitRehearsal, small_vectors, toy_scheme

from fedmeta_crypto.homomorphic.selection import Selection
from fedmeta_crypto.homomorphic.selective import SelectiveClient, SelectiveServer


def selection_of(d, encrypted, seed=0):
    """A random set of so many of d coordinates."""
    mask = np.zeros(d, bool)
    mask[np.random.default_rng(seed).permutation(d)[:encrypted]] = True
    return Selection.of(mask)


class SelectiveRehearsal(Rehearsal):
    """The sessions inside are those of masking; vectors have the selection's dimension."""

    def __init__(self, selection, *, signed=True, bits=32, seed=0, **changes):
        self.selection, self.bits = selection, bits
        make = signed_plan if signed else plan
        super().__init__(make(length=selection.encrypted, bits=bits, **changes))
        self.server = SelectiveServer(self.server, selection, modulus_bits=bits)
        draw = np.random.default_rng(seed)
        self.vectors = {
            id_: draw.integers(0, 2**bits, selection.dimension, dtype=np.uint64).astype(np.uint32)
            for id_ in self.parameters.cohort
        }

    def client(self, id_, m0, **arguments):
        inner = super().client(id_, m0, **arguments)
        return SelectiveClient(inner, self.selection, modulus_bits=self.bits)


class SelectiveSplitRehearsal(SplitRehearsal):
    """The sessions inside are those of a masked split: parcels, and a decryptor beside the clients."""

    def __init__(self, selection, *, n=4, bits=22, seed=0, **changes):
        self.selection = selection
        super().__init__(toy_scheme(n, bits=bits, dimension=selection.encrypted), n=n, **changes)
        self.server = SelectiveServer(self.server, selection, modulus_bits=bits)
        whole = toy_scheme(n, bits=bits, dimension=selection.dimension)
        self.vectors = small_vectors(whole, self.parameters.cohort, seed)

    def client(self, id_, message, **changes):
        inner = super().client(id_, message, **changes)
        return SelectiveClient(inner, self.selection, modulus_bits=self.scheme.modulus_bits)


class SelectiveLatticeRehearsal(LatticeRehearsal):
    """The sessions inside are those of the threshold mode."""

    def __init__(self, selection, *, bits=16, seed=0, **changes):
        self.selection = selection
        super().__init__(bits=bits, dimension=selection.encrypted, **changes)
        self.server = SelectiveServer(self.server, selection, modulus_bits=bits)
        draw = np.random.default_rng(seed)
        self.vectors = {
            id_: draw.integers(0, 2**bits, selection.dimension).astype(np.uint32) for id_ in self.parameters.cohort
        }

    def client(self, id_, m0, **changes):
        inner = super().client(id_, m0, **changes)
        return SelectiveClient(inner, self.selection, modulus_bits=self.scheme.modulus_bits)
