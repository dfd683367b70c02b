# SPDX-License-Identifier: Apache-2.0
"""One site: its records, its budget, its side of every round. Only bytes leave it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import ClientSession, Entropy, Keystream, Step
from fedmeta_crypto.errors import OutOfOrder, PlanRefused
from fedmeta_crypto.homomorphic.split import messages
from fedmeta_crypto.secagg.step import InputWanted, RecordShown, SurvivorsAnnounced
from fedmeta_crypto.wire import MessageType
from fedmeta_privacy.budget import GdpFilter
from fedmeta_privacy.clipping import AdaptiveClip
from fedmeta_privacy.errors import BudgetExceeded, JournalRolledBack

from ..clip_plan import within_reach
from ..entropy import noise_key
from ..performance import Performance
from ..schedule import Schedule
from . import approximate, plain
from .contribution import Contribution, Data, check_data, contribution_of, release_of
from .identities import Credentials
from .model import announced_from_bytes, model_digest
from .sessions import ClientSide, client_side, type_of
from .statements import COMMITMENT_BYTES
from .surplus import own_parts
from .witness import Head, Witness

if TYPE_CHECKING:
    from fedmeta_privacy.dp_sgd import ClippedNoisySum


class SiteClient:
    """A site as a sans-IO state machine over the rounds of one run.

    What it trusts is local: its own plan (as `Schedule`), its own filter, its own entropy. A shell feeds `receive`
    with the server's messages, makes `Step.persist` durable, and only then sends `Step.send`.

    Guarantee: an upload exists only after its round was charged to the filter; records are touched only after the
    model,
        the behaviour hash, the cohort and the budget were checked.
    Raises (from `receive`):
        BudgetExceeded: the filter has no room for the announced round; nothing was sent or charged.
        ProtocolError: the message is not acceptable; nothing changed. The shell goes on, or calls `abort`.
        UnsafeModel: the announced model must not touch data.
        StatementRefused: the round's line is not what this site knows; it does not countersign.
        JournalRolledBack: that line proves that this site's own files were put back; it takes part in nothing more.
    """

    def __init__(
        self,
        client_id: int,
        data: Data | Callable[[], Data],
        schedule: Schedule,
        budget: GdpFilter,
        *,
        credentials: Credentials | None = None,
        last_round: int = 0,
        seen_sessions: frozenset[bytes] = frozenset(),
        heads: Sequence[Head] = (),
        begun: Collection[int] = frozenset(),
        entropy: Entropy = os.urandom,
        secrets: Entropy | None = None,
        performance: Performance | None = None,
    ) -> None:
        """Hold registered records (one task, or one a person); nothing is sent before an announcement arrives.

        `data` given as a function is read, and checked, only when a round wants the site's input.
        `credentials` are its key and the allow-list, without which it refuses every signed round; `last_round` and
        `seen_sessions` come from its own disk, and it takes part in none of them again; so do the `heads` of the ledger
        that it countersigned, and the rounds that it has `begun`. An encryption draws from `secrets`, `entropy` unless
        given: apart from noise and masks, so that reproducible runs have the same noise under every aggregation.

        Raises:
            TooManyRecords, SettingError, ModelRefused: they are not what the sensitivity proof asks for.
        """
        self.client_id = client_id
        self.budget = budget
        self._task = data
        self._performance = performance or Performance()
        self._schedule = schedule
        self._clip_norm: float | None = None  # announced, of an adaptive rule
        if not callable(data):
            _ = self._contribution, self._release  # what cannot be computed is refused at once
        self._credentials = credentials
        self._seen_sessions = seen_sessions
        self._entropy, self._secrets = entropy, secrets
        self._witness = Witness(schedule, client_id, heads, begun)
        self._stopped: JournalRolledBack | None = None
        self._session: ClientSide | None = None
        self._theta: NDArray[np.float64] | None = None
        self._public_key = b""  # the decryptor's of this round, where nothing is masked
        self.recalled: bytes | None = None  # an upload that a process before this one has sent in this very round
        # The newest round seen, charged or not: a replayed announcement is refused.
        self._last_round = max(last_round, budget.last_round)

    def __repr__(self) -> str:
        return f"SiteClient({self.client_id})"

    def receive(self, message: bytes) -> Step:
        """Take one message of the server."""
        if self._stopped is not None:
            raise self._stopped
        if type_of(message) == MessageType.PARAMETERS:
            return self._announced(message)
        if self._session is None:
            raise OutOfOrder("a message came outside a round", where=f"site {self.client_id}")
        step = self._session.receive(message)
        for event in step.events:
            if isinstance(event, InputWanted):
                return self._upload(self._session, event.surplus)
            if isinstance(event, SurvivorsAnnounced):
                return self._settled(step, event)
            if isinstance(event, RecordShown):
                return self._countersign(self._session, event)
        return step

    def abort(self) -> None:
        """Leave the round and wipe its secrets; what was charged stays charged."""
        if self._session is not None:
            self._session.abort()
        self._session = self._theta = None

    def _announced(self, message: bytes) -> Step:
        schedule = self._schedule
        own = self._credentials
        policy = schedule.hiding.policy(
            schedule.plan,
            length=schedule.session_length,
            dimension=schedule.length,
            last_round=self._last_round,
            seen_sessions=self._seen_sessions,
            people=None if own is None else own.people,
            surplus=schedule.surplus_parts,
        )
        identity = None if own is None else own.identity
        m0, self._public_key = message, b""
        if schedule.decrypted and not schedule.masked:
            m0, self._public_key = messages.announcement_parts(message)
        session = client_side(
            schedule,
            m0,
            client_id=self.client_id,
            policy=policy,
            identity=identity,
            entropy=self._entropy,
            secrets=self._secrets,
        )
        parameters = session.parameters
        rule = schedule.clipping
        adaptive = isinstance(rule, AdaptiveClip)
        theta, clip_norm = announced_from_bytes(parameters.body, schedule.dimension, adaptive=adaptive)
        stated = (parameters.length, parameters.modulus_bits, len(parameters.cohort), parameters.threshold)
        ring = schedule.session_modulus_bits
        expected = (schedule.session_length, ring, schedule.clients, schedule.threshold)
        if stated != expected or parameters.behaviour_hash != schedule.behaviour_hash(parameters.body):
            raise PlanRefused(
                f"round {parameters.round} was announced for another plan, codebook or model",
                where=f"site {self.client_id}",
            )
        if parameters.round > schedule.plan.rounds:
            raise PlanRefused(
                f"round {parameters.round} of {schedule.plan.rounds} planned ones", where=f"site {self.client_id}"
            )
        if isinstance(rule, AdaptiveClip) and not (
            clip_norm is not None and within_reach(rule, clip_norm, parameters.round - 1)
        ):
            raise PlanRefused(
                f"round {parameters.round} announces a clip norm that the plan cannot have come to",
                where=f"site {self.client_id}",
            )
        if schedule.scale is not None and not self.budget.affords(schedule.floor_shift):
            spent = self.budget.spent
            raise BudgetExceeded(spent=spent, asked=schedule.floor_shift, limit=self.budget.limit)
        self.abort()  # only now: a refused announcement leaves an open round as it was
        self._last_round = parameters.round
        self._session, self._theta = session, theta
        self._witness.begin(
            session=session.session,
            number=parameters.round,
            behaviour=parameters.behaviour_hash,
            model=model_digest(theta),
        )
        self._clip_norm = clip_norm
        if clip_norm is not None:
            self._witness.clipped_to(clip_norm)
            if "_release" in vars(self):
                self._release.set_clip_norm(clip_norm)
        return session.advertise_keys() if schedule.masked else self._upload(session)

    # What computes and what clips are made when first wanted: most messages need neither, nor torch.

    @cached_property
    def _contribution(self) -> Contribution:
        data = self._task() if callable(self._task) else self._task
        check_data(self._schedule, data, site=str(self.client_id))
        return contribution_of(self._schedule, data, self._performance)

    @cached_property
    def _release(self) -> ClippedNoisySum:
        release = release_of(self._schedule)
        if self._clip_norm is not None:
            release.set_clip_norm(self._clip_norm)
        return release

    def _upload(self, session: ClientSide, seeds: tuple[bytes, ...] = ()) -> Step:
        """Charge the round's floor, then release: the charge is in `persist`, ahead of the upload in `send`."""
        schedule = self._schedule
        theta, self._theta = self._theta, None
        if theta is None:
            raise OutOfOrder("the round's input was asked for twice", where=f"site {self.client_id}")
        recalled, self.recalled = self.recalled, None
        if recalled is None:
            _ = self._contribution, self._release  # what cannot be read or computed fails ahead of the charge
        charge: tuple[bytes, ...] = ()
        words, commitment = None, bytes(32)
        if schedule.scale is not None:
            charge = (self.budget.charge(round=session.parameters.round, shift=schedule.floor_shift),)
            key, commitment = noise_key(self._entropy)
            words = Keystream(key).words
        if recalled is not None and isinstance(session, ClientSession):
            self._witness.uploaded(commitment[:COMMITMENT_BYTES].hex())
            step = session.recall_input(recalled)
            return replace(step, persist=charge + step.persist)
        contribution, release = self._contribution, self._release
        with self._performance.on_threads():
            steps = release(contribution.units(theta, words), words)
        if schedule.surplus is not None:
            own, dimension = schedule.surplus, schedule.length
            steps = steps + own_parts(own, seeds, session=session.session, dimension=dimension)
        with self._performance.on_threads():
            steps = contribution.finish(steps, words)
        vector = schedule.encoding.to_ring(steps)
        if not schedule.masked:
            self._session = None
            if schedule.decrypted:
                key = self._public_key
                return approximate.upload(session, schedule, self.client_id, steps, key, persist=charge)
            return plain.upload(session, self.client_id, vector, persist=charge)
        self._witness.uploaded(commitment[:COMMITMENT_BYTES].hex())
        step = session.mask_input(vector, attachment_hash=commitment)
        return replace(step, persist=charge + step.persist)

    def _settled(self, step: Step, event: SurvivorsAnnounced) -> Step:
        """Lower the charge to the honest noises that the proved survivors stand for.

        Without signatures the survivors are the server's word, and the declared colluders are taken off here.
        """
        schedule = self._schedule
        counted = schedule.counted(len(event.survivors))
        if schedule.hiding.signed:
            counted = counted._replace(honest=event.honest_guaranteed)
        shift = schedule.shift(*counted)
        self._witness.settled(event.survivors, honest=counted.honest, shift=shift)
        if schedule.scale is None or self._session is None:
            return step
        line = self.budget.settle(round=self._session.parameters.round, shift=shift)
        return replace(step, persist=(*step.persist, line) if line else step.persist)

    def _countersign(self, session: ClientSide, event: RecordShown) -> Step:
        """Sign the round's line if it agrees with all that this site knows; its head is kept first."""
        try:
            head = self._witness.check(event.record, agreed=event.survivors_digest, spent=self.budget.spent)
        except JournalRolledBack as error:
            self._stopped = error
            self.abort()
            raise
        step = session.countersign()
        return replace(step, persist=(head.to_line(), *step.persist))
