# SPDX-License-Identifier: Apache-2.0
"""The parties of a run in one process, each with the key of its own folder: made for a new run, found again later."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from fedmeta_crypto import SERVER
from fedmeta_crypto.wire import DECRYPTOR

from .errors import IdentityRefused
from .federation.approximate import CkksDecryptor
from .federation.decryptor import LocalDecryptor
from .federation.identities import (
    KEY_FILE,
    Credentials,
    credentials_in_memory,
    entropy_of,
    own_identity,
    read_allow_list,
    write_allow_list,
)
from .federation.past import Ask, SitePast
from .federation.simulation import LocalSite
from .federation.storage import GroupCommit
from .files import RunFolder
from .performance import Performance
from .registration import Registered
from .resuming import check_keys
from .schedule import Schedule


def local_sites(
    schedule: Schedule,
    registered: Mapping[int, Registered],
    folder: RunFolder | None,
    keys: Mapping[int, Credentials],
    performance: Performance | None,
    closing: ExitStack,
) -> dict[int, LocalSite]:
    """The sites, each with its own folder if the run has one; `closing` closes them."""
    disks = closing.enter_context(GroupCommit())
    parties = {}
    for number, site in registered.items():
        own = folder.sites / site.name if folder else None
        parties[number] = LocalSite(
            number, site.data, schedule, own, disks, credentials=keys.get(number), performance=performance
        )
        closing.callback(parties[number].close)
        if own is not None:
            site.note(own)
    return parties


def credentials_of(
    schedule: Schedule, registered: Mapping[int, Registered], folder: RunFolder | None, *, made: bool = False
) -> dict[int, Credentials]:
    """Each party's key from its own folder and the list from the run's; keys in memory without one, none unsigned."""
    if not schedule.hiding.signed:
        return {}
    if folder is None:
        return credentials_in_memory(schedule, registered)
    homes = {number: folder.sites / site.name for number, site in registered.items()} | {SERVER: folder.server}
    if schedule.split:
        homes[DECRYPTOR] = folder.decryptor
    if made:
        check_keys(homes, KEY_FILE)
    keys = {party: own_identity(home, entropy_of(schedule, party)) for party, home in homes.items()}
    sites = {number: (site.name, keys[number].public) for number, site in registered.items()}
    second = keys[DECRYPTOR].public if schedule.split else None
    if not made:
        write_allow_list(folder.allow_list, keys[SERVER].public, sites, decryptor=second)
    people = read_allow_list(folder.allow_list, registered)
    if any(people.public(party) != key.public for party, key in keys.items()):
        raise IdentityRefused("a party's key is not the one that is listed", str(folder.allow_list), "restore the keys")
    return {party: Credentials(key, people) for party, key in keys.items()}


def pasts_of(parties: Mapping[int, LocalSite], keys: Mapping[int, Credentials]) -> Ask:
    """What the files of sites in this process say, to a server that goes on."""

    def ask(shown: bytes | None) -> dict[int, SitePast]:
        return {
            number: SitePast.of(site.kept, number, shown, keys[number].identity if keys else None)
            for number, site in parties.items()
            if site.kept is not None
        }

    return ask


def decryptor_of(
    schedule: Schedule, keys: Mapping[int, Credentials], folder: RunFolder | None
) -> LocalDecryptor | CkksDecryptor | None:
    """The second server, in a plan that has one."""
    if schedule.split:
        return LocalDecryptor(schedule, keys[DECRYPTOR], None if folder is None else folder.decryptor)
    return CkksDecryptor(schedule) if schedule.decrypted else None
