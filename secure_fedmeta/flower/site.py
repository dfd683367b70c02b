# SPDX-License-Identifier: Apache-2.0
"""A site as a Flower ClientApp: each message is a visit to the site's own folder."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedmeta_crypto import ProtocolError
from fedmeta_privacy.errors import PrivacyError

from ..errors import UserError, VisitRefused
from ..federation.contribution import check_data
from ..federation.visits import Visit
from . import hello, past
from .letters import ACTION, keep_note, note_of, packed, refusal, unpacked
from .places import SITE, read_place

if TYPE_CHECKING:
    from ..pilots.pilot import Pilot

_LOG = logging.getLogger("flwr.secure_fedmeta.site")


def site_app(pilot: Pilot | None = None) -> ClientApp:
    """The app of every site; `pilot` is the app's own, for data or a network that this package does not know.

    Its folder is the `site` of the node's own configuration: the machine's administrator names it when the SuperNode is
    started, and the server cannot change it. In a simulation, where nodes have numbers only, it is the one of that
    number in the run's `federation` folder.

    Guarantee: what the site's own files and policy do not allow does not happen, whatever is sent; errors that leave
    the site hold numbers, names of settings and files, never records or keys.
    """
    app = ClientApp()

    @app.query(ACTION)
    def visited(message: Message, context: Context) -> Message:
        start = time.perf_counter()
        try:
            content, said = _answer(message, context, pilot), "answered"
        except (ProtocolError, PrivacyError, UserError) as error:
            content, said = refusal(str(error)), str(error)
        except Exception as error:  # noqa: BLE001 - what a network or a disk raises may quote records: its kind is told
            said = f"the site failed: {type(error).__name__}"
            content = refusal(said)
        _LOG.info("%s seconds=%.3f", said, time.perf_counter() - start)
        return Message(content, reply_to=message)

    return app


def _answer(message: Message, context: Context, pilot: Pilot | None) -> RecordDict:
    folder = folder_of(context)
    letters = unpacked(message)
    parts = read_place(folder, pilot)
    with Visit(folder, parts.number, parts.records, parts.schedule, parts.credentials) as visit:
        if len(letters) == 1 and hello.is_question(letters[0]):
            limit = parts.schedule.limit if parts.schedule.scale is not None else 0.0
            check_data(parts.schedule, parts.records(), site=str(parts.number))  # before the run, and not in it
            unspent = limit == 0.0 or visit.affords(limit * (1 - 2.0**-40))
            identity = None if parts.credentials is None else parts.credentials.identity
            return packed([hello.answer(letters[0], parts.number, parts.schedule, unspent=unspent, identity=identity)])
        if len(letters) == 1 and past.is_question(letters[0]):
            identity = None if parts.credentials is None else parts.credentials.identity
            return packed([past.answer(letters[0], parts.number, folder, identity)])
        answers, note = visit.receive(letters, note_of(context))
        keep_note(context, note)
        return packed(answers)


def folder_of(context: Context) -> Path:
    """The site's folder.

    Raises:
        VisitRefused: neither the node nor, in a simulation, the run says where it is.
    """
    own = context.node_config.get("site")
    if isinstance(own, str):
        return Path(own)
    number, federation = context.node_config.get("partition-id"), context.run_config.get("federation")
    if isinstance(number, int) and isinstance(federation, str):
        homes = sorted(path.parent for path in (Path(federation) / "sites").glob(f"*/{SITE}"))
        if 0 <= number < len(homes):
            return homes[number]
    remedy = "start the SuperNode with --node-config 'site=\"FOLDER\"'"
    raise VisitRefused("this node has no site", "node-config", remedy)
