# SPDX-License-Identifier: Apache-2.0
"""The server as a Flower ServerApp: it finds its sites among the nodes, then plays the run phase by phase."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Message
from flwr.serverapp import Grid, ServerApp

from ..errors import SettingError, SitesMissing
from ..federation.exchange import Answer, Exchange, Post, Refused
from ..federation.past import Ask, SitePast
from . import hello, past
from .letters import MESSAGE_TYPE, answered, packed
from .places import ServerParts, read_server
from .serving import serve

if TYPE_CHECKING:
    from ..pilots.pilot import Pilot

_LOG = logging.getLogger("flwr.secure_fedmeta.server")
DEADLINE, PATIENCE = 120.0, 600.0  # seconds
_PAUSE = 0.5
_POLL, _LONGEST_POLL = 0.02, 0.5  # seconds; Flower's own `send_and_receive` looks every three


def delivered(grid: Grid, messages: Sequence[Message], *, deadline: float) -> dict[int, Message]:
    """Send messages, and wait for their replies until the deadline; those that came, by the message's place.

    A SuperLink that is away for a while, because it is started again, is tried until then: with its database on the
    disk it has the messages still. Whatever the transport raises is therefore no reason to end the run.
    """
    end = time.monotonic() + deadline
    places: dict[str, int] = {}  # by the name of a message that is on its way
    replies: dict[int, Message] = {}
    pause = _POLL
    while len(replies) < len(messages):
        try:
            while len(places) < len(messages):  # one by one: together they may be more than a request may hold
                message = messages[len(places)]
                (name,) = grid.push_messages([message])
                # It has no new name if an attempt that broke off had delivered it.
                places[name or message.metadata.message_id] = len(places)
            open_ones = [name for name, place in places.items() if place not in replies]
            for reply in grid.pull_messages(open_ones):
                place = places.get(reply.metadata.reply_to_message_id)
                if place is not None:
                    replies.setdefault(place, reply)
        except Exception as error:  # noqa: BLE001 - Flower names no errors of its transport
            _LOG.warning("the SuperLink does not answer: %s", type(error).__name__)
        if len(replies) == len(messages) or time.monotonic() > end:
            break
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_POLL)
    return replies


class GridPost:
    """A post over Flower's grid; who has not answered by the deadline is late, and nobody waits for it in this round.

    Args:
        grid: Flower's.
        nodes: node ids by client id.
        deadline: seconds for one exchange.
    """

    def __init__(self, grid: Grid, nodes: Mapping[int, int], *, deadline: float) -> None:
        self._grid, self._nodes, self._deadline = grid, dict(nodes), deadline
        self._exchanges = 0

    def exchange(self, letters: Mapping[int, Sequence[bytes]]) -> dict[int, Answer]:
        """Deliver, and wait."""
        self._exchanges += 1
        sites = sorted(letters)
        group = str(self._exchanges)
        asked = [
            Message(packed(letters[site]), self._nodes[site], MESSAGE_TYPE, ttl=self._deadline, group_id=group)
            for site in sites
        ]
        came = delivered(self._grid, asked, deadline=self._deadline)
        return {sites[place]: answered(reply) for place, reply in came.items()}


def find_sites(
    grid: Grid, parts: ServerParts, *, deadline: float, patience: float, resume: bool = False
) -> dict[int, int]:
    """Node ids by client id, each proved by the site's key, once all sites of the plan are there.

    With `resume`, budgets may be used: by the very run that goes on, which is looked at next.

    Raises:
        SitesMissing: after `patience` seconds some are missing, one is there twice, or a budget was used before.
    """
    start = time.monotonic()
    people = None if parts.credentials is None else parts.credentials.people
    found: dict[int, int] = {}
    said: dict[int, str] = {}
    while len(found) < parts.schedule.clients:
        fresh = [node for node in grid.get_node_ids() if node not in said and node not in found.values()]
        if not fresh:
            if time.monotonic() - start > patience:
                missing = [parts.names[site] for site in sorted(set(parts.names) - set(found))]
                why = "; ".join(sorted(set(said.values()))[:3])
                what = f"{len(missing)} sites did not come: {', '.join(missing[:5])}"
                raise SitesMissing(f"{what} ({why})" if why else what)
            time.sleep(_PAUSE)
            continue
        question = hello.question(os.urandom(hello.NONCE_BYTES))
        letters = [Message(packed([question]), node, MESSAGE_TYPE, ttl=deadline) for node in fresh]
        for place, reply in delivered(grid, letters, deadline=deadline).items():
            node, answer = fresh[place], answered(reply)
            if isinstance(answer, Refused):
                said[node] = answer.text
                continue
            who = hello.read_answer(question, answer[0], parts.schedule, people) if len(answer) == 1 else None
            if who is None:
                said[node] = "a node proved no site of this plan"
                continue
            number, unspent = who
            if number in found:
                raise SitesMissing(f"two nodes are site {parts.names[number]}")
            if not unspent and not resume:
                raise SitesMissing(f"the budget of site {parts.names[number]} was used by an earlier run")
            found[number] = node
    return found


def asking(post: Post, parts: ServerParts) -> Ask:
    """What the sites' own files say, over the post; all of them must answer."""
    people = None if parts.credentials is None else parts.credentials.people

    def ask(shown: bytes | None) -> dict[int, SitePast]:
        asked = {number: past.question(os.urandom(past.NONCE_BYTES), shown) for number in parts.names}
        answers = post.exchange({number: (letter,) for number, letter in asked.items()})
        found = {}
        for number, letter in asked.items():
            told = answers.get(number, Refused("no answer"))
            if isinstance(told, Refused) or len(told) != 1:
                why = told.text if isinstance(told, Refused) else "not one answer"
                raise SitesMissing(f"site {parts.names[number]} does not say what it holds: {why}")
            found[number] = past.read_answer(letter, told[0], number, parts.schedule, people)
        return found

    return ask


def server_app(pilot: Pilot | None = None) -> ServerApp:
    """The app of the server; `pilot` as in `site_app`.

    Run configuration: `federation`, the folder that `secure-fedmeta new --flower` made; `out`, where the run is
    written (relative to it); `deadline` and `patience`, seconds for one exchange and for all sites to come; `resume`,
    to go on with the run in `out`, whose server's process was ended.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        configured = context.run_config
        federation = configured.get("federation")
        if not isinstance(federation, str):
            raise SettingError("no federation folder", "run-config", 'give federation="FOLDER"')
        parts = read_server(Path(federation) / "server", pilot)
        deadline = float(configured.get("deadline", DEADLINE))
        resume = bool(configured.get("resume", False))
        patience = float(configured.get("patience", PATIENCE))
        nodes = find_sites(grid, parts, deadline=deadline, patience=patience, resume=resume)
        _LOG.info("%d sites are there", len(nodes))
        post = GridPost(grid, nodes, deadline=deadline)
        exchange = Exchange(parts.schedule, tuple(sorted(parts.names)), post, credentials=parts.credentials)
        out = Path(federation) / str(configured.get("out", "runs/1"))
        run = serve(parts, exchange, out, on_round=tell, goes_on=asking(post, parts) if resume else None)
        _LOG.info("%s", run.guarantee)

    return app


def tell(exchange: Exchange, seconds: float) -> None:
    """One line of JSON for each exchange of the newest round, and one for the round."""
    for phase in exchange.phases:
        _LOG.info("%s", json.dumps({"exchange": phase.as_json()}, sort_keys=True))
    closed = exchange.server.closed
    if closed is not None:
        line = {
            "round": closed.round,
            "survivors": len(closed.survivors),
            "aborted": closed.aborted,
            "epsilon": closed.spent.server if math.isfinite(closed.spent.server) else "none",
            "seconds": round(seconds, 3),
        }
        _LOG.info("%s", json.dumps(line, sort_keys=True))
