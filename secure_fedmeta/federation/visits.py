# SPDX-License-Identifier: Apache-2.0
"""A site whose process ends between two messages of a round: what must not be forgotten, and how it is kept.

Between messages a site's process leaves one sealed note: where its own files ended when the round began, the seed that
the round's randomness is expanded from, and the digests of the messages that it took so far, which lie in its own
folder until the next round: they come from the server, and are no secret. The next process reads the files up to
those marks, takes the same messages with the same seed, and so becomes, byte for byte, the site that had ended: a state
machine fed with bytes needs no other memory. What it writes on the way must be what the files hold beyond the marks,
and the newest line of `visits`, in the site's own folder, must be the digest of the messages: a note that is older than
the files, or of another round, is refused, so that no key and no mask is ever used for a second message.

The note is sealed (AES-256-GCM) with a key that follows from the site's own `identity.key`: whoever keeps it meanwhile
can lose it, which costs the site the round, or give back an older one, which is refused.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Never, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fedmeta_crypto import Entropy, Keystream
from fedmeta_crypto.homomorphic.parcel import is_parcel
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme
from fedmeta_crypto.secagg.step import Record
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import JournalRolledBack
from fedmeta_privacy.journal import RESTORE

from ..entropy import site_entropy
from ..errors import VisitRefused
from ..performance import Performance
from ..schedule import Schedule
from .client import SiteClient
from .contribution import Data
from .identities import Credentials, sealing_key
from .sessions import type_of
from .storage import RECORD_BYTES, Appender, GroupCommit, SiteStorage, write_private
from .witness import read_heads

SEED_BYTES = 32
MOST_MESSAGES = 64  # of one round to one site
KEPT = "round"  # the folder of an open round's messages
_HEAD = struct.Struct("<4sB3x2Q4Q32sI")  # magic, version, drawn before, four marks, seed, messages; then digests
_MAGIC, _VERSION = b"sfmV", 2
_NOTHING = bytes(32)
_LENGTH = struct.Struct("<Q")
_AAD = b"sfm-visit/1"
_NONCE_BYTES, _TAG_BYTES = 12, 16
_FILES = ("budget.jsonl", "rounds", "heads", "witness")


@dataclass(frozen=True, slots=True)
class Note:
    """What a round needs of the past; secret, but for the counts.

    Attributes:
        marks: lengths of the site's files when the round began.
        seed: of the round's randomness.
        drawn: bytes of a reproducible run's two streams that were drawn before the round.
        messages: taken so far, the announcement first.
        upload: the masked input that was sent, empty before; of an encryption it is made again, and not kept.
    """

    marks: tuple[int, int, int, int]
    seed: bytes
    drawn: tuple[int, int]
    messages: tuple[bytes, ...] = ()
    upload: bytes = b""

    def __repr__(self) -> str:
        return f"Note({len(self.messages)} messages)"

    def __reduce__(self) -> Never:
        """Refuse to be copied or pickled: it holds a round's seed."""
        raise TypeError("a note cannot be copied or pickled")

    @property
    def digest(self) -> bytes:
        """Of the messages in their order, 32 bytes."""
        told = hashlib.sha256(b"sfm-visits/1")
        for message in self.messages:
            told.update(_LENGTH.pack(len(message)) + hashlib.sha256(message).digest())
        return told.digest()

    def sealed(self, key: bytes, folder: Path) -> bytes:
        """Only the site can read it; the messages and the upload are put into the site's `folder`."""
        head = _HEAD.pack(_MAGIC, _VERSION, *self.drawn, *self.marks, self.seed, len(self.messages))
        digests = [_put(folder / KEPT, part) for part in self.messages]
        digests.append(_put(folder / KEPT, self.upload) if self.upload else _NOTHING)
        plain = head + b"".join(digests)
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(key).encrypt(nonce, plain, _AAD)

    @classmethod
    def opened(cls, sealed: bytes, key: bytes, folder: Path) -> Self:
        """Read what `sealed` wrote.

        Raises:
            VisitRefused: another site's, changed, or not a note; or a message in `folder` is not the one that it names.
        """
        least = _NONCE_BYTES + _HEAD.size + 32 + _TAG_BYTES
        if not least <= len(sealed) <= least + 32 * MOST_MESSAGES or (len(sealed) - least) % 32:
            raise VisitRefused("the note between messages is none", "site", _REMEDY)
        try:
            plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _AAD)
        except InvalidTag:
            raise VisitRefused("the note between messages is another site's, or was changed", "site", _REMEDY) from None
        magic, version, masks, secrets, *marks, seed, count = _HEAD.unpack_from(plain)
        if (magic, version) != (_MAGIC, _VERSION) or len(plain) != _HEAD.size + 32 * (count + 1):
            raise VisitRefused("the note between messages is of another release", "site", _REMEDY)
        digests = [plain[at : at + 32] for at in range(_HEAD.size, len(plain), 32)]
        *messages, upload = [b"" if digest == _NOTHING else _got(folder / KEPT, digest) for digest in digests]
        return cls((marks[0], marks[1], marks[2], marks[3]), seed, (masks, secrets), tuple(messages), upload)


def _put(folder: Path, part: bytes) -> bytes:
    """Keep a part under its digest; one that is there already stays."""
    digest = hashlib.sha256(part).digest()
    path = folder / digest.hex()
    if not path.exists():
        write_private(path, part)
    return digest


def _got(folder: Path, digest: bytes) -> bytes:
    path = folder / digest.hex()
    part = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(part).digest() != digest:
        raise VisitRefused("a message of this round is gone from the site's folder, or was changed", str(path), _REMEDY)
    return part


def _is_plain_upload(message: bytes) -> bool:
    return type_of(message) == MessageType.MASKED_INPUT and not is_parcel(message)


_REMEDY = "the site is missing from this round; the next announcement begins a new one"


class Counted:
    """A source of randomness that counts what was drawn of it."""

    def __init__(self, source: Entropy) -> None:
        self._source = source
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        """So many bytes."""
        self.drawn += size
        return self._source(size)

    def skip(self, size: int) -> None:
        """Leave out what an earlier process had drawn."""
        while self.drawn < size:
            self(min(1 << 16, size - self.drawn))


@dataclass(slots=True)
class Visit:
    """One process of a site: opened, given letters, closed.

    Attributes:
        folder: the site's own.
        number: its client id.
        records: reads the site's registered records, once the round's input is wanted.
        schedule, credentials, performance: as `SiteClient` takes them.
    Raises:
        VisitRefused: the plan's scheme draws randomness that cannot be drawn again.
        FileError: another process holds the folder.  JournalRolledBack, HeadsDamaged: its files contradict each other.
    """

    folder: Path
    number: int
    records: Callable[[], Data]
    schedule: Schedule
    credentials: Credentials | None = None
    performance: Performance | None = None
    _closing: ExitStack = field(init=False, default_factory=ExitStack)
    _stored: SiteStorage = field(init=False)
    _seen: Appender = field(init=False)
    _key: bytes = field(init=False, repr=False)
    _streams: tuple[Counted, ...] = field(init=False, default=())  # of a reproducible run

    def __post_init__(self) -> None:
        if isinstance(self.schedule.scheme, SplitScheme):
            raise VisitRefused(
                "aggregation bfv encrypts with randomness that a later process cannot draw again",
                "site",
                "use masks, rlwe32 or rlwe64, or keep all parties in one process",
            )
        limit = self.schedule.limit if self.schedule.scale is not None else 0.0
        with ExitStack() as closing:
            disks = closing.enter_context(GroupCommit())
            self._seen = Appender(self.folder / "visits")
            closing.callback(self._seen.close)
            self._stored = SiteStorage(self.folder, limit, disks)
            closing.callback(self._stored.close)
            self._key = sealing_key(self.folder)
            self._closing = closing.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._closing.close()

    def affords(self, shift: float) -> bool:
        """Whether the site's own filter has room for a release of this squared shift."""
        return self._stored.budget.affords(shift)

    @property
    def storage(self) -> SiteStorage:
        """The site's own files."""
        return self._stored

    def receive(self, letters: Sequence[bytes], sealed: bytes | None) -> tuple[tuple[bytes, ...], bytes]:
        """Take letters, which may begin a round; the answers, and the note to give back with the next letters.

        The answers may be sent once this has returned: charges, records and the digest of the letters are on the disk.

        Raises:
            VisitRefused: the note is missing, older than the files, or not this site's; nothing was sent or charged.
            as `SiteClient.receive`.
        """
        if not letters:
            raise VisitRefused("no letter", "site", "send at least one message")
        begins = type_of(letters[0]) == MessageType.PARAMETERS
        note = self._fresh() if begins else self._kept(sealed)
        client, written = self._again(note)
        if not begins:
            self._compare(note, written)
        answers: list[bytes] = []
        for letter in letters:
            step = client.receive(letter)
            uploaded = next((out.message for out in step.send if _is_plain_upload(out.message)), note.upload)
            note = Note(note.marks, note.seed, note.drawn, (*note.messages, letter), uploaded)
            self._stored.budget = client.budget
            self._stored.keep(step.persist)
            answers += (out.message for out in step.send)
        self._stored.wait()
        if self.schedule.plan.insecure_reproducible:
            drawn = " ".join(str(stream.drawn) for stream in self._streams)
            write_private(self.folder / "drawn", drawn.encode())
        self._seen.write(note.digest)
        self._seen.sync()
        if begins:  # of the round before
            for part in (self.folder / KEPT).glob("*"):
                part.unlink()
        return tuple(answers), note.sealed(self._key, self.folder)

    def _fresh(self) -> Note:
        masks = secrets = 0
        if self.schedule.plan.insecure_reproducible and (kept := self.folder / "drawn").is_file():
            masks, secrets = map(int, kept.read_text().split())
        sizes = [(self.folder / name).stat().st_size for name in _FILES]
        return Note((sizes[0], sizes[1], sizes[2], sizes[3]), os.urandom(SEED_BYTES), (masks, secrets))

    def _kept(self, sealed: bytes | None) -> Note:
        if sealed is None:
            raise VisitRefused("a message came without the note of those before it", "site", _REMEDY)
        note = Note.opened(sealed, self._key, self.folder)
        newest = self._seen.path.read_bytes()[-SEED_BYTES:]
        if not note.messages or newest != note.digest:
            raise VisitRefused("the note is not of the newest messages that this site took", "site", _REMEDY)
        return note

    def _entropy(self, note: Note) -> tuple[Entropy, Entropy]:
        plan = self.schedule.plan
        if plan.insecure_reproducible:
            labels = (f"site-{self.number}", f"site-{self.number}-encryption")
            masks, secrets = (
                Counted(site_entropy(label, seed=plan.seed, insecure_reproducible=True)) for label in labels
            )
            masks.skip(note.drawn[0])
            secrets.skip(note.drawn[1])
            self._streams = (masks, secrets)
            return masks, secrets

        def expanded(label: bytes) -> Entropy:
            return Keystream(hashlib.sha256(b"sfm-visit-entropy/1" + label + note.seed).digest()[:16]).bytes

        return expanded(b"masks"), expanded(b"encryption")

    def _again(self, note: Note) -> tuple[SiteClient, dict[str, bytes]]:
        """The site as it was after the note's messages, and what they made it write."""
        journal, rounds, heads, _ = (
            (self.folder / name).read_bytes()[:mark] for name, mark in zip(_FILES, note.marks, strict=True)
        )
        limit = self._stored.budget.limit
        known = [Record.from_bytes(rounds[at : at + RECORD_BYTES]) for at in range(0, len(rounds), RECORD_BYTES)]
        entropy, secrets = self._entropy(note)
        client = SiteClient(
            self.number,
            self.records,
            self.schedule,
            GdpFilter.replay(limit, journal),
            credentials=self.credentials,
            last_round=max((record.round for record in known), default=0),
            seen_sessions=frozenset(record.session for record in known),
            heads=read_heads(heads, str(self.folder / "heads")),
            begun=frozenset(record.round for record in known),
            entropy=entropy,
            secrets=secrets,
            performance=self.performance,
        )
        client.recalled = note.upload or None
        written = dict.fromkeys(_FILES[:3], b"")
        for message in note.messages:
            for record in client.receive(message).persist:
                written[SiteStorage.file_of(record)] += record
        return client, written

    def _compare(self, note: Note, written: dict[str, bytes]) -> None:
        """What the messages made the site write is what its files hold beyond the marks."""
        for name, mark in zip(_FILES[:3], note.marks, strict=False):
            if (self.folder / name).read_bytes()[mark:] != written[name]:
                raise JournalRolledBack(f"{self.folder / name} is not what the round's messages led to", RESTORE)
