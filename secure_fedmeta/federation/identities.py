# SPDX-License-Identifier: Apache-2.0
"""Who signs in a run: each party's own key file, and the one list of public keys that all of them read.

A key is made at its first use, in its owner's folder, and never leaves it. The list holds public keys only; whoever may
change it decides who counts as a site, so it must reach the parties by a way that the server cannot bend.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fedmeta_crypto import SERVER, Entropy
from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.wire import DECRYPTOR

from ..entropy import site_entropy
from ..errors import IdentityRefused
from ..schedule import Schedule
from .storage import write_private

KEY_FILE = "identity.key"
SECRET_BYTES = 32
_HEX_DIGITS = 64
_HEADER = """\
# Whose signatures count in this run: public keys only. Every party reads this list and signs by it; give it to the
# parties by a way that the server cannot change.
"""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A party's own key, and the list of those whom it believes."""

    identity: Identity
    people: AllowList

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled, as the identity in it does."""
        raise TypeError("credentials cannot be copied or pickled")


def entropy_of(schedule: Schedule, party: int) -> Entropy:
    """Where a party's key comes from: the operating system, or the seed in a run without a guarantee."""
    plan = schedule.plan
    return site_entropy(f"identity-{party}", seed=plan.seed, insecure_reproducible=plan.insecure_reproducible)


def own_identity(folder: Path, entropy: Entropy = os.urandom) -> Identity:
    """A party's key from `identity.key` in its own folder, made there (mode 0600, 32 raw bytes) if there is none.

    PEM (PKCS 8, no password) is read as well.

    Raises:
        IdentityRefused: others may read the file, or it holds no Ed25519 key. No byte of it is in the text.
    """
    path = folder / KEY_FILE
    if not path.exists():
        write_private(path, entropy(SECRET_BYTES), durable=True)
    try:
        if path.stat().st_mode & 0o077:
            raise IdentityRefused("others may read this key", str(path), "make a new one, readable by its owner only")
        content = path.read_bytes()
    except OSError as error:
        raise IdentityRefused(f"cannot read the key: {error.strerror}", str(path), "restore the file") from None
    return Identity(_secret(content, path))


def sealing_key(folder: Path) -> bytes:
    """A key (32 bytes) for what a site leaves with others and reads again itself; it follows from `identity.key`.

    Raises:
        IdentityRefused: the file is missing, or cannot be used.
    """
    path = folder / KEY_FILE
    if not path.is_file():
        raise IdentityRefused("there is no key", str(path), "enrol the site first, or restore the file")
    own_identity(folder)  # its checks
    secret = _secret(path.read_bytes(), path)
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"sfm-sealing/1").derive(secret)


def _secret(content: bytes, path: Path) -> bytes:
    if len(content) == SECRET_BYTES:
        return content
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityRefused(
            "neither 32 raw bytes nor an Ed25519 key in PEM without a password", str(path), "restore the file"
        )
    return key.private_bytes_raw()


def credentials_in_memory(schedule: Schedule, cohort: Iterable[int]) -> dict[int, Credentials]:
    """Fresh keys for the parties of one process, `SERVER` among them, that no file ever holds."""
    others = (SERVER, DECRYPTOR) if schedule.split else (SERVER,)
    keys = {party: Identity(entropy_of(schedule, party)(SECRET_BYTES)) for party in (*cohort, *others)}
    people = AllowList(keys[SERVER].public, {party: key.public for party, key in keys.items() if party != SERVER})
    return {party: Credentials(key, people) for party, key in keys.items()}


def write_allow_list(
    path: Path, server: bytes, sites: Mapping[int, tuple[str, bytes]], *, decryptor: bytes | None = None
) -> None:
    """Write the list: the server's public key, a decryptor's, and each site's id, name and public key."""
    lines = [_HEADER, f'server = "{server.hex()}"']
    if decryptor is not None:
        lines.append(f'decryptor = "{decryptor.hex()}"')
    for id_, (name, public) in sorted(sites.items()):
        lines.append(f'\n[[site]]\nid = {id_}\nname = {_toml(name)}\nkey = "{public.hex()}"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(text: str) -> str:
    """A basic string of TOML: JSON's escapes will do but for pairs of surrogates, so other characters stay plain."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_allow_list(path: Path, cohort: Iterable[int]) -> AllowList:
    """Read the list of a run with this cohort.

    Raises:
        IdentityRefused: it cannot be read, an id, name or key is there twice, an id is unknown or missing, or a key is
            malformed or weak.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "not a TOML file"
        raise _bad_list(f"cannot read the allow-list: {what}", path) from None
    rows = content.get("site")
    if set(content) - {"decryptor"} != {"server", "site"} or not isinstance(rows, list):
        raise _bad_list("an allow-list holds a server, its sites and at most a decryptor, and nothing else", path)
    expected, keys, names = set(cohort), {}, set()
    for row in rows:
        id_, name, public = _entry(row, path)
        if id_ not in expected:
            raise _bad_list(f"id {id_} is not a site of this run", path)
        if id_ in keys or name in names:
            raise _bad_list(f"site {id_} or its name is listed twice", path)
        names.add(name)
        keys[id_] = public
    if missing := sorted(expected - keys.keys()):
        raise _bad_list(f"no key for the sites {missing[:5]}", path)
    if "decryptor" in content:
        keys[DECRYPTOR] = _public(content["decryptor"], "the decryptor", path)
    try:
        return AllowList(_public(content["server"], "the server", path), keys)
    except BadArgument as error:
        raise _bad_list(error.what, path) from None


def _entry(row: Any, path: Path) -> tuple[int, str, bytes]:
    if not isinstance(row, dict) or set(row) != {"id", "name", "key"}:
        raise _bad_list("each site has an id, a name and a key", path)
    id_, name = row["id"], row["name"]
    if isinstance(id_, bool) or not isinstance(id_, int) or not isinstance(name, str):
        raise _bad_list("an id is an integer and a name is text", path)
    return id_, name, _public(row["key"], f"site {id_}", path)


def _public(text: object, whose: str, path: Path) -> bytes:
    if isinstance(text, str) and len(text) == _HEX_DIGITS:
        try:
            return bytes.fromhex(text)
        except ValueError:
            pass
    raise _bad_list(f"the key of {whose} is not {_HEX_DIGITS} hex digits", path)


def _bad_list(what: str, path: Path) -> IdentityRefused:
    return IdentityRefused(what, str(path), "correct the list; compare its keys with their owners'")
