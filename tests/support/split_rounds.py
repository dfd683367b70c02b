# SPDX-License-Identifier: Apache-2.0
"""A masked split in one process: clients, aggregator and decryptor, each message at hand to bend."""

import dataclasses

import numpy as np
from crypto_rounds import RECORD, Agreeable, counter_entropy, identity_of, signed_plan, signed_policy
from toy_bfv import ToyCipher

from fedmeta_crypto import SERVER, Phase
from fedmeta_crypto.homomorphic.split import messages
from fedmeta_crypto.homomorphic.split.aggregator import AddingServer, proposed_key
from fedmeta_crypto.homomorphic.split.client import EncryptingClient
from fedmeta_crypto.homomorphic.split.decryptor import Decryptor
from fedmeta_crypto.homomorphic.split.messages import Kind, RoundKey, announcement_parts
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.secagg.parameters import Graph
from fedmeta_crypto.secagg.step import RecordCountersigned, SumOpened
from fedmeta_crypto.wire import DECRYPTOR


def people_with_decryptor(ids):
    return AllowList(identity_of(SERVER).public, {id_: identity_of(id_).public for id_ in (*ids, DECRYPTOR)})


def toy_scheme(clients, *, bits=21, dimension=5, **cipher):
    return SplitScheme(clients=clients, modulus_bits=bits, dimension=dimension, cipher=ToyCipher(**cipher))


def small_vectors(scheme, ids, seed=0):
    """Residues modulo 2^B of values that are as large as the ring has room for, so many clients having them."""
    top = 2 ** (scheme.modulus_bits - (scheme.clients - 1).bit_length() - 1)
    rng = np.random.default_rng(seed)
    values = {id_: rng.integers(-top, top, scheme.dimension) for id_ in ids}
    return {id_: (vector % 2**scheme.modulus_bits).astype(np.uint32) for id_, vector in values.items()}


class SplitRehearsal:
    """The shell: `inbox` holds what the server last sent each client; the decryptor is served at once."""

    def __init__(
        self, scheme=None, *, n=4, decryptor=None, round_=1, serve=True, seed="s", made=signed_plan, **changes
    ):
        scheme = self.scheme = scheme or toy_scheme(n)
        base = made(scheme.clients, **changes)
        self.people = people_with_decryptor(base.cohort)
        policy = self.policy = signed_policy(base, allow_list=self.people, max_length=4096)
        if base.graph is not Graph.COMPLETE:
            fields = {f.name: getattr(policy, f.name) for f in dataclasses.fields(policy)}
            policy = self.policy = Agreeable(**fields, stated=base.numbers)
        self.decryptor = decryptor or Decryptor(scheme, policy=policy, identity=identity_of(DECRYPTOR))
        self.serve, self.persisted, self.to_decryptor = serve, [], []
        self.opened = self.recorded = None
        self.inbox, self.sent, self.from_decryptor = {}, {}, {}
        step = self.decryptor.begin(round_)
        self.persisted += step.persist
        (self.proposal,) = (out.message for out in step.send)
        self.from_decryptor[Kind.PROPOSAL] = self.proposal
        key = proposed_key(self.proposal, scheme=scheme, round_=round_, people=self.people)
        fields = {"round_": round_, "bits": 0, "length": scheme.session_length, "modulus": scheme.modulus}
        self.parameters = made(scheme.clients, **changes, **fields, key_hash=key.hash)
        self.server = AddingServer(
            self.parameters,
            scheme=scheme,
            proposal=self.proposal,
            identity=identity_of(SERVER),
            allow_list=self.people,
        )
        self._collect(self.server.announce())
        self.vectors = small_vectors(scheme, self.parameters.cohort)
        self.clients = {
            id_: self.client(id_, message, entropy=counter_entropy(f"{seed}/{id_}"))
            for id_, message in self.inbox.items()
        }

    def client(self, id_, message, **changes):
        fields = {"scheme": self.scheme, "policy": self.policy, "identity": identity_of(id_)}
        return EncryptingClient(message, client_id=id_, **(fields | changes))

    def _collect(self, step):
        own = {out.to: out.message for out in step.send if out.to != DECRYPTOR}
        if own:
            self.inbox = own
        for event in step.events:
            if isinstance(event, SumOpened):
                self.opened = event
            if isinstance(event, RecordCountersigned):
                self.recorded = event
        for out in step.send:
            if out.to == DECRYPTOR:
                self.to_decryptor.append(out.message)
                if self.serve:
                    self.hand_over(out.message)

    def hand_over(self, message):
        """One message to the decryptor, and what it says to the server."""
        step = self.decryptor.receive(message)
        self.persisted += step.persist
        for out in step.send:
            assert out.to == SERVER
            self.from_decryptor[Kind(out.message[8])] = out.message
            self._collect(self.server.receive(out.message, sender=DECRYPTOR))

    def _upload(self, number, id_, step):
        (outgoing,) = step.send
        self.sent[number, id_] = outgoing.message
        self._collect(self.server.receive(outgoing.message, sender=id_))

    def advertise(self, drop=()):
        for id_, client in self.clients.items():
            if id_ not in drop:
                self._upload(1, id_, client.advertise_keys())
        self._collect(self.server.deadline(Phase.ADVERTISE_KEYS))
        return self

    def _answer(self, number, drop, phase):
        for id_, message in dict(self.inbox).items():
            if id_ not in drop:
                self._upload(number, id_, self.clients[id_].receive(message))
        self._collect(self.server.deadline(phase))
        return self

    def share(self, drop=()):
        return self._answer(3, drop, Phase.SHARE_KEYS)

    def deliver(self, drop=()):
        for id_, message in self.inbox.items():
            if id_ not in drop:
                self.clients[id_].receive(message)
        return self

    def mask(self, drop=()):
        for id_ in dict(self.inbox):
            if id_ not in drop:
                self._upload(
                    5, id_, self.clients[id_].mask_input(self.vectors[id_], attachment_hash=bytes([id_ % 256]) * 32)
                )
        self._collect(self.server.deadline(Phase.MASK_INPUT))
        return self

    def agree(self, drop=()):
        return self._answer(7, drop, Phase.CONSISTENCY)

    def unmask(self, drop=()):
        self._answer(9, drop, Phase.UNMASK)
        return self.opened

    def until(self, phase):
        """Everything honest, up to and not including the collection of `phase`."""
        moves = ("advertise", "share", "deliver", "mask", "agree", "unmask")
        before = {Phase.MASK_INPUT: 3, Phase.CONSISTENCY: 4, Phase.UNMASK: 5, Phase.DONE: 6}
        for move in moves[: before[phase]]:
            getattr(self, move)()
        return self

    def countersign(self):
        self._collect(self.server.publish(RECORD))
        for id_, message in dict(self.inbox).items():
            self.clients[id_].receive(message)
            self._upload(11, id_, self.clients[id_].countersign())
        return self.recorded

    def expected(self, ids):
        total = sum(self.vectors[id_].astype(np.int64) for id_ in ids)
        return (total % 2**self.scheme.modulus_bits).astype(np.uint32)


def offered(rehearsal):
    """M0 and offer, as a client gets them."""
    return announcement_parts(rehearsal.inbox[3])


def reframed(rehearsal, kind=Kind.OFFER, by=DECRYPTOR, **changes):
    """A message as the decryptor makes it, changed."""
    fields = {"session": rehearsal.server.session, "round_": rehearsal.parameters.round}
    payload = changes.pop("payload", None)
    if payload is None:
        key = RoundKey(rehearsal.scheme.digest, rehearsal.decryptor._key.public_key)
        payload = dataclasses.replace(key, **changes.pop("key", {})).payload()
    return messages.frame(kind, payload, identity=identity_of(by), **(fields | changes))
