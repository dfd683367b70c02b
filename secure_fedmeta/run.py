# SPDX-License-Identifier: Apache-2.0
"""A run from a user's own arrays: the API behind the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedmeta_crypto import SERVER
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy import accountant
from fedmeta_privacy.ledger import Json, Line, decimal
from fedmeta_privacy.statements import Statements

from ._version import __version__
from .algorithms.glm.logistic import sigmoid
from .algorithms.glm.softmax import softmax
from .datasets.codebook import Codebook
from .datasets.records import SiteRecords
from .documents import write_documents
from .errors import ModelRefused, ResumeRefused, SettingError
from .federation.accounts import Spent
from .federation.exchange import Exchange
from .federation.identities import Credentials
from .federation.model import model_digest
from .federation.past import Ask
from .federation.simulation import RoundReport, Simulation
from .federation.statements import accountant_terms
from .federation.storage import claim_folder, is_full, refuse_taken, told_when_full
from .files import RunFolder, decryptor_beside, server_beside, sites_beside, write_config, write_model
from .guarantee import guarantee_sentence, protocol_line, worst_case_lines
from .interrupts import held_interrupts
from .parties import credentials_of, decryptor_of, local_sites, pasts_of
from .performance import Performance
from .plan import Plan
from .registration import check_names, check_one_site_each, prepare_tasks
from .resuming import Keeper, go_on, read_past, reopened, replaying
from .schedule import Schedule, make_schedule

if TYPE_CHECKING:
    from torch.nn import Module

# Called after every round with the round's report and the model so far; returns numbers for metrics.jsonl.
# What it computes is the simulator's privilege and not covered by epsilon.
Watcher = Callable[[RoundReport, NDArray[np.float64]], Mapping[str, float]]

ABORTED_IN_A_ROW = 5


@dataclass(slots=True)
class Run:
    """A finished (or interrupted) run.

    Attributes:
        theta: what was learned, (d,); of a closed form the last entry belongs to the constant feature, of a network
            the first P are its parameters.
        rounds: what was executed.
        metrics: what the watcher returned, per round.
        spent: epsilon per view.
        guarantee: the exact sentence.
        beside: lines that stand beside it (more colluders, fewer survivors).
        second_opinion: another accountant's epsilon for the same events; None without a guarantee.
        excluded: sites that were convicted and asked no more, by name, and why.
        stopped: why the run ended before its planned rounds; empty if it did not.
        label: the guarantee in plain words; empty without a folder.
    """

    plan: Plan
    schedule: Schedule
    codebook: Codebook
    theta: NDArray[np.float64]
    rounds: list[RoundReport] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    spent: Spent = field(default_factory=lambda: Spent(0.0, 0.0, 0.0, 1.0))
    guarantee: str = ""
    beside: list[str] = field(default_factory=list)
    second_opinion: float | None = None
    excluded: dict[str, str] = field(default_factory=dict)
    stopped: str = ""
    label: str = ""
    out: Path | None = None

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities for raw features (n, p), by the released model before any adaptation.

        Of label 1, shape (n,); with loss cross-entropy of every class, (n, C); with squared the outputs as they are.
        """
        rows = self.codebook.encode(features)
        architecture = self.schedule.architecture
        if architecture is None:
            logits = rows @ self.theta.reshape(self.plan.outputs, -1).T
        else:
            import torch

            with torch.no_grad():
                flat = torch.from_numpy(self.theta[: architecture.dimension].copy())
                given = torch.from_numpy(rows[:, :-1].copy())
                logits = architecture.outputs(flat, given).numpy().reshape(len(rows), -1)
        if self.plan.loss == "squared":
            return logits[:, 0]
        return sigmoid(logits[:, 0]) if self.plan.loss == "logistic" else softmax(logits)

    def module(self) -> Module:
        """The released network, with its parameters, as a module of its own.

        Raises:
            ModelRefused: the run learned a closed-form model.
        """
        if self.schedule.architecture is None:
            raise ModelRefused("this run learned no network", "run", "read `theta`")
        return self.schedule.architecture.module_at(self.theta[: self.schedule.architecture.dimension])


def federate(
    plan: Plan,
    sites: Sequence[SiteRecords],
    codebook: Codebook,
    *,
    model: Module | Callable[[], Module] | None = None,
    out: str | Path | None = None,
    watch: Watcher | None = None,
    pilot: str = "arrays",
    derived: Collection[str] = (),
    appendix: Sequence[str] = (),
    statements: Statements | None = None,
    performance: Performance | None = None,
    resume: bool = False,
) -> Run:
    """Run the plan over the sites, each one holding its own records.

    Guarantee: the returned `guarantee`, no more and no less.
    Args:
        plan: settings; `plan.clients` is replaced by the number of sites.
        sites: one per client; rows are checked against the public ranges and refused outside them.
        codebook: public ranges and scaling.
        model: a `torch.nn.Module`, or a function that makes one, for the modes that take any network; its inputs are
            the encoded features, its outputs one for loss logistic or squared, one a class for cross-entropy.
        out: folder for the run's files; must be new or empty. None writes nothing.
        watch: sees every round; simulation only.
        pilot: name written into config.toml.
        derived: settings that the pilot works out anew, left out of config.toml.
        appendix: lines of tables that the pilot reads, for config.toml.
        statements: what the operator says for the disclosure documents; what is missing there is a named gap.
        performance: how the sites compute their gradients; changes neither the plan nor any guarantee.
        resume: go on with the run that `out` holds, which was killed; `plan`, `sites`, `codebook` and `model` must be
            its own. `rounds` and `metrics` of the result are then those from here on. See docs/resuming.md.
    Raises:
        UserError, PrivacyError, ProtocolError: numbered, before anything is written if the plan or data are unsound.
    """
    if resume and out is None:
        raise ResumeRefused("there is no folder to go on with", "federate", "pass out")
    if resume and out is not None and plan.insecure_reproducible:
        with replaying(Path(out)):
            return federate(
                plan, sites, codebook, model=model, out=out, watch=watch, pilot=pilot, derived=derived,
                appendix=appendix, statements=statements, performance=performance,
            )  # fmt: skip
    if not isinstance(performance, Performance | None):
        raise SettingError(
            f"performance is a {type(performance).__name__}", "federate", 'pass Performance(engine="stacked")'
        )
    sites = list(sites)
    check_names(sites)
    plan = plan.changed(clients=len(sites))
    check_one_site_each(sites)
    architecture = None
    dimension = (len(codebook.features) + 1) * plan.outputs
    if model is not None:
        from .algorithms.planned import theta_lengths
        from .parameters import bind

        architecture = bind(model)
        architecture.check_fits(len(codebook.features), plan.outputs)
        dimension = sum(theta_lengths(plan, architecture))
    schedule = make_schedule(
        plan,
        clients=len(sites),
        dimension=dimension,
        codebook_hash=codebook.digest(),
        architecture=architecture,
    )
    registered = prepare_tasks(plan, sites, codebook)
    with told_when_full(None if out is None else Path(out)), ExitStack() as closing:
        release = closing.enter_context(held_interrupts())
        folder, past = None, None
        if out is not None:
            opened = reopened(Path(out)) if resume else _open_folder(Path(out), pilot, plan, derived, appendix, sites)
            folder = closing.enter_context(opened)
            past = read_past(folder.out, schedule) if resume else None
        keys = credentials_of(schedule, registered, folder, made=resume)
        parties = local_sites(schedule, registered, folder, keys, performance, closing)
        decryptor = decryptor_of(schedule, keys, folder)
        if decryptor is not None:
            closing.callback(decryptor.close)
        simulation = Simulation(schedule, parties, credentials=keys.get(SERVER), decryptor=decryptor, resumed=resume)
        begin(simulation, pasts_of(parties, keys), folder, keys.get(SERVER), past)
        run = Run(plan, schedule, codebook, simulation.server.outer.released, out=folder.out if folder else None)

        def document() -> None:
            if folder is not None:
                scores = run.metrics[-1] if run.metrics else {}
                run.label = write_documents(folder.out, statements or Statements(), utility=scores)["label"]["plain"]

        try:
            play(run, simulation, folder, watch, release, {number: site.name for number, site in registered.items()})
        except BaseException as error:
            if not is_full(error):  # the books are closed
                document()
            raise
        document()
    release()
    return run


def begin(
    simulation: Simulation | Exchange,
    ask: Ask,
    folder: RunFolder | None,
    credentials: Credentials | None,
    past: list[Line] | None,
) -> None:
    """The first line of a run, or of what follows its `past`: then the sites are asked what their files say of it."""
    server, schedule = simulation.server, simulation.schedule
    keeper = None if folder is None else Keeper(server, folder.server, credentials)
    server.on_stated = keeper
    if past is not None and folder is not None and keeper is not None:
        go_on(server, ask, past, folder, keeper=keeper, at=_now(schedule.plan))
        return
    people = None if credentials is None else credentials.people
    server.record("run", _opening(schedule, people, simulation.cohort, server.nonce()))
    if keeper is not None:
        keeper.run = server.ledger_head


def _open_folder(
    out: Path,
    pilot: str,
    plan: Plan,
    derived: Collection[str],
    appendix: Sequence[str],
    sites: Sequence[SiteRecords],
) -> RunFolder:
    """Make the run's folder, the one of its sites and the server's own, all or none."""
    refuse_taken(sites_beside(out))
    refuse_taken(server_beside(out))
    refuse_taken(decryptor_beside(out))
    claim_folder(out)
    claim_folder(sites_beside(out))
    write_config(out / "config.toml", pilot, plan, derived=derived, appendix=appendix)
    roster = [{"id": number, "name": site.name} for number, site in enumerate(sites, start=1)]
    (out / "roster.json").write_text(json.dumps(roster, indent=1) + "\n", encoding="utf-8")
    return RunFolder(out)


def play(
    run: Run,
    simulation: Simulation | Exchange,
    folder: RunFolder | None,
    watch: Watcher | None,
    release: Callable[[], None],
    names: Mapping[int, str],
) -> None:
    """All rounds, then the closing line; an interrupt closes the books first; a full disk takes none."""
    server = simulation.server

    def keep() -> None:
        lines = server.ledger_lines()
        if folder is not None:
            folder.ledger(lines)

    def close() -> None:
        run.excluded = {names[site]: why for site, why in server.excluded.items()}
        if folder is not None:  # before the last line: once that is there, the run has ended and nothing is missing
            write_model(folder.out / "model.safetensors", run.theta, tuple(f.name for f in run.codebook.features))
        _finish(run, simulation)
        keep()

    keep()
    aborted = 0
    try:
        for report in simulation.rounds():
            keep()
            run.rounds.append(report)
            run.spent, run.theta = report.closed.spent, server.outer.released
            row: dict[str, float] = {"round": report.closed.round}
            if watch is not None:
                row |= {name: float(value) for name, value in watch(report, run.theta).items()}
            run.metrics.append(row)
            if folder is not None:
                folder.metrics(row | {"bytes": report.bytes_sent, "seconds": round(report.seconds, 6)})
            release()
            aborted = aborted + 1 if report.closed.aborted else 0
            if aborted == ABORTED_IN_A_ROW:
                first = f" (a site said: {report.rejected[0]})" if report.rejected else ""
                run.stopped = f"{aborted} rounds in a row ended without a sum: {report.closed.aborted}{first}"
                break
        if not run.stopped and server.round < run.plan.rounds:
            run.stopped = f"the budget has no room for round {server.round + 1}"
    except BaseException as error:
        if is_full(error):
            raise
        # Whatever happened: a round that was open has cost something, and the books must say so.
        run.stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else f"broken off: {type(error).__name__}"
        server.abort(run.stopped)
        close()
        raise
    close()


def _finish(run: Run, simulation: Simulation | Exchange) -> None:
    accounts = simulation.server.accounts
    run.spent = accounts.spent()
    run.guarantee = guarantee_sentence(run.schedule, run.spent)
    run.beside = worst_case_lines(run.schedule, accounts)
    if run.schedule.private and not run.stopped.startswith(("interrupted", "broken off")):
        run.second_opinion = accountant.loss_distribution_epsilon(accounts.events(), run.plan.delta)
    views = run.spent.as_views()
    simulation.server.record(
        "end",
        {
            "stopped": run.stopped,
            "model": model_digest(run.theta),
            "excluded": dict(run.excluded),
            "guarantee": run.guarantee,
            "delta": decimal(run.plan.delta),
            "epsilon": {view: decimal(value) if run.schedule.private else "none" for view, value in views.items()},
            "accountant": accountant_terms(),
            "second_accountant": {
                "name": f"dp-accounting {version('dp-accounting')} PLD",
                "server": "none" if run.second_opinion is None else decimal(run.second_opinion),
            },
            "at": _now(run.plan),
        },
    )


def _opening(schedule: Schedule, people: AllowList | None, cohort: tuple[int, ...], nonce: bytes) -> dict[str, Json]:
    """`nonce` makes the first line, and so every head of the chain, this run's alone."""
    trust = schedule.hiding.trust
    encrypted: dict[str, Json] = {} if trust is None else {"trust": f"{trust.value}: {trust.who_could_read}"}
    second = people.public(DECRYPTOR) if schedule.split and people is not None else None
    if second is not None:
        encrypted["decryptor"] = second.hex()
    return encrypted | {
        "run": nonce.hex(),
        "software": f"secure-fedmeta {__version__}",
        "behaviour": schedule.behaviour(),
        "seed": schedule.plan.seed,
        "unit": schedule.plan.unit,
        "adjacency": schedule.plan.adjacency,
        "mode": schedule.plan.mode,
        "protocol": protocol_line(schedule),
        "allow_list": None if people is None else people.digest(cohort).hex(),
        "sensitivity": {
            "support": decimal(schedule.sensitivity.support),
            "query": decimal(schedule.sensitivity.query),
            "steps": decimal(schedule.release.l2_sensitivity),
        },
        "budget_shift": decimal(schedule.limit),
        "at": _now(schedule.plan),
    }


def _now(plan: Plan) -> str | None:
    """Wall time for the reader of the ledger; left out where two runs must be identical."""
    return None if plan.insecure_reproducible else datetime.now(UTC).isoformat(timespec="seconds")
