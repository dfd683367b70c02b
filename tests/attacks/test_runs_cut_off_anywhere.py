"""A run that ends at any write, again and again, of every kind: what was charged stays, and the audit adds up."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killed_runs import Died, audited, cut_off, dying, played
from mode_runs import FEATURES, MODES, network
from small_runs import small_book, small_plan

from fedmeta_crypto import Step
from fedmeta_crypto.messages import SealedShares
from fedmeta_crypto.secagg.step import Outgoing
from fedmeta_crypto.wire import MessageType, Reader, claimed_type, frame, unframe
from secure_fedmeta import parties
from secure_fedmeta.audit import Verdict
from secure_fedmeta.datasets.records import SiteRecords
from secure_fedmeta.errors import ResumeRefused
from secure_fedmeta.federation.simulation import LocalSite
from secure_fedmeta.files import sites_beside
from secure_fedmeta.report.facts import Facts
from secure_fedmeta.run import federate


def of_masks(out, *, resume=False):
    return played(out, resume=resume, rounds=4)


def of_the_semi_honest(out, *, resume=False):
    return played(out, resume=resume, rounds=4, strength="semi-honest")


def of_a_network(out, *, resume=False):
    """Several rows a person, a network, and a clip norm that moves."""
    rng = np.random.default_rng(0)
    ids = [tuple(f"p-{site}-{i // 2}" for i in range(10)) for site in range(5)]
    sites = [
        SiteRecords(
            f"clinic-{n}", rng.uniform(0, 10, (10, FEATURES)), rng.integers(0, 2, 10) + 0.0, who, rows_repeat=True
        )
        for n, who in enumerate(ids)
    ]
    settings = MODES["person"] | {"clipping": "adaptive", "rounds": 3, "epsilon": 8.0, "dropout_fraction": 0.2}
    return federate(small_plan(**settings), sites, small_book(FEATURES), model=network, out=out, resume=resume)


def of_two_servers(out, *, resume=False):
    return played(out, resume=resume, rounds=3, aggregation="bfv")


KINDS = {"masks": of_masks, "semi-honest": of_the_semi_honest, "network": of_a_network, "bfv": of_two_servers}


def charged(out):
    """Of each site: the lines of its journal, whole ones alone."""
    journals = [home / "budget.jsonl" for home in sorted(sites_beside(out).glob("*/"))]
    return [path.read_bytes().split(b"\n")[:-1] if path.exists() else [] for path in journals]


def nothing_lost(before, after):
    for old, new in zip(before, after, strict=False):
        assert new[: len(old)] == old and any(b'"charge"' in line for line in new) >= any(old)


def cut_again_and_again(monkeypatch, out, play, cuts):
    """The run, ended at each of the cuts and gone on with; None if nothing was begun that could go on."""
    before = []
    for number, (calls, torn) in enumerate(cuts):
        try:
            if not cut_off(monkeypatch, calls, lambda go_on=number > 0: play(out, resume=go_on), torn=torn):
                break
        except ResumeRefused:  # killed before its first line
            return None
        nothing_lost(before, charged(out))
        before = charged(out)
    else:
        try:
            play(out, resume=True)
        except ResumeRefused:
            assert not any(before)  # nothing was charged that could be forgotten
            return None
    nothing_lost(before, charged(out))
    return out


def adds_up(out):
    facts = Facts.of(out)
    stated = [each.epsilon["server"] for each in facts.record.rounds]
    assert stated == sorted(stated) and facts.contradictions == []
    found = audited(out).findings
    assert found.verdict in (Verdict.OK, Verdict.INCOMPLETE), found.found
    if "semi-honest" not in facts.record.protocol:  # nobody signs there
        # Too few signed a line that was cut off in the middle of it, or somebody never came so far; that is all.
        excluded = facts.end["excluded"]
        all_signed = any(count >= len(facts.names) - len(excluded) for count in facts.countersigned)
        lone = excluded if all_signed else facts.names.values()
        said = ("countersigned it", *(f"{name} kept no head" for name in lone))
        assert all(any(one in found.what for one in said) for found in found.found), found.found


moments = st.lists(st.tuples(st.integers(0, 130), st.booleans()), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", ["network"])  # the longest line of files; all kinds are with the long tests
def test_at_two_writes(tmp_path, monkeypatch, kind):
    out = cut_again_and_again(monkeypatch, tmp_path / "run", KINDS[kind], [(61, True), (17, False)])
    assert out is not None
    adds_up(out)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(cuts=moments)
def test_at_any_writes(tmp_path_factory, kind, cuts):
    place = tmp_path_factory.mktemp("cut")
    with pytest.MonkeyPatch.context() as monkeypatch:
        out = cut_again_and_again(monkeypatch, place / "run", KINDS[kind], cuts)
    if out is not None:
        adds_up(out)
    shutil.rmtree(place)


class Liar(LocalSite):
    """Site 3 signs a list of shares that leaves one out."""

    def receive(self, message):
        step = super().receive(message)
        if self.client.client_id != 3:
            return step
        return Step(step.persist, tuple(Outgoing(o.to, self.bent(o.message)) for o in step.send), step.events)

    def bent(self, message):
        if claimed_type(message) != MessageType.SHARES:
            return message
        header, payload = unframe(message, sender=3, max_bytes=len(message), signed=True)
        boxes = SealedShares.read(Reader(payload, sender=3, where="test")).boxes[1:]
        return frame(header, SealedShares(boxes).payload(), self.client._credentials.identity.sign)


@pytest.mark.parametrize("at", [2, 3])
def test_a_site_that_was_excluded_stays_so(tmp_path, monkeypatch, at):
    """Before its exclusion is in a line, it is found out again; after, it is not asked any more."""
    out = tmp_path / "run"
    monkeypatch.setattr(parties, "LocalSite", Liar)

    def moment(_):
        raise Died

    dying(monkeypatch, out, at, moment)
    known = Facts.of(out).rounds[-1]["excluded"] if at > 1 else {}
    monkeypatch.setattr(parties, "LocalSite", LocalSite)  # from here on it would be honest
    played(out, resume=True)
    facts = Facts.of(out)
    assert known and facts.end["excluded"] == {"clinic-3": known["3"]}
    assert all(3 not in body["asked"] for body in facts.rounds[at:])
    adds_up(out)
