# SPDX-License-Identifier: Apache-2.0
"""A round in one process that a test can stop, bend and replay at any message."""

import hashlib
from dataclasses import dataclass

import numpy as np

from fedmeta_crypto import (
    SERVER,
    ClientPolicy,
    ClientSession,
    Phase,
    RoundParameters,
    ServerSession,
    Strength,
)
from fedmeta_crypto.errors import InconsistentRoster
from fedmeta_crypto.graph import GraphParameters, assured, majority_against
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.parameters import Graph
from fedmeta_crypto.secagg.step import InputWanted, RecordCountersigned, SumOpened
from fedmeta_crypto.wire import Header, Reader, frame, unframe

HONEST = frozenset({Strength.SEMI_HONEST})
SIGNED = frozenset({Strength.MALICIOUS})
RECORD = b'{"round":1,"epsilon":1.5}'


def counter_entropy(seed):
    """Deterministic and only for tests: SHAKE-256 of seed and call number."""
    calls = iter(range(2**62))
    return lambda n: hashlib.shake_256(f"{seed}/{next(calls)}".encode()).digest(n)


def plan(n=4, *, ids=None, threshold=None, min_survivors=None, bits=32, length=5, round_=1, **changes):
    cohort = tuple(ids) if ids is not None else tuple(10 * i + 3 for i in range(n))
    threshold = max(1, len(cohort) // 2) if threshold is None else threshold
    fields = {
        "round": round_,
        "cohort": cohort,
        "threshold": threshold,
        "min_survivors": threshold + 1 if min_survivors is None else min_survivors,
        "modulus_bits": bits,
        "length": length,
        "behaviour_hash": bytes(32),
        "server_nonce": bytes(32),
        "body": b"",
    }
    return RoundParameters(**(fields | changes))


def identity_of(id_):
    """A fixed signing key for each party, only for tests."""
    return Identity(hashlib.sha256(f"identity of {id_}".encode()).digest())


def people_of(ids):
    return AllowList(identity_of(SERVER).public, {id_: identity_of(id_).public for id_ in ids})


def signed_plan(n=4, *, corrupt=0, dropped=1, ids=None, **changes):
    """A round at the malicious strength, announced as a policy with these A and D wants it."""
    cohort = tuple(ids) if ids is not None else tuple(10 * i + 3 for i in range(n))
    graph = assured(len(cohort), corrupt=corrupt, dropped=dropped)
    fields = {
        "ids": cohort,
        "threshold": graph.threshold,
        "min_survivors": len(cohort) - dropped,
        "strength": Strength.MALICIOUS,
        "corrupt": corrupt,
        "identities": people_of(cohort).digest(cohort),
    }
    return plan(**(fields | changes))


def signed_policy(parameters, **changes):
    """The policy of a client that expects just these parameters."""
    n = len(parameters.cohort)
    fields = {
        "min_threshold": None,
        "allowed_strengths": frozenset({parameters.strength}),
        "allow_list": people_of(parameters.cohort),
        "corrupt_fraction": 0.0,
        "colluders": parameters.corrupt,
        "surplus": parameters.surplus,
        "max_length": max(4096, parameters.length),
        "dropout_fraction": (n - parameters.min_survivors) / n,
    }
    return policy(**(fields | changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreeable(ClientPolicy):
    """A policy that wants exactly the stated graph: for laws over any k, t, A and D."""

    stated: GraphParameters

    def graph(self, n, strength):
        return self.stated


def sparse_plan(n, *, strength=Strength.MALICIOUS, corrupt=1, dropped=1, k=None, threshold=None, **changes):
    """A round with k < n - 1 neighbours: the fewest for these A and D, or as stated."""
    ids = changes.pop("ids", None) or tuple(10 * i + 3 for i in range(n))
    k = 2 * ((corrupt + dropped) // 2 + 1) if k is None else k
    fields = {
        "ids": ids,
        "threshold": majority_against(k, corrupt) if threshold is None else threshold,
        "min_survivors": len(ids) - dropped,
        "strength": strength,
        "neighbours": k,
        "corrupt": corrupt,
        "identities": people_of(ids).digest(ids) if strength.signed else b"",
    }
    return plan(**(fields | changes))


def policy(**changes):
    fields = {
        "min_cohort": 2,
        "min_threshold": 1,
        "max_length": 4096,
        "max_body_bytes": 64,
        "last_round": 0,
        "allowed_strengths": HONEST,
    }
    return ClientPolicy(**(fields | changes))


def vectors_for(parameters, seed=0):
    rng = np.random.default_rng(seed)
    top = 2**parameters.modulus_bits
    return {
        id_: rng.integers(0, top, parameters.length, dtype=np.uint64).astype(np.uint32) for id_ in parameters.cohort
    }


def sum_of(vectors, ids, bits):
    total = sum((vectors[id_].astype(object) for id_ in ids), np.zeros(1, object))
    return (total % 2**bits).astype(np.uint32)


def signed_by(author, message, rehearsal, **header):
    """Any message in the name of a party, with a signature that verifies."""
    fields = {"session": rehearsal.server.session, "round": rehearsal.parameters.round, "sender": author} | header
    return frame(Header(message.TYPE, **fields), message.payload(), identity_of(author).sign)


def read_as(kind, framed, **arguments):
    """The contents of a signed message."""
    _, payload = unframe(framed, sender=SERVER, max_bytes=len(framed), signed=True)
    return kind.read(Reader(payload, sender=SERVER, where="test"), **arguments)


class Rehearsal:
    """The shell: `inbox` holds what the server last sent, by receiver."""

    def __init__(self, parameters=None, *, seed="s", entropy=counter_entropy, **plan_changes):
        self.parameters = parameters or plan(**plan_changes)
        cohort, self.signed = self.parameters.cohort, self.parameters.strength.signed
        keys = {"identity": identity_of(SERVER), "allow_list": people_of(cohort)} if self.signed else {}
        self.server = ServerSession(self.parameters, **keys)
        self.inbox = {}
        self.sent = {}  # (message number, client) -> bytes from that client
        self.events = {}
        self._collect(self.server.announce())
        self.clients = {id_: self.client(id_, m0, entropy=entropy(f"{seed}/{id_}")) for id_, m0 in self.inbox.items()}
        self.vectors = vectors_for(self.parameters)
        self.opened = self.recorded = None
        self.isolated = set()  # clients that refused because too few neighbours are left

    def client(self, id_, m0, *, entropy, **changes):
        if self.parameters.graph is not Graph.COMPLETE:
            people, strengths = people_of(self.parameters.cohort), frozenset({self.parameters.strength})
            numbers = {"min_cohort": 2, "max_length": 4096, "max_body_bytes": 64, "last_round": 0}
            own = Agreeable(
                **numbers
                | {"allowed_strengths": strengths, "allow_list": people, "stated": self.parameters.numbers}
                | changes
            )
            return ClientSession(m0, client_id=id_, policy=own, identity=identity_of(id_), entropy=entropy)
        if not self.signed:
            own = policy(**{"surplus": self.parameters.surplus} | changes)
            return ClientSession(m0, client_id=id_, policy=own, entropy=entropy)
        own = signed_policy(self.parameters, **changes)
        return ClientSession(m0, client_id=id_, policy=own, identity=identity_of(id_), entropy=entropy)

    def _collect(self, step):
        if step.send:
            self.inbox = {outgoing.to: outgoing.message for outgoing in step.send}
        for event in step.events:
            if isinstance(event, SumOpened):
                self.opened = event
            if isinstance(event, RecordCountersigned):
                self.recorded = event

    def _alone(self, id_, message):
        """The client's step, or None if it has too few neighbours on a sparse graph: it is lost then."""
        try:
            return self.clients[id_].receive(message)
        except InconsistentRoster:
            if self.parameters.graph is Graph.COMPLETE:
                raise
            self.isolated.add(id_)
            return None

    def _upload(self, number, id_, step):
        self.events[number, id_] = step.events
        (outgoing,) = step.send
        assert outgoing.to == SERVER
        self.sent[number, id_] = outgoing.message
        self._collect(self.server.receive(outgoing.message, sender=id_))

    def advertise(self, drop=()):
        for id_, client in self.clients.items():
            if id_ not in drop:
                self._upload(1, id_, client.advertise_keys())
        self._collect(self.server.deadline(Phase.ADVERTISE_KEYS))
        return self

    def share(self, drop=()):
        for id_, message in dict(self.inbox).items():
            if id_ not in drop and (step := self._alone(id_, message)):
                self._upload(3, id_, step)
        self._collect(self.server.deadline(Phase.SHARE_KEYS))
        return self

    def deliver(self, drop=()):
        for id_, message in self.inbox.items():
            if id_ not in drop and (step := self._alone(id_, message)):
                self.events[4, id_] = step.events
        return self

    def mask(self, drop=()):
        for id_ in dict(self.inbox):
            if id_ not in drop and id_ not in self.isolated:
                self._upload(5, id_, self.clients[id_].mask_input(self.vectors[id_]))
        self._collect(self.server.deadline(Phase.MASK_INPUT))
        return self

    def agree(self, drop=()):
        """The consistency round; nothing to do without signatures."""
        if self.signed:
            for id_, message in dict(self.inbox).items():
                if id_ not in drop:
                    self._upload(7, id_, self.clients[id_].receive(message))
            self._collect(self.server.deadline(Phase.CONSISTENCY))
        return self

    def unmask(self, drop=()):
        for id_, message in dict(self.inbox).items():
            if id_ not in drop:
                self._upload(9, id_, self.clients[id_].receive(message))
        self._collect(self.server.deadline(Phase.UNMASK))
        return self.opened

    def publish(self, record=RECORD):
        self._collect(self.server.publish(record))
        return self

    def countersign(self, drop=()):
        """Everyone is shown the record, and all but some countersign it."""
        for id_, message in dict(self.inbox).items():
            self.events[10, id_] = self.clients[id_].receive(message).events
            if id_ not in drop:
                self._upload(11, id_, self.clients[id_].countersign())
        self._collect(self.server.deadline(Phase.COUNTERSIGN))
        return self.recorded

    def until(self, phase):
        """Everything honest, up to and not including the collection of `phase`."""
        moves = {Phase.SHARE_KEYS: ("advertise",), Phase.MASK_INPUT: ("advertise", "share", "deliver")}
        moves[Phase.CONSISTENCY] = (*moves[Phase.MASK_INPUT], "mask")
        moves[Phase.UNMASK] = (*moves[Phase.CONSISTENCY], "agree")
        moves[Phase.DONE] = (*moves[Phase.UNMASK], "unmask")
        moves[Phase.COUNTERSIGN] = (*moves[Phase.DONE], "publish")
        for move in moves.get(phase, ()):
            getattr(self, move)()
        return self

    def surplus_of(self, id_):
        """A client's own surplus secrets, as its application got them."""
        (wanted,) = (event for event in self.events[4, id_] if isinstance(event, InputWanted))
        return wanted.surplus

    def client_sums(self):
        return sum_of(self.vectors, self.opened.survivors, self.parameters.modulus_bits)
