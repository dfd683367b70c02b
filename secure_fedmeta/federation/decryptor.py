# SPDX-License-Identifier: Apache-2.0
"""The second server of a run with aggregation bfv: it makes each round's key, opens masked words once, and keeps count.

It has a folder of its own, as far from the server's as the operators can put it: two servers of one organisation are
one. `rounds` there holds every round begun and answered, 46 bytes each; a round once begun is never begun again.
"""

from __future__ import annotations

from pathlib import Path

from fedmeta_crypto import Step
from fedmeta_crypto.homomorphic.split.decryptor import Decryptor
from fedmeta_crypto.homomorphic.split.scheme import SplitScheme

from ..errors import RunError
from ..schedule import Schedule
from .identities import Credentials
from .storage import Appender, whole_records


class LocalDecryptor:
    """A decryptor of this process, with its own file if it has a folder; its native code runs in a child process.

    Raises:
        RunError: the plan has no decryptor.
        FileError: another run holds its file.
    """

    def __init__(self, schedule: Schedule, credentials: Credentials, folder: Path | None = None) -> None:
        scheme = schedule.scheme
        if not isinstance(scheme, SplitScheme):
            raise RunError("this plan has no decryptor", "decryptor", 'use aggregation = "bfv"')
        self._file = None if folder is None else Appender(folder / "rounds")
        known = () if self._file is None else whole_records(self._file.path)
        policy = schedule.hiding.policy(
            schedule.plan,
            length=schedule.session_length,
            dimension=schedule.length,
            last_round=max((record.round for record in known), default=0),
            seen_sessions=frozenset(record.session for record in known),
            people=credentials.people,
            surplus=schedule.surplus_parts,
        )
        self._decryptor = Decryptor(scheme, policy=policy, identity=credentials.identity)

    def __repr__(self) -> str:
        return f"LocalDecryptor({self._decryptor!r})"

    def begin(self, number: int) -> Step:
        """A fresh key for a round; its proposal goes to the server."""
        return self._kept(self._decryptor.begin(number))

    def receive(self, message: bytes) -> Step:
        """Take one message of the server."""
        return self._kept(self._decryptor.receive(message))

    def _kept(self, step: Step) -> Step:
        """Store a step's records on the disk; only then may it be sent."""
        if self._file is not None and step.persist:
            self._file.write(b"".join(step.persist))
            self._file.sync()
        return step

    def abort(self) -> None:
        """Wipe the open round's key."""
        self._decryptor.abort()

    def close(self) -> None:
        """Wipe the key and close the file."""
        self._decryptor.abort()
        if self._file is not None:
            self._file.close()
