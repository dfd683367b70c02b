# SPDX-License-Identifier: Apache-2.0
"""Show weaknesses of Flower 1.42.0's SecAgg+ by running its own code.

python benchmarks/peers/build.py flower
.peers/flower/bin/python benchmarks/peers/flower_defects.py

Prints one JSON line per weakness: {"defect", "what", "shown", "evidence"}. Exit status 1 if any is not shown, as it
would be where Flower has mended it. Clients and server are Flower's; a dishonest party changes messages on their way.
"""

import base64
import json
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flower_secagg import Configs, Network, Outcome, new_context, run_round
from flwr.common.secure_aggregation.crypto.shamir import combine_shares
from flwr.common.secure_aggregation.crypto.symmetric_encryption import decrypt, encrypt, generate_shared_key
from flwr.common.secure_aggregation.quantization import dequantize, quantize
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_STATE, Key, Stage
from flwr.common.secure_aggregation.secaggplus_utils import (
    pseudo_rand_gen,
    share_keys_plaintext_concat,
    share_keys_plaintext_separate,
)
from flwr.compat.common.parameter import bytes_to_ndarray
from flwr.server import Grid
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.supercore.primitives.asymmetric import (
    bytes_to_private_key,
    bytes_to_public_key,
    generate_key_pairs,
    public_key_to_bytes,
)
from numpy.typing import NDArray

CLIENTS, LENGTH, VICTIM = 10, 1000, 4
CLIP, LEVELS, RING = 8.0, 2**22, 2**32  # Flower's defaults
Shown = tuple[bool, str]
T = TypeVar("T")


def update_of(node: int) -> NDArray[np.float32]:
    return np.random.default_rng(node).normal(0, 0.05, LENGTH).astype(np.float32)


def mean_of(nodes: Any) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.mean([update_of(node) for node in nodes], axis=0, dtype=np.float64)
    return mean


def error_of(outcome: Outcome, nodes: Any) -> float:
    return float("nan") if outcome.mean is None else float(np.abs(outcome.mean - mean_of(nodes)).max())


class Witness(Network):
    """A network that remembers what the server sees: public keys, and the victim's masked vector."""

    def __init__(self, **options: Any) -> None:
        super().__init__(update_of, range(1, CLIENTS + 1), **options)
        self.public: dict[int, tuple[bytes, bytes]] = {}
        self.masked: list[NDArray[np.int64]] = []

    def on_reply(self, stage: str, node: int, configs: Configs) -> None:
        if stage == Stage.SETUP:
            self.public[node] = configs[Key.PUBLIC_KEY_1], configs[Key.PUBLIC_KEY_2]
        if stage == Stage.COLLECT_MASKED_VECTORS and node == VICTIM:
            self.masked = [bytes_to_ndarray(part) for part in configs[Key.MASKED_PARAMETERS]]

    def unmasked(self, seed: bytes, pair_keys: dict[int, bytes]) -> NDArray[np.float64]:
        """The victim's update, from its masked vector, the seed of its own mask and the keys of its pairwise masks."""
        shapes = [part.shape for part in self.masked]
        value = [part - mask for part, mask in zip(self.masked, pseudo_rand_gen(seed, RING, shapes), strict=True)]
        for node, key in pair_keys.items():
            sign = 1 if node < VICTIM else -1
            value = [v - sign * m for v, m in zip(value, pseudo_rand_gen(key, RING, shapes), strict=True)]
        factor, quantized = (part % RING for part in value)
        update: NDArray[np.float64] = dequantize([quantized], CLIP, LEVELS)[0] * (LEVELS / factor[0])
        return update


class BothSecrets(Witness):
    """A server that calls the victim alive and lost in one request."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: dict[str, list[bytes]] = {"seed": [], "key": []}

    def on_request(self, stage: str, node: int, configs: Configs) -> None:  # noqa: ARG002
        if stage == Stage.UNMASK:
            configs[Key.DEAD_NODE_ID_LIST] = [VICTIM]

    def on_reply(self, stage: str, node: int, configs: Configs) -> None:
        super().on_reply(stage, node, configs)
        if stage == Stage.UNMASK:
            owners, shares = configs[Key.NODE_ID_LIST], configs[Key.SHARE_LIST]
            self.shares["seed"].append(shares[owners.index(VICTIM)])
            self.shares["key"].append(shares[-1])


def both_secrets() -> Shown:
    network = BothSecrets()
    run_round(network, shares=CLIENTS)
    private = bytes_to_private_key(combine_shares(network.shares["key"]))
    keys = {
        node: generate_shared_key(private, bytes_to_public_key(public))
        for node, (public, _) in network.public.items()
        if node != VICTIM
    }
    found = network.unmasked(combine_shares(network.shares["seed"]), keys)
    error = float(np.abs(found - update_of(VICTIM)).max())
    spread = float(np.abs(mean_of(range(1, CLIENTS + 1)) - update_of(VICTIM)).max())
    refused = f"{len(network.errors)} of {CLIENTS} clients refused"
    return error < 1e-4, f"{refused}; one client's update found to {error:.1e} (the mean is {spread:.2f} away from it)"


def seed_entropy() -> Shown:
    seen = 0
    for _ in range(2000):
        key = generate_shared_key(generate_key_pairs()[0], generate_key_pairs()[1])
        words = np.frombuffer(key, "<u4")
        seen |= int(np.bitwise_xor.reduce(words))
    turned = np.roll(words, 1).tobytes()  # another key with the same XOR of its words
    same = np.array_equal(pseudo_rand_gen(key, RING, [(99,)])[0], pseudo_rand_gen(turned, RING, [(99,)])[0])
    start = time.perf_counter()
    for seed in range(3000):
        np.random.RandomState(seed).randint(0, RING - 1, 4, dtype=np.int64)
    hours = (time.perf_counter() - start) / 3000 * 2 ** seen.bit_count() / 3600
    said = f"keys of one XOR give one mask: {same}; OR of 2000 seeds {seen:#x}, so at most {seen.bit_count()} bits"
    return same and seen.bit_count() <= 28, f"{said}: all tried in {hours:.1f} hours on this core"


def top_of_ring() -> Shown:
    values, counts = np.unique(pseudo_rand_gen(bytes(32), 4, [(100_000,)])[0], return_counts=True)
    return values.tolist() == [0, 1, 2], f"masks mod 4: {dict(zip(values.tolist(), counts.tolist(), strict=True))}"


def early_dropout() -> Shown:
    ended = {}
    for stage in (Stage.SETUP, Stage.SHARE_KEYS, Stage.COLLECT_MASKED_VECTORS):
        network = Witness(lost=[VICTIM], lost_at=stage)
        outcome = run_round(network, shares=CLIENTS)
        ended[stage] = (
            "finished" if outcome.mean is not None else f"{outcome.reason}, {sorted(set(network.errors))[:1]}"
        )
    early, control = list(ended.values())[:2], ended[Stage.COLLECT_MASKED_VECTORS]
    return "finished" not in early and control == "finished", f"one of {CLIENTS} lost at: {ended}"


class InTheMiddle(Witness):
    """A server that shows the victim keys of its own in place of everybody else's, and answers for them."""

    def __init__(self) -> None:
        super().__init__()
        self.own = {node: (generate_key_pairs(), generate_key_pairs()) for node in self.contexts if node != VICTIM}
        self.shares: list[bytes] = []

    def transport_key(self, node: int) -> bytes:
        return generate_shared_key(self.own[node][1][0], bytes_to_public_key(self.public[VICTIM][1]))

    def on_request(self, stage: str, node: int, configs: Configs) -> None:
        if node != VICTIM:
            return
        if stage == Stage.SHARE_KEYS:
            for other, pairs in self.own.items():
                configs[str(other)] = [public_key_to_bytes(public) for _, public in pairs]
        if stage == Stage.COLLECT_MASKED_VECTORS:
            forged = (share_keys_plaintext_concat(other, VICTIM, b"anything", b"anything") for other in self.own)
            sealed = [encrypt(self.transport_key(other), text) for other, text in zip(self.own, forged, strict=True)]
            configs[Key.SOURCE_LIST], configs[Key.CIPHERTEXT_LIST] = list(self.own), sealed

    def on_reply(self, stage: str, node: int, configs: Configs) -> None:
        super().on_reply(stage, node, configs)
        if stage == Stage.SHARE_KEYS and node == VICTIM:
            for other, sealed in zip(configs[Key.DESTINATION_LIST], configs[Key.CIPHERTEXT_LIST], strict=True):
                opened = decrypt(self.transport_key(other), sealed)
                self.shares.append(share_keys_plaintext_separate(opened)[2])


def substituted_keys() -> Shown:
    network = InTheMiddle()
    run_round(network, shares=CLIENTS)
    if not network.masked:
        return False, f"the victim refused: {network.errors[:1]}"
    victim = bytes_to_public_key(network.public[VICTIM][0])
    keys = {node: generate_shared_key(pairs[0][0], victim) for node, pairs in network.own.items()}
    error = float(np.abs(network.unmasked(combine_shares(network.shares), keys) - update_of(VICTIM)).max())
    return error < 1e-4, f"every other public key replaced; the victim sent its update, found to {error:.1e}"


class Warnings(logging.Handler):
    """Counts what Flower warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:  # noqa: ARG002
        self.count += 1


def warned(work: Callable[[], T]) -> tuple[T, int]:
    """What `work` returns, and how many warnings Flower logs meanwhile."""
    logger, handler = logging.getLogger("flwr"), Warnings()
    before = logger.level, logger.handlers
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    try:
        return work(), handler.count
    finally:
        logger.setLevel(before[0])
        logger.handlers = before[1]


def overflow() -> Shown:
    """Nine clients at 2^30 levels overflow 2^32 as 1025 do at the default 2^22; only num_shares is looked at."""

    def ended(levels: int) -> Outcome:
        constant = Network(lambda _: np.full(LENGTH, 7.9, np.float32), range(1, 10), weight=1000)
        return run_round(constant, shares=3, quantization_range=levels)

    (outcome, warnings), control = warned(lambda: ended(2**30)), ended(LEVELS)
    _, heeded = warned(lambda: SecAggPlusWorkflow(5, 3, quantization_range=2**30))
    assert outcome.mean is not None and control.mean is not None
    wrong, right = (float(np.abs(mean - 7.9).max()) for mean in (outcome.mean, control.mean))
    said = f"nine clients hold 7.9: Flower returns {outcome.mean[0]:.2f} with {warnings} warnings"
    said = f"{said} (five shares would give {heeded}); at 2^22 levels {control.mean[0]:.2f}"
    return wrong > 0.1 and right < 1e-3 and (warnings, heeded) == (0, 1), said


class Garbled(Witness):
    """One client flips one bit of its share of the victim's seed."""

    def on_reply(self, stage: str, node: int, configs: Configs) -> None:
        if stage == Stage.UNMASK and node == VICTIM + 1:
            shares, at = list(configs[Key.SHARE_LIST]), configs[Key.NODE_ID_LIST].index(VICTIM)
            shares[at] = shares[at][:4] + bytes([shares[at][4] ^ 1]) + shares[at][5:]  # four bytes of index come first
            configs[Key.SHARE_LIST] = shares


def garbled_share() -> Shown:
    everybody = range(1, CLIENTS + 1)
    error = error_of(run_round(Garbled(), shares=CLIENTS), everybody)
    control = error_of(run_round(Witness(), shares=CLIENTS), everybody)
    return error > 0.1 and control < 1e-4, f"round ends as a success; mean wrong by {error:.3g} (else {control:.1e})"


def secrets_kept() -> Shown:
    network = Witness()
    outcome = run_round(network, shares=CLIENTS)
    state: Any = network.contexts[VICTIM].state.config_records[RECORD_KEY_STATE]
    public = public_key_to_bytes(bytes_to_private_key(state["sk1"]).public_key())
    kept = public == network.public[VICTIM][0] and len(state["rd_seed"]) == 32
    shares = len(state["sk1_share_dict:V"])
    return outcome.mean is not None and kept and shares == CLIENTS, (
        f"after the round: the mask's private key and seed, and {shares} shares of others' keys, in the client's state"
    )


class LowThreshold(Witness):
    """A server that asks the clients to share their secrets among many, any one of whom suffices."""

    def on_request(self, stage: str, node: int, configs: Configs) -> None:  # noqa: ARG002
        if stage == Stage.SETUP:
            configs[Key.THRESHOLD] = 1


def low_threshold() -> Shown:
    network = LowThreshold()
    run_round(network, shares=CLIENTS)
    records: dict[int, Any] = {
        node: context.state.config_records[RECORD_KEY_STATE] for node, context in network.contexts.items()
    }
    neighbour, victim = records[VICTIM + 1], records[VICTIM]
    share = dict(zip(neighbour["sk1_share_dict:K"], neighbour["sk1_share_dict:V"], strict=True))[VICTIM]
    whole = combine_shares([share]) == victim["sk1"]
    return whole and not network.errors, f"threshold 1 accepted; one neighbour alone holds the private key: {whole}"


def clipping_and_rounding() -> Shown:
    far = Network(lambda _: np.full(LENGTH, 100.0, np.float32), range(1, CLIENTS + 1), weight=1000)
    outcome, warnings = warned(lambda: run_round(far, shares=CLIENTS))
    assert outcome.mean is not None
    update, drawn = update_of(VICTIM).astype(np.float64), []
    for _ in range(2):
        np.random.seed(7)
        drawn.append(quantize([update], CLIP, LEVELS)[0])
    repeats = np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], quantize([update], CLIP, LEVELS)[0])
    said = f"ten clients hold 100, Flower returns {outcome.mean[0]:.2f} with {warnings} warnings"
    return abs(outcome.mean[0] - CLIP) < 0.01 and warnings == 0 and repeats, f"{said}; rounding follows numpy's seed"


def domain_separation() -> Shown:
    (mine, _), (_, theirs) = generate_key_pairs(), generate_key_pairs()
    plain = HKDF(hashes.SHA256(), 32, salt=None, info=None).derive(mine.exchange(ec.ECDH(), theirs))
    same = generate_shared_key(mine, theirs) == base64.urlsafe_b64encode(plain)
    return same, f"a pair's key is HKDF of the exchange alone, no round, purpose or names in it: {same}"


def legacy_only() -> Shown:
    try:
        SecAggPlusWorkflow(CLIENTS, 6)(cast(Grid, Witness()), new_context(0))
    except TypeError as error:
        return True, f"{error}"
    return False, "a plain context is accepted"


DEFECTS: dict[int, tuple[str, Callable[[], Shown]]] = {
    1: ("the server gets both secrets of one client by calling it alive and lost at once", both_secrets),
    2: ("masks come from a 32-bit seed of a generator that is not cryptographic", seed_entropy),
    3: ("masks never take the ring's top value, so they are not uniform", top_of_ring),
    4: ("a client lost before its shares arrive stops the round for all", early_dropout),
    5: ("public keys are not signed: the server can put its own in their place", substituted_keys),
    6: ("the sum overflows the ring without a word", overflow),
    7: ("shares are not verified: one flipped bit spoils the model without a word", garbled_share),
    8: ("secrets stay in the client's state after the round", secrets_kept),
    9: ("the client takes any threshold from the server", low_threshold),
    10: (
        "values beyond the clip saturate without a word; rounding uses numpy's global generator",
        clipping_and_rounding,
    ),
    11: ("derived keys are bound to no round and no purpose", domain_separation),
    12: ("runs on the legacy context only", legacy_only),
}


def main() -> None:
    logging.getLogger("flwr").setLevel(logging.CRITICAL)
    missing = False
    for number, (what, show) in DEFECTS.items():
        try:
            shown, evidence = show()
        except Exception as error:  # noqa: BLE001 - an attack that Flower comes to refuse may end in anything
            shown, evidence = False, repr(error)
        missing |= not shown
        print(json.dumps({"defect": number, "what": what, "shown": bool(shown), "evidence": evidence}), flush=True)
    raise SystemExit(int(missing))


if __name__ == "__main__":
    main()
