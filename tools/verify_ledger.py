# SPDX-License-Identifier: Apache-2.0
"""Check the chain and the signatures of a ledger with nothing but Python 3.11 and `cryptography`.

    python verify_ledger.py ledger.jsonl allow-list.toml

Stands alone: it imports nothing of the project that writes ledgers, so that it can be read and trusted by itself. The
allow-list (public keys) must come from outside the run. It does not recompute epsilon; `secure-fedmeta audit` does.
Exit status: 0 chain and signatures hold, 3 they do not, 5 something is missing, 1 unreadable.

Formats. A line is canonical JSON: `v seq prev type round actor body sigs`. Its statement is the line without `sigs`;
`prev` is the SHA-256 of the statement before. The server signs SHA-256("sfm-ledger/2" + statement); a site signs the
protocol's countersignature: SHA-256(label + header + SHA-256(digest)), where digest = SHA-256(label + session +
"record" + survivors + statement).
"""

import hashlib
import json
import re
import struct
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

VERSION = 2
FIELDS = {"v", "seq", "prev", "type", "round", "actor", "body", "sigs"}
MAX_LINE = 2**20
MAX_LINES = 2**18
SERVER_ID = 0xFFFFFFFF
PROTOCOL = b"sfm-secagg/1"
HEADER = struct.Struct("<4sBBB32sQII")
COUNTERSIGNATURE = 11


class Unreadable(Exception):
    """Nothing to judge."""


def canonical(value: object) -> bytes:
    """Canonical bytes; floats are refused, since readers round them."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(has_float, value.values()))
    return any(map(has_float, value)) if isinstance(value, list) else isinstance(value, float)


def read_lines(path: str) -> Iterator[tuple[int, dict, bytes, dict]]:
    """Entries and statements, with bounds; a line that is not canonical is unreadable."""
    with Path(path).open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            if len(line) > MAX_LINE or number > MAX_LINES:
                raise Unreadable(f"line {number}: beyond every bound")
            if not line.endswith(b"\n"):
                raise Unreadable(f"line {number} has no end")
            try:
                entry = json.loads(line)
                same = canonical(entry) == line[:-1] and not has_float(entry)
            except (ValueError, TypeError, RecursionError):
                raise Unreadable(f"line {number} is not canonical JSON") from None
            if not same or not isinstance(entry, dict) or set(entry) != FIELDS or entry["v"] != VERSION:
                raise Unreadable(f"line {number} is not in the form of version {VERSION}")
            sigs = check_sigs(entry.pop("sigs"), number)
            counts = all(type(entry[name]) is int and 0 <= entry[name] < 2**63 for name in ("v", "seq", "round"))
            if not counts or not isinstance(entry["body"], dict):
                raise Unreadable(f"line {number} is not in the form of version {VERSION}")
            yield number, entry, canonical(entry), sigs
        if not number:
            raise Unreadable("the ledger is empty")


def check_sigs(stated: object, number: int) -> dict:
    """{who: 64 bytes}, each party once."""
    sigs = {}
    for pair in stated if isinstance(stated, list) else [None]:
        good = isinstance(pair, list) and len(pair) == 2 and (pair[0] == "server" or type(pair[0]) is int)
        if not good or not isinstance(pair[1], str) or not re.fullmatch("[0-9a-f]{128}", pair[1]) or pair[0] in sigs:
            raise Unreadable(f"line {number} has signatures that are none")
        sigs[pair[0]] = bytes.fromhex(pair[1])
    return sigs


def read_keys(path: str) -> dict[int, bytes]:
    """The allow-list: id -> (public key bytes); the server's under SERVER_ID."""
    content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    keys = {row["id"]: bytes.fromhex(row["key"]) for row in content["site"]}
    if len(keys) != len(content["site"]):
        raise Unreadable("an id is listed twice")
    keys[SERVER_ID] = bytes.fromhex(content["server"])
    return keys


def verifies(key: bytes, signature: bytes, digest: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, digest)
    except (InvalidSignature, ValueError):
        return False
    return True


def countersigned(site: int, body: dict, round_: int, statement: bytes) -> bytes:
    """What a site signs to say that it agrees with a statement about a round."""
    session, agreed = bytes.fromhex(str(body.get("session"))), bytes.fromhex(str(body.get("agreed")))
    if len(session) != 32 or len(agreed) != 32:
        raise ValueError("a session and a digest have 32 bytes")
    digest = hashlib.sha256(PROTOCOL + session + b"record" + agreed + statement).digest()
    header = HEADER.pack(b"SFMS", 1, 1, COUNTERSIGNATURE, session, round_, site, len(digest))
    return hashlib.sha256(PROTOCOL + header + hashlib.sha256(digest).digest()).digest()


def check_line(
    number: int, entry: dict, statement: bytes, sigs: dict, keys: dict, threshold: int
) -> Iterator[tuple[int, str]]:
    """(status, text) of everything wrong with the signatures of one line."""
    if "server" not in sigs:
        yield 3, f"line {number}: the server did not sign it"
    elif not verifies(keys[SERVER_ID], sigs["server"], hashlib.sha256(b"sfm-ledger/2" + statement).digest()):
        yield 3, f"line {number}: the server's signature does not verify"
    body, valid = entry["body"], 0
    for site in sorted(who for who in sigs if who != "server"):
        try:
            known = site in keys and site != SERVER_ID and [site] == [s for s in body["survivors"] if s == site]
            good = known and verifies(keys[site], sigs[site], countersigned(site, body, entry["round"], statement))
        except (KeyError, TypeError, ValueError, struct.error):
            good = False
        valid += good
        if not good:
            yield 3, f"line {number}: the countersignature of site {site} does not verify"
    opened = body.get("aborted") is None or body.get("survivors") != []
    if entry["type"] == "round" and opened and valid < threshold:
        yield 5, f"line {number}: {valid} sites countersigned it, {threshold} are needed"


def allow_list_digest(keys: dict[int, bytes]) -> str:
    """By which the run line names the keys that it was opened under."""
    rows = (id_.to_bytes(4, "little") + keys[id_] for id_ in (SERVER_ID, *sorted(set(keys) - {SERVER_ID})))
    return hashlib.sha256(PROTOCOL + b"identities" + b"".join(rows)).hexdigest()


def check(ledger: str, allow_list: str) -> list[tuple[int, str]]:
    """All problems of a ledger, as (status, text)."""
    keys = read_keys(allow_list)
    problems, head, due, ended, threshold = [], "0" * 64, 1, False, None
    if (inside := Path(ledger).with_name("allow-list.toml")).exists() and inside.samefile(allow_list):
        problems.append((5, "the allow-list is the run's own: whoever wrote the ledger may have made its keys"))
    for number, entry, statement, sigs in read_lines(ledger):
        if entry["seq"] != number - 1 or entry["prev"] != head:
            problems.append((3, f"line {number} does not follow line {number - 1}"))
        head = hashlib.sha256(statement).hexdigest()
        if ended or (entry["type"] == "run") != (number == 1):
            problems.append((3, f"line {number}: a {entry['type']} line here"))
        if number == 1:
            stated = entry["body"].get("behaviour")
            threshold = stated.get("threshold") if isinstance(stated, dict) else None
            if type(threshold) is not int or stated.get("strength") not in ("malicious", "semi-malicious"):
                return [*problems, (5, "nobody signs in a run of this strength")]
            if threshold < 2 or 2 * threshold <= stated.get("neighbours", 0):
                problems.append(
                    (3, f"line 1: {threshold} countersignatures are no witness: fewer than the protocol needs")
                )
            if entry["body"].get("allow_list") != allow_list_digest(keys):
                problems.append((3, "line 1: the run was opened under another allow-list"))
        if entry["type"] == "round":
            terms = entry["body"].get("terms")
            if not isinstance(terms, dict) or terms.get("threshold") != threshold:
                problems.append((3, f"line {number}: another threshold than the first line's"))
            if entry["round"] != due:
                problems.append((3, f"line {number}: round {entry['round']} where {due} is due"))
            due = entry["round"] + 1
        ended = ended or entry["type"] == "end"
        problems.extend(check_line(number, entry, statement, sigs, keys, threshold))
    return problems if ended else [*problems, (5, "there is no end line: interrupted, or cut off")]


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print(__doc__)
        return 1
    try:
        problems = check(*arguments)
    except (OSError, Unreadable, KeyError, TypeError, ValueError) as error:
        print(f"unreadable: {error}")
        return 1
    for _, text in problems:
        print(text)
    status = min((status for status, _ in problems), default=0)
    print({0: "chain and signatures hold", 3: "tampered", 5: "incomplete"}[status])
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
