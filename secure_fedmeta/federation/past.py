# SPDX-License-Identifier: Apache-2.0
"""What the sites' own files say of a run, for a server that was ended and goes on: what they hold is not forgotten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedmeta_crypto.identities import Identity
from fedmeta_crypto.records import record_digest
from fedmeta_crypto.wire import Header, MessageType, content_digest, statement

from .storage import SiteStorage
from .witness import Head


@dataclass(frozen=True, slots=True)
class SitePast:
    """One site's.

    Attributes:
        heads: of the lines that it countersigned.
        begun: rounds.
        charged: rounds.
        spent: squared shift that its filter has taken.
        again: its countersignature under the line that was shown to it, if it holds that line's head.
    """

    heads: tuple[Head, ...]
    begun: frozenset[int]
    charged: frozenset[int]
    spent: float
    again: bytes | None = None

    @classmethod
    def of(cls, kept: SiteStorage, number: int, shown: bytes | None, identity: Identity | None) -> SitePast:
        """What these files say; `shown` is the content of a line that the server had come to state."""
        again = None
        if shown is not None and identity is not None:
            again = signed_again(shown, kept.heads, number, identity)
        return cls(kept.heads, kept.begun, kept.budget.charged_rounds, kept.budget.spent, again)


# Shown the content of the line that the server had stated last, if there is one beyond its ledger.
Ask = Callable[[bytes | None], Mapping[int, SitePast]]


def signed_again(shown: bytes, heads: tuple[Head, ...], number: int, identity: Identity) -> bytes | None:
    """The countersignature of a site that holds this line's head: the same bytes under the same key as before."""
    digest = hashlib.sha256(shown).hexdigest()
    if all(head.head != digest for head in heads):
        return None
    entry = json.loads(shown)
    session, agreed = bytes.fromhex(entry["body"]["session"]), bytes.fromhex(entry["body"]["agreed"])
    signed = record_digest(session, agreed, shown)
    header = Header(MessageType.COUNTERSIGNATURE, session, int(entry["round"]), number)
    return identity.sign(statement(header, size=len(signed), content=content_digest(signed)))
