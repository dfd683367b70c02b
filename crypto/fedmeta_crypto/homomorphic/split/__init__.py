# SPDX-License-Identifier: Apache-2.0
"""Masked split: masked words under the public key of a decryptor, which opens their sum and never sees the sum's value.

Who holds what (`TrustModel.SPLIT_MASKED`): clients their vectors and masks; the aggregator (`aggregator.AddingServer`)
the masks' residue and no key; the decryptor (`decryptor.Decryptor`, id `wire.DECRYPTOR`) the round's key and no
residue.

    decryptor -> aggregator   proposal: a fresh public key for round r; its hash goes into M0
    aggregator -> decryptor   M0
    decryptor -> aggregator   offer: the same key, signed for the session of that M0
    aggregator -> clients     announcement: M0 and the offer in one message
    M1 .. M4                  as in any round
    client -> aggregator      parcel: M5, commitment, ciphertext of the masked words; passed on to the decryptor at once
    aggregator -> all         M6, M8, to the decryptor too
    decryptor -> aggregator   opened: the masked words' sum, signed for the session and its survivors
    M9                        as in any round: the aggregator opens the residue and subtracts it

A whole round, with the shell that each application brings itself:

    >>> import os
    >>> import numpy as np
    >>> from fedmeta_crypto import SERVER, ClientPolicy, RoundParameters, Strength
    >>> from fedmeta_crypto.homomorphic.seal.cipher import TensealBfv
    >>> from fedmeta_crypto.homomorphic.split.aggregator import AddingServer, proposed_key
    >>> from fedmeta_crypto.homomorphic.split.client import EncryptingClient
    >>> from fedmeta_crypto.homomorphic.split.decryptor import Decryptor
    >>> from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
    >>> from fedmeta_crypto.identities import AllowList, Identity
    >>> from fedmeta_crypto.wire import DECRYPTOR
    >>> cohort = (3, 5, 8)
    >>> keys = {party: Identity(os.urandom(32)) for party in (*cohort, DECRYPTOR, SERVER)}
    >>> people = AllowList(keys[SERVER].public, {id_: keys[id_].public for id_ in (*cohort, DECRYPTOR)})
    >>> policy = ClientPolicy(min_cohort=3, max_length=100, max_body_bytes=0, last_round=0, allow_list=people,
    ...     allowed_strengths=frozenset({Strength.MALICIOUS}), corrupt_fraction=0.0, dropout_fraction=0.0)
    >>> scheme = SplitScheme(clients=3, modulus_bits=20, dimension=4, cipher=TensealBfv())
    >>> decryptor = Decryptor(scheme, policy=policy, identity=keys[DECRYPTOR])
    >>> (proposal,) = [out.message for out in decryptor.begin(1).send]
    >>> key = proposed_key(proposal, scheme=scheme, round_=1, people=people)
    >>> parameters = RoundParameters(round=1, cohort=cohort, threshold=2, min_survivors=3, modulus_bits=0,
    ...     modulus=scheme.modulus, key_hash=key.hash, length=scheme.session_length, behaviour_hash=bytes(32),
    ...     server_nonce=os.urandom(32), body=b"", strength=Strength.MALICIOUS, identities=people.digest(cohort))
    >>> server = AddingServer(parameters, scheme=scheme, proposal=proposal, identity=keys[SERVER], allow_list=people)
    >>> clients, queue, events = {}, [(SERVER, out) for out in server.announce().send], []
    >>> while queue:
    ...     sender, out = queue.pop(0)
    ...     if out.to == SERVER:
    ...         step = server.receive(out.message, sender=sender)
    ...     elif out.to == DECRYPTOR:
    ...         step = decryptor.receive(out.message)
    ...     elif out.to not in clients:
    ...         clients[out.to] = EncryptingClient(
    ...             out.message, client_id=out.to, scheme=scheme, policy=policy, identity=keys[out.to])
    ...         step = clients[out.to].advertise_keys()
    ...     else:
    ...         step = clients[out.to].receive(out.message)
    ...         if "InputWanted" in {type(event).__name__ for event in step.events}:
    ...             step = clients[out.to].mask_input(np.full(4, 100 * out.to, np.uint32))
    ...     queue += [(out.to, sent) for sent in step.send]
    ...     events += step.events
    >>> [event.total for event in events if type(event).__name__ == "SumOpened"]
    [array([1600, 1600, 1600, 1600], dtype=uint32)]
    >>> decryptor
    Decryptor(round=1, phase=OPENED)
"""
