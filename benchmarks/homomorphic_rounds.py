# SPDX-License-Identifier: Apache-2.0
"""The sessions that benchmarks/homomorphic.py drives, each made as the product makes them, at strength `malicious`."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER, ClientPolicy, ClientSession, RoundParameters, ServerSession, Strength
from fedmeta_crypto.homomorphic.rlwe import client as rlwe_client
from fedmeta_crypto.homomorphic.rlwe import server as rlwe_server
from fedmeta_crypto.homomorphic.rlwe.presets import scheme_for
from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
from fedmeta_crypto.homomorphic.split import aggregator
from fedmeta_crypto.homomorphic.split import client as split_client
from fedmeta_crypto.homomorphic.split.decryptor import Decryptor
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy.encoding import IntegerEncoding

LARGEST = 8.0  # of any coordinate, in float units


class Setting:
    """The parties' keys, the plan's numbers and the clients' vectors."""

    def __init__(self, scheme: str, dimension: int, clients: int) -> None:
        self.scheme, self.dimension, self.clients = scheme, dimension, clients
        self.ids = tuple(range(clients))
        self.keys = {id_: Identity(os.urandom(32)) for id_ in (*self.ids, SERVER, DECRYPTOR)}
        others = (*self.ids, DECRYPTOR)
        self.people = AllowList(self.keys[SERVER].public, {id_: self.keys[id_].public for id_ in others})
        self.bits = 32 if scheme == "rlwe64" else 16 + (clients - 1).bit_length()
        self.encoding = encoding_for(self.bits, dimension, clients)
        self.base = np.clip(np.random.default_rng(0).normal(0, 1, dimension), -LARGEST, LARGEST)

    def vector(self, id_: int) -> NDArray[np.float64]:
        return np.roll(self.base, 7 * id_)

    def parameters(self, length: int, bits: int, **rest: Any) -> RoundParameters:
        graph = self.policy().graph(self.clients, Strength.MALICIOUS)
        return RoundParameters(
            round=1,
            cohort=self.ids,
            threshold=graph.threshold,
            min_survivors=max(self.clients - graph.dropped, graph.threshold + 1),
            modulus_bits=bits,
            length=length,
            behaviour_hash=bytes(32),
            server_nonce=os.urandom(32),
            body=b"",
            strength=Strength.MALICIOUS,
            neighbours=graph.neighbours,
            corrupt=graph.corrupt,
            identities=self.people.digest(self.ids),
            **rest,
        )

    def policy(self) -> ClientPolicy:
        return ClientPolicy(
            min_cohort=2,
            max_length=max(self.dimension, 2**13),
            max_body_bytes=0,
            last_round=0,
            allowed_strengths=frozenset({Strength.MALICIOUS}),
            allow_list=self.people,
            dropout_fraction=0.1,
        )


def encoding_for(bits: int, dimension: int, clients: int) -> IntegerEncoding:
    """The finest step with which the sum of all clients cannot wrap."""
    step = 2.0**-40
    while clients * (LARGEST / step + 1) >= 2 ** (bits - 1):
        step *= 2
    encoding = IntegerEncoding(step, dimension, bits)
    encoding.check_room(parties=clients, largest_coordinate=LARGEST, noise_reach=0)
    return encoding


class MaskRound:
    """The sessions of a round of masks alone; the other schemes' rounds differ in how their sessions are made."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.parameters = setting.parameters(setting.dimension, setting.bits)

    def server(self) -> Any:
        setting = self.setting
        return ServerSession(self.parameters, identity=setting.keys[SERVER], allow_list=setting.people)

    def client(self, announcement: bytes, id_: int) -> Any:
        setting = self.setting
        return ClientSession(
            announcement, client_id=id_, policy=setting.policy(), identity=setting.keys[id_], entropy=os.urandom
        )


class RlweRound(MaskRound):
    """Threshold: masks hide the clients' secrets, ciphertexts their vectors."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.scheme = scheme_for(
            setting.scheme, clients=setting.clients, modulus_bits=setting.bits, dimension=setting.dimension
        )
        self.parameters = setting.parameters(self.scheme.session_length, self.scheme.session_modulus_bits)

    def server(self) -> Any:
        setting = self.setting
        keys = {"identity": setting.keys[SERVER], "allow_list": setting.people}
        return rlwe_server.AddingServer(self.parameters, scheme=self.scheme, **keys)

    def client(self, announcement: bytes, id_: int) -> Any:
        keys = {"policy": self.setting.policy(), "identity": self.setting.keys[id_]}
        return rlwe_client.EncryptingClient(announcement, client_id=id_, scheme=self.scheme, **keys)


class BfvRound(MaskRound):
    """Masked split: masks inside the plaintext, and a decryptor beside the clients, in this process too."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.scheme = SplitScheme(
            clients=setting.clients, modulus_bits=setting.bits, dimension=setting.dimension, cipher=TensealBfv()
        )

    def server(self) -> Any:
        """The aggregator, with the decryptor's key of this round."""
        setting, scheme = self.setting, self.scheme
        self.decryptor = Decryptor(scheme, policy=setting.policy(), identity=setting.keys[DECRYPTOR])
        (proposal,) = (out.message for out in self.decryptor.begin(1).send)
        key = aggregator.proposed_key(proposal, scheme=scheme, round_=1, people=setting.people)
        rest = {"modulus": scheme.modulus, "key_hash": key.hash}
        self.parameters = setting.parameters(scheme.session_length, 0, **rest)
        keys = {"identity": setting.keys[SERVER], "allow_list": setting.people}
        return aggregator.AddingServer(self.parameters, scheme=scheme, proposal=proposal, **keys)

    def client(self, announcement: bytes, id_: int) -> Any:
        keys = {"policy": self.setting.policy(), "identity": self.setting.keys[id_]}
        return split_client.EncryptingClient(announcement, client_id=id_, scheme=self.scheme, **keys)


ROUNDS: dict[str, type[MaskRound]] = {"mask": MaskRound, "rlwe32": RlweRound, "rlwe64": RlweRound, "bfv": BfvRound}
