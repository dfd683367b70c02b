# SPDX-License-Identifier: Apache-2.0
"""A real run to audit, and a forger who edits its ledger and re-signs it with whatever keys he holds."""

import copy
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

from small_runs import arrays_plan, small_book, small_records

from fedmeta_crypto import SERVER
from fedmeta_crypto.identities import Identity
from fedmeta_crypto.records import record_digest
from fedmeta_crypto.wire import Header, MessageType, content_digest, statement
from fedmeta_privacy.ledger import GENESIS, canonical
from secure_fedmeta.audit import audit_run
from secure_fedmeta.federation.statements import UNITS
from secure_fedmeta.run import federate
from secure_fedmeta.schedule import make_schedule

SITES = 5
ROOT = Path(__file__).parents[2]


def honest_run(out, *, rounds=3, **changes):
    """A run of a few rounds, kept whole in its folder."""
    return federate(arrays_plan(rounds=rounds, **changes), small_records(SITES), small_book(), out=out)


class Forger:
    """Edits a copy of a run. The server's key is his; with `all_keys`, every site's too (all of them lie alike)."""

    def __init__(self, run: Path, into: Path):
        self.run, self.sites, self.server = (into / f"run{end}" for end in ("", "-sites", "-server"))
        for end in ("", "-sites", "-server"):
            shutil.copytree(run.with_name(run.name + end), into / f"run{end}")
        shutil.copy(self.run / "allow-list.toml", into / "roster.toml")
        self.roster = into / "roster.toml"
        self.lines = [json.loads(line) for line in (self.run / "ledger.jsonl").read_bytes().splitlines()]
        self.schedule = make_schedule(
            arrays_plan(rounds=3, clients=SITES), clients=SITES, dimension=4, codebook_hash=small_book().digest()
        )

    def key(self, party):
        home = self.server if party == SERVER else self.sites / f"clinic-{party}"
        return Identity((home / "identity.key").read_bytes())

    def rounds(self):
        return [line for line in self.lines if line["type"] == "round"]

    def bodies(self):
        return [line["body"] for line in self.rounds()]

    def plain(self, lines=None):
        """Write the lines as they are, with the signatures that they have."""
        lines = self.lines if lines is None else lines
        (self.run / "ledger.jsonl").write_bytes(b"".join(canonical(line) + b"\n" for line in lines))
        return self

    def signed(self, *, all_keys=False):
        """Chain and sign anew: by the server, and by every site of each line if all of them are in it."""
        head = GENESIS
        for seq, line in enumerate(self.lines):
            line["seq"], line["prev"] = seq, head
            by_sites = [(who, text) for who, text in line["sigs"] if who != "server"]
            content = canonical({name: value for name, value in line.items() if name != "sigs"})
            head = hashlib.sha256(content).hexdigest()
            mine = self.key(SERVER).sign(hashlib.sha256(b"sfm-ledger/2" + content).digest()).hex()
            if all_keys:
                by_sites = [(who, self._countersign(who, line, content)) for who, _ in by_sites]
            line["sigs"] = [["server", mine], *([who, text] for who, text in by_sites)]
        return self.plain()

    def _countersign(self, site, line, content):
        session, agreed = bytes.fromhex(line["body"]["session"]), bytes.fromhex(line["body"]["agreed"])
        digest = record_digest(session, agreed, content)
        header = Header(MessageType.COUNTERSIGNATURE, session, line["round"], site)
        return self.key(site).sign(statement(header, size=32, content=content_digest(digest))).hex()

    def copy_of(self, number):
        return copy.deepcopy(self.lines[number])

    def audit(self, *, heads=False):
        """With the keys from outside; without the sites' heads unless they are asked for."""
        return audit_run(self.run, roster=self.roster, heads=self.sites if heads else None)


def found(audit, check, *, line=None):
    """The findings of one check."""
    return [one for one in audit.findings.found if one.check == check and (line is None or one.line == line)]


def unit_share(shift, limit):
    return shift / limit * UNITS


def standalone(forger):
    """The verdict of the verifier that knows nothing of this project."""
    command = [sys.executable, str(ROOT / "tools" / "verify_ledger.py"), str(forger.run / "ledger.jsonl")]
    ended = subprocess.run([*command, str(forger.roster)], capture_output=True, text=True, check=False, timeout=120)
    return ended.returncode
