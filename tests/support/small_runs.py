# SPDX-License-Identifier: Apache-2.0
"""Small federations that a test can stop, bend and look into."""

import hashlib
from collections import deque

import numpy as np

from fedmeta_crypto import SERVER, ProtocolError, RoundParameters
from fedmeta_crypto.identities import AllowList, Identity
from fedmeta_crypto.wire import DECRYPTOR, MessageType, claimed_type
from secure_fedmeta.datasets.codebook import Codebook
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.federation.approximate import CkksDecryptor
from secure_fedmeta.federation.decryptor import LocalDecryptor
from secure_fedmeta.federation.identities import Credentials
from secure_fedmeta.federation.model import model_to_bytes
from secure_fedmeta.federation.server import Server
from secure_fedmeta.federation.simulation import LocalSite, Simulation
from secure_fedmeta.plan import Plan
from secure_fedmeta.schedule import make_schedule
from secure_fedmeta.tasks import Task

DIMENSION = 5


def small_plan(**changes):
    settings = {
        "rounds": 4,
        "epsilon": 3.0,
        "delta": 1e-3,
        "support_slots": 8,
        "query_slots": 8,
        "outer_lr": 1.0,
        "dropout_fraction": 0.3,  # as many dropouts as the complete graph of a few sites withstands
    }
    return Plan.make(settings | changes)


def random_task(rng, dimension=DIMENSION, support=6, query=7):
    rows = rng.normal(size=(support + query, dimension))
    rows /= np.maximum(1.0, np.linalg.norm(rows, axis=1, keepdims=True)) * (1 + 1e-12)
    labels = rng.integers(0, 2, support + query).astype(float)
    return Task(rows[:support], labels[:support], rows[support:], labels[support:])


def tasks_for(ids, dimension=DIMENSION, seed=0):
    rng = np.random.default_rng(seed)
    return {site: random_task(rng, dimension) for site in ids}


def key_of(party):
    """A fixed signing key for each party, only for tests."""
    return Identity(hashlib.sha256(f"key of {party}".encode()).digest())


def credentials_of(party, cohort):
    people = AllowList(key_of(SERVER).public, {site: key_of(site).public for site in (*cohort, DECRYPTOR)})
    return Credentials(key_of(party), people)


def simulation_of(schedule, sites, folder=None):
    second = None
    if schedule.split:
        second = LocalDecryptor(schedule, credentials_of(DECRYPTOR, sites), folder / "decryptor" if folder else None)
    elif schedule.decrypted:
        second = CkksDecryptor(schedule)
    return Simulation(schedule, sites, credentials=credentials_of(SERVER, sites), decryptor=second)


def local_site(site, task, schedule, cohort, folder=None):
    return LocalSite(site, task, schedule, folder, credentials=credentials_of(site, cohort))


def small_run(n=5, *, dimension=DIMENSION, ids=None, folder=None, seed=0, **changes):
    """A simulation whose parties are `LocalSite`s, with files if a folder is given."""
    ids = tuple(ids) if ids is not None else tuple(range(1, n + 1))
    schedule = make_schedule(small_plan(**changes), clients=len(ids), dimension=dimension)
    sites = {
        site: local_site(site, task, schedule, ids, folder / f"site-{site}" if folder else None)
        for site, task in tasks_for(ids, dimension, seed).items()
    }
    return simulation_of(schedule, sites, folder), sites


def tap(sites):
    """Record the integer vector that each site releases: {site: [vector, ...]}."""
    seen = {site: [] for site in sites}

    def wrap(site, release):
        def recorded(contributions, words):
            steps = release(contributions, words)
            seen[site].append(steps.copy())
            return steps

        return recorded

    for site, party in sites.items():
        party.client._release = wrap(site, party.client._release)
    return seen


def announcement(schedule, cohort, *, number=1, theta=None, body=None, **changes):
    """M0 as an honest server would make it, with some fields bent."""
    theta = np.zeros(schedule.dimension) if theta is None else theta
    body = model_to_bytes(theta) if body is None else body
    hiding = schedule.hiding
    fields = {
        "round": number,
        "cohort": cohort,
        "threshold": schedule.threshold,
        "min_survivors": hiding.min_survivors,
        "modulus_bits": schedule.encoding.modulus_bits,
        "length": schedule.dimension,
        "behaviour_hash": schedule.behaviour_hash(body),
        "server_nonce": bytes(32),
        "body": body,
        "strength": hiding.strength,
        "corrupt": hiding.graph.corrupt,
    } | changes
    signed = fields["strength"].signed
    if signed:
        fields.setdefault("identities", credentials_of(SERVER, fields["cohort"]).people.digest(fields["cohort"]))
    return RoundParameters(**fields).to_message(key_of(SERVER).sign if signed else None)


def announced(run):
    """M0 of the open round, as the server sent it."""
    parameters = run.server._parameters
    return parameters.to_message(key_of(SERVER).sign if parameters.strength.signed else None)


def kind_of(message):
    return MessageType(claimed_type(message))


class Courier:
    """Carries messages one by one; `before` sees each one ahead of its delivery and may return False to drop it."""

    def __init__(self, server: Server, sites, before=None, *, tolerant=False):
        self.tolerant = tolerant  # sites that refuse a message fall silent instead of stopping the test
        self.server, self.sites = server, sites
        self.before = before or (lambda sender, receiver, message: True)
        self.queue = deque()
        self.delivered = []

    def announce(self):
        self._post(SERVER, self.server.announce())
        return self

    def run(self, until=None):
        """Deliver until the round is closed, or until `until(sender, receiver, message)` holds for the next one."""
        while self.server.closed is None:
            if not self.queue:
                self._post(SERVER, self.server.deadline())
                continue
            sender, receiver, message = self.queue[0]
            if until is not None and until(sender, receiver, message):
                return self
            self.queue.popleft()
            if not self.before(sender, receiver, message):
                continue
            self.delivered.append((sender, receiver, message))
            if receiver == SERVER:
                self.sites[sender].settle()
                step = self.server.receive(message, sender=sender)
            else:
                try:
                    step = self.sites[receiver].receive(message)
                except ProtocolError:
                    if not self.tolerant:
                        raise
                    continue
            self._post(receiver, step)
        return self

    def _post(self, sender, step):
        self.queue.extend((sender, out.to, out.message) for out in step.send)


def small_book(features=3):
    return Codebook.from_ranges([(0.0, 10.0)] * features)


def small_records(n=4, *, patients=12, features=3, seed=0):
    rng = np.random.default_rng(seed)
    return [
        SiteRecords(
            f"clinic-{site}",
            rng.uniform(0, 10, (patients, features)),
            rng.integers(0, 2, patients).astype(float),
            tuple(f"person-{site}-{i}" for i in range(patients)),
        )
        for site in range(1, n + 1)
    ]


def arrays_plan(**changes):
    """A plan whose slots have room for `small_records`."""
    return small_plan(**({"support_slots": 12, "query_slots": 12, "rounds": 2} | changes))
