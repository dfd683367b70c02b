# SPDX-License-Identifier: Apache-2.0
"""Sites in folders of their own, visited message by message by a new object each time, as by a new process."""

from fedmeta_crypto import SERVER, ProtocolError
from fedmeta_privacy.errors import PrivacyError
from secure_fedmeta.errors import UserError
from secure_fedmeta.federation.exchange import Exchange, Refused
from secure_fedmeta.federation.identities import (
    Credentials,
    entropy_of,
    own_identity,
    read_allow_list,
    write_allow_list,
)
from secure_fedmeta.federation.pipes import enrol, read_site, write_site
from secure_fedmeta.federation.visits import Visit


class Visitors:
    """A post that opens each site's folder for each exchange, and keeps only its sealed note in between."""

    def __init__(self, folders):
        self.folders = dict(folders)
        self.notes = {}
        self.letters = []  # all that crossed: (site, messages there, messages back)
        self.silent = set()  # sites to which nothing is delivered

    def exchange(self, letters):
        answers = {}
        for site, messages in sorted(letters.items()):
            if site in self.silent:
                continue
            answers[site] = self.visit(site, messages)
            self.letters.append((site, tuple(messages), answers[site]))
        return answers

    def visit(self, site, messages):
        try:
            parts = read_site(self.folders[site])
            with Visit(self.folders[site], parts.number, parts.records, parts.schedule, parts.credentials) as visit:
                answers, self.notes[site] = visit.receive(messages, self.notes.get(site))
                return answers
        except (ProtocolError, PrivacyError, UserError) as error:
            return Refused(str(error))


def visited(folder, schedule, tasks):
    """A server and sites in `folder`, and the post between them."""
    listed = folder / "allow-list.toml"
    folders = {site: folder / f"site-{site}" for site in tasks}
    publics = {site: (f"site-{site}", enrol(home, site, schedule)) for site, home in folders.items()}
    server = own_identity(folder / "server", entropy_of(schedule, SERVER))
    write_allow_list(listed, server.public, publics)
    for site, task in tasks.items():
        write_site(folders[site], site, task, schedule, allow_list=listed if schedule.hiding.signed else None)
    theirs = Credentials(server, read_allow_list(listed, tasks)) if schedule.hiding.signed else None
    post = Visitors(folders)
    return Exchange(schedule, tuple(sorted(tasks)), post, credentials=theirs), post
