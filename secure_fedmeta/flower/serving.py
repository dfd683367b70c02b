# SPDX-License-Identifier: Apache-2.0
"""A run whose sites are elsewhere, with the same folder, ledger and documents as one in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING

from fedmeta_crypto import SERVER
from fedmeta_privacy.statements import Statements

from ..documents import write_documents
from ..federation.exchange import Exchange
from ..federation.simulation import RoundReport
from ..federation.storage import claim_folder, is_full, refuse_taken, told_when_full
from ..files import RunFolder, server_beside, write_config
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
) -> Run:
    """Play all rounds and write the run's folder.

    Args:
        parts: the server's.
        exchange: its sites, found.
        out: a new folder.
        on_round: told of each round, for an operator's log.
    Raises:
        FileError: `out` is taken, or a disk takes no more.  RunError: the model diverged.
    """
    refuse_taken(server_beside(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    claim_folder(out)
    pilot, plan = parts.pilot, parts.plan
    write_config(out / "config.toml", pilot.name, plan, derived=pilot.derived(plan), appendix=pilot.appendix(out))
    roster = [{"id": number, "name": name} for number, name in sorted(parts.names.items())]
    (out / "roster.json").write_text(json.dumps(roster, indent=1) + "\n", encoding="utf-8")
    copyfile(parts.allow_list, out / "allow-list.toml")
    run = Run(plan, parts.schedule, pilot.codebook(), exchange.server.outer.released, out=out)
    statements = Statements.from_table(pilot.statements)

    def watch(report: RoundReport, _: NDArray[np.float64]) -> dict[str, float]:
        if on_round is not None:
            on_round(exchange, report.seconds)
        return {}

    def document() -> None:
        run.label = write_documents(out, statements)["label"]["plain"]

    with told_when_full(out), RunFolder(out) as folder:
        keys = {} if parts.credentials is None else {SERVER: parts.credentials}
        begin(exchange, {}, folder, keys, None)
        try:
            play(run, exchange, folder, watch, lambda: None, parts.names)
        except BaseException as error:
            if not is_full(error):
                document()
            raise
        document()
    return run
