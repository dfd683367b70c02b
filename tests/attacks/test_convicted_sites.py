"""A site that lies is corrected, refused or excluded by name; the run goes on, and never excludes more than D."""

import json
import os
from unittest import mock

import numpy as np
import pytest
from small_runs import Courier, key_of, kind_of, small_run, tap

from fedmeta_crypto import SERVER, Step
from fedmeta_crypto.messages import Answer, SealedShares, UnmaskingShares
from fedmeta_crypto.secagg import client as crypto_client
from fedmeta_crypto.secagg.step import Outgoing
from fedmeta_crypto.wire import MessageType, Reader, frame, unframe

N = 8  # A = 0 (one liar is allowed for all the same), D = 2, t = 4, k = 7


def signed_again(message, site, change):
    """The same message with other contents, signed by the site as it would sign any."""
    header, payload = unframe(message, sender=site, max_bytes=len(message), signed=True)
    return frame(header, change(bytes(payload)), key_of(site).sign)


def contents(kind, payload):
    return kind.read(Reader(memoryview(payload), sender=0, where="test"))


def garbage_boxes(payload):
    boxes = contents(SealedShares, payload).boxes
    return SealedShares(tuple((to, os.urandom(len(box))) for to, box in boxes)).payload()


def one_box_less(payload):
    return SealedShares(contents(SealedShares, payload).boxes[1:]).payload()


def wrong_answers(payload):
    return UnmaskingShares(
        tuple(
            Answer(p, kind, bytes([share[0] ^ 1]) + share[1:])
            for p, kind, share in contents(UnmaskingShares, payload).answers
        )
    ).payload()


def no_answers(payload):
    return UnmaskingShares(()).payload()


class Rogue:
    """A site whose messages of one type are changed on their way out."""

    def __init__(self, inner, site, kind, change):
        self.inner, self.site, self.kind, self.change = inner, site, kind, change

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def receive(self, message):
        step = self.inner.receive(message)
        send = tuple(
            Outgoing(o.to, self.change(o.message)) if kind_of(o.message) is self.kind else o for o in step.send
        )
        return Step(step.persist, send, step.events)


def rogue_run(kind, change, *, n=N, liars=(3,), sign=True, **settings):
    run, sites = small_run(n, epsilon=30.0, rounds=6, **settings)
    for liar in liars:
        bent = (lambda m, site=liar: signed_again(m, site, change)) if sign else change
        run._parties[liar] = Rogue(sites[liar], liar, kind, bent)
    return run, sites


def others(*gone, n=N):
    return tuple(i for i in range(1, n + 1) if i not in gone)


def test_boxes_that_nobody_can_open_lose_one_round_and_convict_their_dealer():
    run, sites = rogue_run(MessageType.SHARES, garbage_boxes)
    lost = run.run_round().closed
    assert "SFM-251" in lost.aborted and "UNMASK" in lost.aborted
    assert list(run.server.excluded) == [3] and "hold no good share" in run.server.excluded[3]
    assert any(text.startswith("site 3 is excluded from now on: ") for text in lost.findings)
    spent = sites[3].client.budget.spent
    for _ in range(2):
        good = run.run_round().closed
        assert good.aborted is None and good.survivors == others(3) and good.findings == ()
    assert sites[3].client.budget.spent == spent and sites[3].client._last_round == 1  # asked no more
    assert all(site.client.budget.spent <= run.schedule.limit for site in sites.values())
    lines = [json.loads(line)["body"] for line in run.server.ledger_lines().splitlines()]
    assert lines[0]["excluded"] == {"3": run.server.excluded[3]} and lines[0]["findings"] == list(lost.findings)
    assert lines[2]["excluded"] == lines[0]["excluded"] and lines[2]["findings"] == []


def test_a_secret_that_was_not_committed_to_convicts_its_dealer():
    run, _ = rogue_run(MessageType.ADVERTISEMENT, lambda p: p[:64] + bytes(32))
    # The client itself would notice that its own advertisement was altered; here it does not look.
    with mock.patch.object(crypto_client, "check_roster"):
        lost = run.run_round().closed
    assert "SFM-233" in lost.aborted and list(run.server.excluded) == [3]
    assert "does not open" in run.server.excluded[3]
    assert run.run_round().closed.survivors == others(3)


def test_wrong_answers_are_corrected_and_convict_their_holder():
    run, sites = rogue_run(MessageType.UNMASKING, wrong_answers)
    seen = tap(sites)
    closed = run.run_round().closed
    assert closed.aborted is None and closed.survivors == others()
    assert run.server.last_sum.tolist() == np.sum([seen[i][0] for i in others()], axis=0).tolist()
    assert list(run.server.excluded) == [3] and "gave no good share" in run.server.excluded[3]
    assert run.run_round().closed.survivors == others(3)


def test_a_holder_that_keeps_its_shares_is_convicted():
    run, _ = rogue_run(MessageType.UNMASKING, no_answers)
    assert run.run_round().closed.aborted is None
    assert list(run.server.excluded) == [3]
    assert run.run_round().closed.survivors == others(3)


def test_a_signed_message_that_no_honest_site_sends_convicts_at_once():
    run, _ = rogue_run(MessageType.SHARES, one_box_less)
    report = run.run_round()
    assert report.closed.aborted is None and report.closed.survivors == others(3)
    assert "signed a message that no honest site sends" in run.server.excluded[3]
    assert any("SFM-223" in text for text in report.rejected)
    assert run.run_round().closed.survivors == others(3)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:-1] + bytes([m[-1] ^ 1]),
        lambda m: m[:100] + bytes([m[100] ^ 1]) + m[101:],
        lambda m: m[:-5],
        lambda m: b"",
        lambda m: signed_again(m, 4, lambda p: p),
    ],
)
def test_what_a_site_did_not_sign_convicts_nobody(change):
    """Anybody on the network could have bent it; the site is missing from this round and asked again in the next."""
    run, _ = small_run(N, epsilon=30.0)

    def before(sender, receiver, message):
        if receiver == SERVER and sender == 3 and kind_of(message) is MessageType.SHARES:
            with pytest.raises(Exception, match=r"^SFM-2"):
                run.server.receive(change(message), sender=3)
            return False
        return True

    Courier(run.server, run._parties, before).announce().run()
    assert run.server.closed.survivors == others(3) and run.server.excluded == {}
    for party in run._parties.values():
        party.abort()
    assert run.run_round().closed.survivors == others()


def test_one_wrong_share_names_the_pair_and_nobody_alone():
    def first_is_wrong(payload):
        first, *rest = contents(UnmaskingShares, payload).answers
        bent = Answer(first.peer, first.kind, bytes([first.share[0] ^ 1]) + first.share[1:])
        return UnmaskingShares((bent, *rest)).payload()

    run, _ = rogue_run(MessageType.UNMASKING, first_is_wrong)
    closed = run.run_round().closed
    assert closed.survivors == others() and run.server.excluded == {}
    assert closed.findings == ("pair (dealer 1, holder 3): one of the two lied",)


def test_without_signatures_nobody_is_convicted():
    def flip(message):
        return message[:-10] + bytes([message[-10] ^ 1]) + message[-9:]

    run, _ = rogue_run(MessageType.UNMASKING, flip, sign=False, strength="semi-honest")
    closed = run.run_round().closed
    assert run.server.excluded == {} and closed.survivors == others()


def test_never_more_than_d_are_excluded_and_the_run_ends_only_when_too_few_remain():
    run, _ = rogue_run(MessageType.SHARES, one_box_less, liars=(2, 3, 5))
    first = run.run_round().closed
    assert list(run.server.excluded) == [2, 3] and "D = 2 bars more" in first.findings[-1]
    assert "SFM-251" in first.aborted  # three of eight are one too many for any round
    assert run.run_round().closed.aborted is not None
    assert run.server.accounts.spent().server == 0.0  # nobody was asked for an upload


def test_the_next_round_does_not_wait_for_the_excluded():
    run, _ = rogue_run(MessageType.SHARES, one_box_less)
    run.run_round()
    step = run.server.announce()
    assert sorted(out.to for out in step.send) == list(others(3))
    answers = [(out.to, run._parties[out.to].receive(out.message)) for out in step.send]
    rosters = [run.server.receive(answer.send[0].message, sender=site) for site, answer in answers]
    assert [len(r.send) for r in rosters] == [0] * 6 + [7]  # the last one closed the phase, without a deadline
    with pytest.raises(Exception, match=r"SFM-230 .*excluded"):
        run.server.receive(b"", sender=3)


def test_a_site_that_refuses_every_round_does_not_stop_the_others():
    run, _ = small_run(N, epsilon=30.0, rounds=4, planned_survivors=7)

    class Refusing:
        def __getattr__(self, name):
            return getattr(run_sites, name)

        def receive(self, message):
            from secure_fedmeta.errors import RemoteRefusal

            raise RemoteRefusal("no", "pipe", "none")

    run_sites = run._parties[4]
    run._parties[4] = Refusing()
    reports = list(run.rounds())
    assert [r.closed.survivors for r in reports] == [others(4)] * 4
