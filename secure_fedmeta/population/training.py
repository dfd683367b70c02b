# SPDX-License-Identifier: Apache-2.0
"""A run over a simulated population: rounds, charges before releases, checkpoints, and going on after a crash.

Two modes. *Fresh* (the default): keys come from the operating system, and every attempt at a round is a release of its
own with a number of its own, charged durably before it is computed. A run that was killed goes on from its checkpoint;
what was charged since stays charged, and those rounds are done again with fresh cohorts and fresh noise.
*Reproducible*: everything follows from the seed, a round that is done again is the same release to the last bit, and is
charged once. Whoever knows the seed knows all noise: such a run protects nobody.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fedmeta_crypto import Keystream
from fedmeta_privacy.filters import DominatingEventFilter

from ..errors import CheckpointDamaged, FileError, RunError, SettingError
from ..federation.storage import Appender
from .checkpoint import NAME, Checkpoint, load, save
from .clients import Indices
from .progress import bar
from .result import Result, result_of
from .rounds import DiscreteNoise, NormalNoise, float_round, ring_round, simulated_ring_round
from .settings import Training

Tensor = torch.Tensor
JOURNAL = "charges.jsonl"


@dataclass(slots=True)
class _State:
    """Where a run stands."""

    theta: Tensor
    step: int
    lost: int
    releases: int
    taken: dict[int, int]


# (training round from 1, survivors, the new model) after each release; what it does is covered by no epsilon.
Watcher = Callable[[int, Indices, Tensor], None]


def train(
    training: Training,
    start: Tensor,
    *,
    folder: Path | None = None,
    resume: bool = False,
    every: int = 1,
    watch: Watcher | None = None,
    progress: bool = True,
) -> Result:
    """Run, or go on with, a simulated training.

    Args:
        training: the settings.
        start: initial model (D,), float32 or float64.
        folder: for charges and checkpoints; None keeps nothing.
        resume: go on with what `folder` holds. Without it, a folder that holds a run is refused.
        every: rounds between checkpoints.
        watch: called after each release.
        progress: show a bar on a terminal.

    Raises:
        FileError: the folder holds a run, or none.
        SettingError: a start that is no vector; a folder, and settings that nothing tells from others
            (`Training.digest`).
        CheckpointDamaged, JournalDamaged, JournalRolledBack: what it holds cannot be trusted.
        RunError: the model is not finite any more.
    """
    if not isinstance(start, Tensor) or start.dim() != 1 or not start.is_floating_point():
        raise SettingError("the start is no vector of floats", "training", "pass a torch tensor of shape (D,)")
    if every < 1:
        raise SettingError(f"every={every}", "training", "use a whole number from 1")
    rounds = training.rounds + training.spare
    budget = DominatingEventFilter(training.account.release, rounds)
    state = _State(start.clone(), 0, 0, 0, {})
    journal: Appender | None = None
    if folder is not None:
        _ = training.digest  # before anything is written: a run that could not be told from another is not kept
        held = (folder / JOURNAL).exists() or (folder / NAME).exists()
        if held is not resume:
            what = "the folder holds a run already" if held else "the folder holds no run"
            raise FileError(
                what, str(folder), "pass resume=True, or another folder" if held else "start without resume"
            )
        journal = Appender(folder / JOURNAL)
    try:
        if folder is not None and resume:
            budget, state = _restored(training, start, folder, rounds)
        # So that no charge is ever without the settings that it is of; a run may have been killed before it had one.
        if folder is not None and not (folder / NAME).exists():
            save(folder, _checkpoint(training, state, budget))
        with bar(training.rounds, done=state.step, shown=progress) as advance:
            stopped = _loop(training, state, budget, journal, folder, every, watch, advance)
        if folder is not None:
            save(folder, _checkpoint(training, state, budget))
    finally:
        if journal is not None:
            journal.close()
    return result_of(
        training.account,
        training.delta,
        theta=state.theta,
        rounds=state.step,
        charged=budget.spent,
        most_taken=max(state.taken.values(), default=0) + state.lost,
        protects=isinstance(training.noise, DiscreteNoise) and not training.reproducible,
        stopped=stopped,
    )


def _loop(
    training: Training,
    state: _State,
    budget: DominatingEventFilter,
    journal: Appender | None,
    folder: Path | None,
    every: int,
    watch: Watcher | None,
    advance: Callable[[], None],
) -> str:
    """All rounds that are left; why it stopped early, or ""."""
    while state.step < training.rounds:
        step = state.step + 1
        number = step if training.reproducible else budget.last_round + 1
        if number not in budget.charged_rounds:
            if not budget.affords(training.account.release):
                return f"the budget has no room for round {step}: {state.lost} charged rounds were lost"
            line = budget.charge(round=number, event=training.account.release)
            if journal is not None:
                journal.write(line)
                journal.sync()
        survivors, total = _opened(training, state.theta, step)
        if total is not None:
            state.theta = state.theta - (training.server_lr / training.divisor) * total
            state.releases += 1
            if not bool(torch.isfinite(state.theta).all()):
                raise RunError("the model diverged", f"round {step}", "lower the rates")
        for client in survivors.tolist():
            state.taken[client] = state.taken.get(client, 0) + 1
        state.step = step
        if watch is not None and total is not None:
            watch(step, survivors, state.theta)
        if folder is not None and step % every == 0 and step < training.rounds:
            save(folder, _checkpoint(training, state, budget))
        advance()
    return ""


def _opened(training: Training, theta: Tensor, step: int) -> tuple[Indices, Tensor | None]:
    """Survivors of one round and the sum of their vectors; None where too few are left, which no record decides."""
    secret = _secret(training, step)

    def key(purpose: bytes, client: int = 0) -> bytes:
        return hashlib.sha256(b"sfm-population-key/1" + secret + purpose + client.to_bytes(8, "little")).digest()[:16]

    cohort = training.cohorts.draw(step, Keystream(key(b"cohort")).words)
    survivors = training.dropouts.survivors(step, cohort)
    by_client = training.noise is not None and training.noise.draws == "client"
    if by_client and len(survivors) < training.floor:
        return survivors, None
    updates, source, clip_norm, encoding = training.updates, training.source, training.clip_norm, training.encoding
    generator = torch.Generator().manual_seed(int.from_bytes(key(b"normal")[:7], "little"))
    noise = training.noise
    if encoding is None or clip_norm is None:
        assert not isinstance(noise, DiscreteNoise)  # `Training` saw to it
        total = float_round(updates, theta, source, survivors, clip_norm=clip_norm, noise=noise, generator=generator)
        return survivors, total
    if isinstance(noise, NormalNoise):
        steps = simulated_ring_round(
            updates, theta, source, survivors, clip_norm=clip_norm, encoding=encoding, noise=noise, generator=generator
        )
    else:
        steps = ring_round(
            updates,
            theta,
            source,
            survivors,
            clip_norm=clip_norm,
            encoding=encoding,
            noise=noise,
            keys=lambda client: key(b"noise", client + 1),
        )
    return survivors, torch.from_numpy(encoding.decode(steps)).to(theta.dtype)


def _secret(training: Training, step: int) -> bytes:
    """What all keys of one attempt at a round are made of: fresh, or from the seed."""
    if not training.reproducible:
        return os.urandom(32)
    numbers = b"".join(x.to_bytes(8, "little") for x in (training.seed, step))
    return hashlib.sha256(b"sfm-population-seed/1" + numbers).digest()


def _checkpoint(training: Training, state: _State, budget: DominatingEventFilter) -> Checkpoint:
    members = np.array(sorted(state.taken), np.int64)
    taken = np.array([state.taken[int(client)] for client in members], np.int64)
    theta = state.theta.numpy()
    return Checkpoint(state.step, training.digest, budget.witness, state.lost, state.releases, theta, members, taken)


def _restored(training: Training, start: Tensor, folder: Path, rounds: int) -> tuple[DominatingEventFilter, _State]:
    """Budget and state of a run that was broken off: what was charged since the checkpoint stays charged."""
    lines = (folder / JOURNAL).read_bytes()
    whole = lines[: lines.rfind(b"\n") + 1]
    if len(whole) < len(lines):  # a torn line was never durable, so nothing was released for it
        os.truncate(folder / JOURNAL, len(whole))
    event = training.account.release
    state, witness = _State(start.clone(), 0, 0, 0, {}), None
    if (folder / NAME).exists():
        found = load(folder, settings=training.digest, dimension=len(start), most=training.rounds)
        witness = found.witness
        taken = dict(zip(found.members.tolist(), found.taken.tolist(), strict=True))
        state = _State(torch.from_numpy(found.theta.copy()), found.step, found.lost, found.releases, taken)
    elif whole:
        raise CheckpointDamaged(
            "there are charges and no checkpoint that says of which settings",
            str(folder / NAME),
            "restore it, or start afresh in another folder and keep this journal",
        )
    budget = DominatingEventFilter.replay(event, rounds, whole, witness=witness)
    if not training.reproducible:
        state.lost = max(state.lost, budget.spent - state.step)
    return budget, state
