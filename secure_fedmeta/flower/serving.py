# SPDX-License-Identifier: Apache-2.0
"""A run whose sites are elsewhere, with the same folder, ledger and documents as one in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

from fedmeta_privacy.statements import Statements

from ..documents import write_documents
from ..errors import ResumeRefused
from ..federation.exchange import Exchange
from ..federation.past import Ask
from ..federation.simulation import RoundReport
from ..federation.storage import claim_folder, is_full, refuse_taken, told_when_full
from ..files import RunFolder, server_beside, write_config
from ..resuming import read_past, reopened
from ..run import Run, begin, play
from .places import ServerParts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def serve(
    parts: ServerParts,
    exchange: Exchange,
    out: Path,
    *,
    on_round: Callable[[Exchange, float], None] | None = None,
    goes_on: Ask | None = None,
) -> Run:
    """Play all rounds and write the run's folder.

    Args:
        parts: the server's.
        exchange: its sites, found.
        out: a new folder; or that of the run to go on with.
        on_round: told of each round, for an operator's log.
        goes_on: asks the sites what they hold of the run in `out`; None for a new run.
    Raises:
        FileError: `out` is taken, or a disk takes no more.  RunError: the model diverged.
        ResumeRefused, LedgerBehind, StateDamaged, SitesMissing: the run in `out` cannot go on.
    """
    pilot, plan = parts.pilot, parts.plan
    if goes_on is None:
        _new(parts, out)
    elif plan.insecure_reproducible:
        what = "sites of other machines cannot play a reproducible run again"
        raise ResumeRefused(what, str(out), "start afresh, with fresh folders at every site")
    run = Run(plan, parts.schedule, pilot.codebook(), exchange.server.outer.released, out=out)
    statements = Statements.from_table(pilot.statements)

    def watch(report: RoundReport, _: NDArray[np.float64]) -> dict[str, float]:
        if on_round is not None:
            on_round(exchange, report.seconds)
        return {}

    def document() -> None:
        run.label = write_documents(out, statements)["label"]["plain"]

    with told_when_full(out), RunFolder(out) if goes_on is None else reopened(out) as folder:
        past = None if goes_on is None else read_past(out, parts.schedule)
        begin(exchange, goes_on or (lambda _: {}), folder, parts.credentials, past)
        try:
            play(run, exchange, folder, watch, lambda: None, parts.names)
        except BaseException as error:
            if not is_full(error):
                document()
            raise
        document()
    return run


def _new(parts: ServerParts, out: Path) -> None:
    refuse_taken(server_beside(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    claim_folder(out)
    pilot, plan = parts.pilot, parts.plan
    write_config(out / "config.toml", pilot.name, plan, derived=pilot.derived(plan), appendix=pilot.appendix(out))
    roster = [{"id": number, "name": name} for number, name in sorted(parts.names.items())]
    (out / "roster.json").write_text(json.dumps(roster, indent=1) + "\n", encoding="utf-8")
    copyfile(parts.allow_list, out / "allow-list.toml")
