# SPDX-License-Identifier: Apache-2.0
"""What must be on disk before a message leaves: each site's budget journal, and the run's ledger."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from fedmeta_crypto.secagg.step import Record, RecordKind
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.errors import JournalRolledBack
from fedmeta_privacy.journal import RESTORE
from fedmeta_privacy.journal import Witness as JournalWitness

from ..errors import FileError
from .witness import KEPT, read_heads

try:
    import fcntl
except ImportError:  # no such locks on this system: two runs on one folder are then the operator's mistake to make
    fcntl = None  # type: ignore[assignment]


class Appender:
    """An append-only file of whole lines, mode 0600, held by one process at a time.

    `sync` returns once all of it is on the disk. Raises FileError if another process holds the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
        if fcntl is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.close()
                raise FileError("another run holds this file", str(path), "wait, or use another folder") from None
            # The file's own entry must outlive a power cut too: a journal that is missing reads as an unspent budget.
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def write(self, lines: bytes) -> None:
        """Append in one call, so that an interrupt leaves whole lines; what the disk does not take whole is cut off."""
        before, view = os.fstat(self._descriptor).st_size, memoryview(lines)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)
            raise

    def sync(self) -> None:
        """Wait for the disk."""
        getattr(os, "fdatasync", os.fsync)(self._descriptor)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class GroupCommit:
    """Waits for the disks of all sites of one process side by side, as the sites of many machines would."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=32, thread_name_prefix="disk")
        self._waiting: list[Appender] = []

    def add(self, file: Appender) -> None:
        """This file has lines that must be durable before anything is sent."""
        self._waiting.append(file)

    def commit(self) -> None:
        """Return once all of them are."""
        if self._waiting:
            first, *others = self._waiting
            beside = [self._pool.submit(file.sync) for file in others]
            first.sync()
            for each in beside:
                each.result()
            self._waiting.clear()  # only now: a failed wait is tried again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()


class SiteStorage:
    """A site's own files: `budget.jsonl`, its charges, `rounds`, which rounds it began and answered, and `heads`.

    Each is the others' witness, so that none of them can be put back to an older state by itself. A round that was
    voted in, answered or countersigned was charged; a countersigned one has its head; and `witness` holds, for each
    charge that was on the disk, the number and hash of the journal's line. What a file is witness of is on the disk
    before the file says so: a crash leaves the witness behind what it witnesses, never ahead. A folder that is put back
    as a whole is consistent in itself; against that stands the shared ledger (`witness.Witness`).

    Attributes:
        budget: the filter, rebuilt from the journal.
        begun: the rounds begun.
        last_round: the newest one.
        seen_sessions: those begun, signed or answered before this start.
        heads: of the ledger's lines that it countersigned. What it refused to countersign is in `disputes`.
    """

    def __init__(self, folder: Path, limit: float, disks: GroupCommit) -> None:
        self._journal, self._rounds = Appender(folder / "budget.jsonl"), Appender(folder / "rounds")
        self._heads, self._seen = Appender(folder / "heads"), Appender(folder / "witness")
        self._folder, self._limit = folder, limit
        self._then: list[tuple[Appender, bytes]] = []  # to be written once the disk has what it speaks of
        try:
            self._restore()
        except BaseException:  # whatever it was goes on; only the locks on the files are let go of
            self._release()
            raise
        self._disks = disks

    def _restore(self) -> None:
        """Read the files, and compare each with the others."""
        refuse_stopped(self._folder)
        self.heads = read_heads(_whole(self._heads.path, lambda data: data.rfind(b"\n") + 1), str(self._heads.path))
        journal = _whole(self._journal.path, lambda data: data.rfind(b"\n") + 1)
        seen = _whole(self._seen.path, _end_of_witnesses)
        newest = JournalWitness.from_bytes(seen[-WITNESS_BYTES:]) if seen else None
        self.budget = GdpFilter.replay(self._limit, journal, witness=newest)
        known = whole_records(self._rounds.path)
        self.begun = frozenset(record.round for record in known)
        self.last_round = max(self.begun, default=0)
        self.seen_sessions = frozenset(record.session for record in known)
        heads = {head.round for head in self.heads}
        countersigned = {record.round for record in known if record.kind is RecordKind.COUNTERSIGNED}
        _refuse_missing(self._heads.path, countersigned - heads, "countersigned", "has no head of it")
        _refuse_missing(self._rounds.path, heads - self.begun, "countersigned", "does not have it")
        charged = self.budget.charged_rounds
        if known:  # unmasked uploads begin no rounds
            _refuse_missing(self._rounds.path, charged - self.begun, "charged", "does not have it")
        if self._limit > 0:  # without noise nothing is charged
            took_part = {record.round for record in known if record.kind is not RecordKind.ROUND_BEGUN}
            _refuse_missing(self._journal.path, (took_part | heads) - charged, "taken part in", "has no charge of it")

    def keep(self, persist: tuple[bytes, ...]) -> None:
        """Store a step's records; nothing of the step may be sent before `wait` has returned.

        The disk is waited for before a round's first message, its upload and its vote: a release that was not charged,
        or a round taken part in twice, could follow from their loss. A lowered charge that is lost leaves the higher
        one. A lost note of an answer says nothing that the round's beginning does not: the secrets of a session live in
        memory only, and a round once begun is never begun again, so there is nothing left to answer with. A head is on
        the disk before its countersignature leaves: after a restart the site still refuses a chain that forks from it.
        """
        for record in persist:
            name = self.file_of(record)
            if name == "heads":
                self._heads.write(record)
                self._disks.add(self._heads)
            elif name == "budget.jsonl":
                self._journal.write(record)
                if b'"type":"charge"' in record:
                    self._disks.add(self._journal)
                    self._then.append((self._seen, self.budget.witness.to_bytes()))
            elif record[_KIND_AT] == RecordKind.COUNTERSIGNED:
                self._then.append((self._rounds, record))
            else:
                self._rounds.write(record)
                if record[_KIND_AT] != RecordKind.ANSWERED:
                    self._disks.add(self._rounds)

    @staticmethod
    def file_of(record: bytes) -> str:
        """The name of the file that a step's record goes to."""
        return "heads" if record.startswith(KEPT) else "budget.jsonl" if record.startswith(b"{") else "rounds"

    def dispute(self, line: bytes) -> None:
        """Note a statement that was not countersigned; for people, so no disk is waited for."""
        disputes = Appender(self._folder / "disputes")
        try:
            disputes.write(line)
        finally:
            disputes.close()

    def stop(self, line: bytes) -> None:
        """Note durably that this folder was put back to an older state: it is not opened again."""
        with suppress(FileExistsError):
            write_private(self._folder / STOPPED, line, durable=True)

    def wait(self) -> None:
        """Return once every charge and every round begun or voted in is on the disk; then say so in the witnesses.

        Nobody waits for the witnesses themselves: one that is lost with the power is only an older one.
        """
        self._disks.commit()
        while self._then:
            file, record = self._then[0]
            file.write(record)
            del self._then[0]

    def close(self) -> None:
        """Close the files; their locks are let go of even if the disk takes nothing more."""
        try:
            self.wait()
        finally:
            self._release()

    def _release(self) -> None:
        for file in (self._journal, self._rounds, self._heads, self._seen):
            file.close()


def whole_records(path: Path) -> list[Record]:
    """The records of a `rounds` file; a torn last one, which nobody was told of, is cut off."""
    rounds = _whole(path, lambda data: len(data) - len(data) % RECORD_BYTES)
    return [Record.from_bytes(rounds[at : at + RECORD_BYTES]) for at in range(0, len(rounds), RECORD_BYTES)]


STOPPED = "rolled-back"


def refuse_stopped(folder: Path) -> None:
    """Refuse a site's folder that was found to be an older copy.

    Raises:
        JournalRolledBack: the note of it is there.
    """
    if (folder / STOPPED).exists():
        raise JournalRolledBack(
            f"{folder / STOPPED}: this folder was found to be older than the rounds that the site took part in",
            f"restore a copy that has them, then remove {STOPPED}; without it, treat the budget as spent",
        )


def _refuse_missing(path: Path, rounds: Collection[int], how: str, lacks: str) -> None:
    if rounds:
        raise JournalRolledBack(
            f"round {min(rounds)} was {how}, and {path} {lacks}: an older copy was put back", RESTORE
        )


def _end_of_witnesses(data: bytes) -> int:
    """Whole witnesses; zeros at the end are space that a power cut left without its content."""
    end = len(data) - len(data) % WITNESS_BYTES
    while end and not any(data[end - WITNESS_BYTES : end]):
        end -= WITNESS_BYTES
    return end


WITNESS_BYTES = 40
RECORD_BYTES = len(Record(RecordKind.ANSWERED, 1, bytes(32)).to_bytes())
_KIND_AT = 5  # after magic and version


def _whole(path: Path, end: Callable[[bytes], int]) -> bytes:
    """The complete records of a file; a torn last one was never durable, so nothing was sent for it: it is cut off."""
    data = path.read_bytes()
    if end(data) < len(data):
        os.truncate(path, end(data))
    return data[: end(data)]


def write_private(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file that only its owner may read, in a folder that only its owner may enter; wait for the disk if told.

    A file already there is replaced, but a durable one never: two parties cannot both have made it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    how = os.O_EXCL if durable else os.O_TRUNC
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def replace_durably(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file in place, whole and on the disk, or not at all; `mode` is lowered by the umask."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


def is_full(error: BaseException) -> bool:
    """Whether a disk refused to take more."""
    return isinstance(error, OSError) and error.errno in _FULL


@contextmanager
def told_when_full(out: Path | None) -> Iterator[None]:
    """A disk that takes no more ends the run as a kill would: what is on it stands, and can be gone on with.

    Raises:
        FileError: for an OSError of a full, broken or read-only disk.
    """
    try:
        yield
    except OSError as error:
        if out is None or not is_full(error):
            raise
        what = f"the system refused to write: {error.strerror}; what is in the folder is whole, and charged"
        raise FileError(
            what, str(error.filename or out), f"make room, then: secure-fedmeta run {out} --resume"
        ) from None


def refuse_taken(out: Path) -> None:
    """Refuse a folder that holds anything, before any work is done.

    Raises:
        FileError: `out` is not empty or not a folder.
    """
    try:
        taken = out.exists() and any(out.iterdir())
    except OSError as error:
        raise FileError(f"cannot use the folder: {error.strerror}", str(out), "choose another --out") from None
    if taken:
        raise FileError("the folder already holds a run or other files", str(out), "choose another --out")


def claim_folder(out: Path) -> None:
    """Make a run's folder; nothing is ever overwritten.

    Raises:
        FileError: the folder exists and is not empty, or cannot be made.
    """
    refuse_taken(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the run's folder: {error.strerror}", str(out), "choose another --out") from None
