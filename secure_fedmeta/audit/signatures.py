# SPDX-License-Identifier: Apache-2.0
"""Who signed: the server every line, and at least t sites each round whose sum was opened."""

from __future__ import annotations

from collections.abc import Mapping

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import BadArgument
from fedmeta_crypto.identities import AllowList
from fedmeta_crypto.records import verify_countersignature
from fedmeta_crypto.wire import DECRYPTOR
from fedmeta_privacy.ledger import Json, Line

from ..schedule import Schedule
from .verdict import Findings, Verdict

_CHECK = "signatures"


def check_signatures(
    lines: list[Line], people: AllowList | None, schedule: Schedule, cohort: tuple[int, ...], found: Findings
) -> None:
    """Verify every signature that is there, and name those that are missing."""
    if not schedule.hiding.signed:
        what = f"strength {schedule.hiding.name}: nobody signs, so that nothing ties the lines to those who ran them"
        found.add(Verdict.INCOMPLETE, _CHECK, 0, what)
        return
    if people is None:
        found.add(Verdict.INCOMPLETE, _CHECK, 0, "there are no public keys to verify by")
        return
    stated = body_of(lines[0]).get("allow_list")
    if stated != people.digest(cohort).hex():
        found.add(Verdict.TAMPERED, _CHECK, 1, "the run was opened under another allow-list than the roster's")
    second = people.public(DECRYPTOR) if schedule.split else None
    if body_of(lines[0]).get("decryptor") != (None if second is None else second.hex()):
        found.add(Verdict.TAMPERED, _CHECK, 1, "the run was opened with another decryptor than the roster's")
    fewest = schedule.clients
    for line in lines:
        sigs = dict(line.sigs)
        by_server = sigs.pop("server", None)
        if by_server is None:
            found.add(Verdict.TAMPERED, _CHECK, line.number, "the server did not sign it")
        elif not people.verify(SERVER, line.statement.signed_bytes, bytes.fromhex(by_server)):
            found.add(Verdict.TAMPERED, _CHECK, line.number, "the server's signature does not verify")
        valid = _countersigned(line, {int(who): text for who, text in sigs.items()}, people, found)
        body = body_of(line)
        # Aborted or not: an opened sum without witnesses is the server's bare word for who was in it.
        if line.entry["type"] == "round" and (body.get("aborted") is None or body.get("survivors") != []):
            fewest = min(fewest, valid)
            if valid < schedule.threshold:
                what = f"{valid} sites countersigned it, {schedule.threshold} are needed"
                found.add(Verdict.INCOMPLETE, _CHECK, line.number, what)
    found.looked(_CHECK, f"the server's on {len(lines)} lines, {fewest} of {schedule.clients} sites' at least per sum")


def _countersigned(line: Line, sigs: Mapping[int, str], people: AllowList, found: Findings) -> int:
    """How many countersignatures verify; each one that does not is a finding."""
    body, valid = body_of(line), 0
    survivors = body.get("survivors")
    alive = {site for site in survivors if type(site) is int} if isinstance(survivors, list) else set()
    for site, text in sigs.items():
        try:
            good = site in alive and verify_countersignature(
                bytes.fromhex(text),
                allow_list=people,
                id_=site,
                session=bytes.fromhex(str(body.get("session"))),
                round_=int(str(line.entry["round"])),
                survivors=bytes.fromhex(str(body.get("agreed"))),
                record=line.statement.content,
            )
        except (BadArgument, ValueError):
            good = False
        if good:
            valid += 1
        else:
            found.add(Verdict.TAMPERED, _CHECK, line.number, f"the countersignature of site {site} does not verify")
    return valid


def body_of(line: Line) -> Mapping[str, Json]:
    """The body of a line; `read` has seen to it that it is an object."""
    body = line.entry["body"]
    assert isinstance(body, Mapping)
    return body
