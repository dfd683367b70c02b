# SPDX-License-Identifier: Apache-2.0
"""A real round of the protocol in one process, which a class can watch, stop, and lie in.

The sessions are those of every run (`fedmeta_crypto`); this is only the shell that carries their messages, and it keeps
what each party sent. Inputs are chosen by the class, so there is nothing to hide here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import (
    SERVER,
    ClientPolicy,
    ClientSession,
    Phase,
    ProtocolError,
    RoundParameters,
    ServerSession,
    Step,
    Strength,
)
from fedmeta_crypto.graph import assured
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.secagg.step import InputWanted, SumOpened
from fedmeta_crypto.wire import MessageType, claimed_type

Words = NDArray[np.uint32]
# (message type, sender, receiver, bytes) -> bytes: what a lying server makes of a message on its way to a client.
Tamper = Callable[[MessageType, int, bytes], bytes]

NAMES = {
    MessageType.PARAMETERS: "parameters",
    MessageType.ADVERTISEMENT: "public keys",
    MessageType.ROSTER: "everybody's keys",
    MessageType.SHARES: "sealed shares",
    MessageType.DELIVERY: "shares for you",
    MessageType.MASKED_INPUT: "masked vector",
    MessageType.SURVIVORS: "who survived",
    MessageType.CONSISTENCY: "I sign the survivors",
    MessageType.CONSISTENCY_PROOF: "all signatures",
    MessageType.UNMASKING: "one share each",
}
_PHASES = {
    "keys": Phase.ADVERTISE_KEYS,
    "shares": Phase.SHARE_KEYS,
    "mask": Phase.MASK_INPUT,
    "agree": Phase.CONSISTENCY,
    "unmask": Phase.UNMASK,
}


@dataclass(frozen=True, slots=True)
class Message:
    """One message on the wire: what it is, from whom, to whom, how long."""

    name: str
    sender: int
    receiver: int
    size: int


@dataclass(slots=True)
class Watched:
    """What a round came to.

    Attributes:
        inputs: each client's own vector, which only it knows.
        uploads: each client's masked vector, which the server sees.
        messages: all, in order.
        survivors, total: of the opened sum; none if the round ended without one.
        ended: why it ended without a sum; empty if it opened one.
        refusals: what clients said before they left, by client.
    """

    inputs: dict[int, Words]
    uploads: dict[int, Words] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    survivors: tuple[int, ...] = ()
    total: Words | None = None
    ended: str = ""
    refusals: dict[int, str] = field(default_factory=dict)


def watch_round(
    inputs: Mapping[int, Words],
    *,
    strength: str = "malicious",
    silent: Mapping[int, str] | None = None,
    dropped: int = 1,
    tamper: Tamper | None = None,
) -> Watched:
    """Run one round of these clients; ids from 1.

    Args:
        inputs: vectors of one length, residues modulo 2^32.
        strength: "malicious" or "semi-honest".
        silent: clients that fall silent, with the message they do not send: "keys", "shares", "mask", "agree" or
            "unmask".
        dropped: D, how many the round may lose.
        tamper: a lying server.

    Raises:
        ProtocolError: the round cannot begin, for instance with too few clients.

    Example:
        >>> done = watch_round({i: np.full(3, i, np.uint32) for i in (1, 2, 3, 4)})
        >>> done.total.tolist(), done.survivors, bool((done.uploads[1] != done.inputs[1]).all())
        ([10, 10, 10], (1, 2, 3, 4), True)
    """
    return _Shell(inputs, Strength[strength.replace("-", "_").upper()], dict(silent or {}), dropped, tamper).run()


class _Shell:
    """Carries messages phase by phase, so that those who are silent are simply missing at each deadline."""

    def __init__(
        self,
        inputs: Mapping[int, Words],
        strength: Strength,
        silent: dict[int, str],
        dropped: int,
        tamper: Tamper | None,
    ) -> None:
        self.done = Watched({i: np.asarray(v, np.uint32) for i, v in inputs.items()})
        cohort = tuple(sorted(inputs))
        signed = strength.signed
        graph = assured(len(cohort), corrupt=0, dropped=dropped)
        identities = {id_: Identity(hashlib.sha256(b"classroom" + bytes([id_])).digest()) for id_ in cohort}
        boss = Identity(hashlib.sha256(b"classroom server").digest())
        people = AllowList(boss.public, {id_: one.public for id_, one in identities.items()})
        length = len(next(iter(inputs.values())))
        self.parameters = RoundParameters(
            round=1,
            cohort=cohort,
            threshold=graph.threshold if signed else len(cohort) // 2 + 1,
            min_survivors=len(cohort) - dropped,
            modulus_bits=32,
            length=length,
            behaviour_hash=bytes(32),
            server_nonce=hashlib.sha256(b"classroom nonce").digest(),
            body=b"",
            strength=strength,
            corrupt=0,
            identities=people.digest(cohort) if signed else b"",
        )
        policy = ClientPolicy(
            min_cohort=2,
            max_length=length,
            max_body_bytes=0,
            last_round=0,
            allowed_strengths=frozenset({strength}),
            allow_list=people if signed else None,
            corrupt_fraction=0.0,
            colluders=0,
            dropout_fraction=dropped / len(cohort),
        )
        self.server = (
            ServerSession(self.parameters, identity=boss, allow_list=people)
            if signed
            else ServerSession(self.parameters)
        )
        self.signed, self.silent, self.tamper = signed, silent, tamper
        self.inbox: dict[int, bytes] = {}
        self._from_server(self.server.announce())
        self.clients = {
            id_: ClientSession(m0, client_id=id_, policy=policy, identity=identities[id_] if signed else None)
            for id_, m0 in self.inbox.items()
        }

    def run(self) -> Watched:
        """All phases; the round ends early where too few are left, and says why."""
        try:
            self._phase("keys", lambda id_, _: self.clients[id_].advertise_keys())
            self._phase("shares", lambda id_, m: self.clients[id_].receive(m))
            self._deliver()
            self._phase("mask", lambda id_, _: self._masked(id_))
            if self.signed:
                self._phase("agree", lambda id_, m: self.clients[id_].receive(m))
            self._phase("unmask", lambda id_, m: self.clients[id_].receive(m))
        except ProtocolError as error:
            self.done.ended = str(error)
        return self.done

    def _phase(self, name: str, act: Callable[[int, bytes], Step]) -> None:
        for id_, message in dict(self.inbox).items():
            if id_ in self.done.refusals or self._is_silent(id_, name):
                continue
            try:
                step = act(id_, message)
            except ProtocolError as error:
                self.done.refusals[id_] = str(error)
                continue
            for outgoing in step.send:
                self._note(outgoing.message, id_, SERVER)
                self._from_server(self.server.receive(outgoing.message, sender=id_))
        self._from_server(self.server.deadline(_PHASES[name]))

    def _deliver(self) -> None:
        """M4 is read before vectors are asked for."""
        for id_, message in dict(self.inbox).items():
            if self._is_silent(id_, "shares") or id_ in self.done.refusals:
                continue
            try:
                step = self.clients[id_].receive(message)
            except ProtocolError as error:
                self.done.refusals[id_] = str(error)
            else:
                assert any(isinstance(event, InputWanted) for event in step.events)

    def _masked(self, id_: int) -> Step:
        from fedmeta_crypto.ring import from_wire

        step = self.clients[id_].mask_input(self.done.inputs[id_])
        message = step.send[0].message
        length = len(self.done.inputs[id_])
        tail = 64 + 2 if self.signed else 2  # what ends a frame: a signature and its length
        body = memoryview(message)[len(message) - tail - 4 * length : len(message) - tail]
        self.done.uploads[id_] = np.array(from_wire(body, bits=32, length=length, sender=id_))
        return step

    def _is_silent(self, id_: int, name: str) -> bool:
        order = list(_PHASES)
        return id_ in self.silent and order.index(name) >= order.index(self.silent[id_])

    def _from_server(self, step: Step) -> None:
        if step.send:
            self.inbox = {}
        for outgoing in step.send:
            message = outgoing.message
            kind = claimed_type(message)
            if self.tamper is not None and kind is not None:
                message = self.tamper(MessageType(kind), outgoing.to, message)
            self._note(message, SERVER, outgoing.to)
            self.inbox[outgoing.to] = message
        for event in step.events:
            if isinstance(event, SumOpened):
                self.done.total, self.done.survivors = event.total, tuple(event.survivors)

    def _note(self, message: bytes, sender: int, receiver: int) -> None:
        kind = claimed_type(message)
        name = NAMES.get(MessageType(kind), "message") if kind is not None else "message"
        self.done.messages.append(Message(name, sender, receiver, len(message)))


def between(messages: Collection[Message], client: int) -> list[Message]:
    """Those that one client sent or was sent."""
    return [message for message in messages if client in (message.sender, message.receiver)]
