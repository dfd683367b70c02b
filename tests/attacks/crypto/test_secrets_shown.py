# SPDX-License-Identifier: Apache-2.0
"""No secret byte in a repr, a message of an error, a copy, or the session once it is over."""

import copy
import pickle

import numpy as np
import pytest
from crypto_rounds import Rehearsal, counter_entropy, plan, signed_plan

from fedmeta_crypto import Keystream, Phase, ProtocolError
from fedmeta_crypto.errors import OutOfOrder


class Recorder:
    """An entropy source that remembers the 32-byte secrets it gave."""

    def __init__(self, seed):
        self.source = counter_entropy(seed)
        self.given = []

    def __call__(self, n):
        data = self.source(n)
        self.given.append(data)
        return data


def reachable(value, seen=None):
    """All bytes that can be reached from an object."""
    seen = set() if seen is None else seen
    if id(value) in seen or callable(value):
        return b""
    seen.add(id(value))
    if isinstance(value, (bytes, bytearray)):
        return bytes(value) + b"|"
    if isinstance(value, np.ndarray):
        return value.tobytes() + b"|"
    if isinstance(value, dict):
        return b"".join(reachable(v, seen) for v in value.values())
    if isinstance(value, (list, tuple, set)):
        return b"".join(reachable(v, seen) for v in value)
    names = list(getattr(value, "__dict__", ())) + [
        name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())
    ]
    return b"".join(reachable(getattr(value, name, None), seen) for name in names)


@pytest.fixture(params=[plan, signed_plan], ids=["semi-honest", "malicious"])
def watched(request):
    rehearsal = Rehearsal(request.param(4))
    recorder = Recorder("watched")
    rehearsal.clients[3] = rehearsal.client(3, rehearsal.inbox[3], entropy=recorder)
    return rehearsal, rehearsal.clients[3], recorder


def shown(text, secrets):
    return any(s.hex() in text or repr(s)[2:-1] in text or repr(bytearray(s)) in text for s in secrets)


def test_texts_hold_no_secret(watched):
    rehearsal, client, recorder = watched
    rehearsal.until(Phase.UNMASK)
    texts = [repr(client), str(client), repr(client._secrets), repr(client._mine)]
    texts += [repr(rehearsal.events[number, 3]) for number in (3, 5)]
    with pytest.raises(ProtocolError) as caught:
        client.receive(rehearsal.inbox[3][:-1] + bytes([rehearsal.inbox[3][-1] ^ 1]))
    texts += [str(caught.value), repr(caught.value)]
    step = client.receive(rehearsal.inbox[3])
    texts += [repr(step), repr(step.send[0])]
    assert len(recorder.given) >= 4
    assert not any(shown(text, recorder.given[:3]) for text in texts)
    assert repr(Keystream(bytes(16))) == "Keystream(...)"


def test_nothing_is_left_after_the_answer(watched):
    rehearsal, client, recorder = watched
    rehearsal.advertise()
    held = client._secrets
    # mask secret and seed; the cipher secret lives inside the library's key object only
    assert all(secret in reachable(client) for secret in recorder.given[1:3])
    rehearsal.share().deliver()
    keys = [*held.mask_keys_plus, *held.mask_keys_minus]
    rehearsal.mask().agree().unmask()
    assert client._secrets is None and held.shares == {} and held.mask_pair is None
    assert not any(any(key) for key in keys) and not any(held.seed) and not any(held.mask_secret)
    assert not any(secret in reachable(client) + reachable(held) for secret in recorder.given)


@pytest.mark.parametrize("phase", [Phase.SHARE_KEYS, Phase.MASK_INPUT, Phase.UNMASK])
def test_nothing_is_left_after_abort(watched, phase):
    rehearsal, client, recorder = watched
    rehearsal.until(phase)
    held = client._secrets
    client.abort()
    client.abort()
    assert not any(secret in reachable(client) + reachable(held) for secret in recorder.given)
    for call in (
        lambda: client.receive(rehearsal.inbox[3]),
        client.advertise_keys,
        lambda: client.mask_input(rehearsal.vectors[3]),
    ):
        with pytest.raises(OutOfOrder):
            call()


def test_sessions_cannot_be_cloned(watched):
    _, client, _ = watched
    for clone in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="one-shot"):
            clone(client)
