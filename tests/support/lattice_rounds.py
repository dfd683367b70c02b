# SPDX-License-Identifier: Apache-2.0
"""A threshold round in one process, each message at hand to bend."""

import numpy as np
from crypto_rounds import Rehearsal, counter_entropy, identity_of, people_of, plan, policy, signed_plan, signed_policy

from fedmeta_crypto import SERVER
from fedmeta_crypto.homomorphic.rlwe import AddingServer, EncryptingClient, scheme_for


def lattice_parameters(scheme, *, signed=True, **changes):
    fields = {"bits": scheme.session_modulus_bits, "length": scheme.session_length}
    return (signed_plan if signed else plan)(scheme.clients, **(fields | changes))


class LatticeRehearsal(Rehearsal):
    """The shell of a masking round around the two parties of a threshold round."""

    def __init__(self, scheme=None, *, name="rlwe32", n=4, bits=16, dimension=50, seed="s", signed=True, **changes):
        scheme = scheme or scheme_for(name, clients=n, modulus_bits=bits, dimension=dimension)
        self.scheme, self.parameters = scheme, lattice_parameters(scheme, signed=signed, **changes)
        cohort, self.signed = self.parameters.cohort, signed
        keys = {"identity": identity_of(SERVER), "allow_list": people_of(cohort)} if signed else {}
        self.server = AddingServer(self.parameters, scheme=scheme, **keys)
        self.inbox, self.sent, self.events = {}, {}, {}
        self.opened = self.recorded = None
        self.isolated = set()
        self._collect(self.server.announce())
        self.clients = {
            id_: self.client(id_, m0, entropy=counter_entropy(f"{seed}/{id_}")) for id_, m0 in self.inbox.items()
        }
        rng = np.random.default_rng(len(seed))
        top = 2**scheme.modulus_bits
        self.vectors = {id_: rng.integers(0, top, scheme.dimension).astype(np.uint32) for id_ in cohort}

    def client(self, id_, m0, *, entropy, scheme=None, **changes):
        keys = {"identity": identity_of(id_)} if self.signed else {}
        own = signed_policy(self.parameters, **changes) if self.signed else policy(**changes)
        return EncryptingClient(m0, client_id=id_, scheme=scheme or self.scheme, policy=own, entropy=entropy, **keys)

    def until_masked(self):
        return self.advertise().share().deliver()

    def expected(self, survivors):
        total = sum(self.vectors[id_].astype(np.uint64) for id_ in survivors)
        return (total % np.uint64(2**self.scheme.modulus_bits)).astype(np.uint32)
