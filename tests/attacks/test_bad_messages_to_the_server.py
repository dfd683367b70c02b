"""Truncated, repeated, foreign, late or bent messages: a numbered error, nothing changed, and the sum still exact."""

import numpy as np
import pytest
from small_runs import Courier, kind_of, small_run, tap

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import OutOfOrder, PeerProtocolError, Repeated, SpoofedSender, Stranger
from fedmeta_crypto.wire import MessageType

COHORT = (1, 2, 3, 4, 5)


def looks(server):
    """Everything of the server that a message could change."""
    session, plain = server._session, server._plain
    return (
        server.round,
        server.ledger_head,
        server.outer.theta.tobytes(),
        server.accounts.spent(),
        server.closed,
        server._asked,
        None if session is None else (session.phase, {k: set(v) for k, v in session._answered.items()}),
        None if session is None else (session._sum.tobytes(), tuple(session._adverts), tuple(session._digests)),
        None if plain is None else (plain.total.tobytes(), set(plain.received)),
    )


def refused(server, message, sender, error=PeerProtocolError):
    before = looks(server)
    with pytest.raises(error, match=r"^SFM-2\d\d "):
        server.receive(message, sender=sender)
    assert looks(server) == before


def old_messages(**changes):
    """A round's messages from another run of the same plan, to be replayed into this one."""
    run, sites = small_run(5, **changes)
    courier = Courier(run.server, sites).announce().run()
    return {(sender, kind(m)): m for sender, to, m in courier.delivered if to == SERVER}


def kind(message):
    return kind_of(message) if message.startswith(b"SFMS") else "plain"


@pytest.mark.parametrize(
    ("settings", "messages"),
    [({}, 30), ({"strength": "semi-malicious"}, 30), ({"strength": "semi-honest"}, 20), ({"aggregation": "none"}, 5)],
)
def test_attack_every_message_on_its_way(settings, messages):
    run, sites = small_run(5, **settings)
    seen = tap(sites)
    foreign = old_messages(**settings)
    done = []

    def before(sender, receiver, message):
        if receiver != SERVER:
            return True
        server = run.server
        for cut in (0, 1, 7, len(message) // 2, len(message) - 1):
            refused(server, message[:cut], sender)
        refused(server, message + b"\x00", sender)
        refused(server, message + message, sender)
        refused(server, b"XXXX" + message[4:], sender)
        refused(server, message, 9, Stranger)
        refused(server, message, SERVER, Stranger)
        refused(server, message, sender % 5 + 1)  # another member sends it as its own
        refused(server, foreign[sender, kind(message)], sender)
        for other in (m for (who, what), m in foreign.items() if who == sender and what != kind(message)):
            refused(server, other, sender)
        if done:
            refused(server, done[-1][1], done[-1][0])
        done.append((sender, message))
        return True

    Courier(run.server, sites, before).announce().run()
    assert len(done) == messages and not run.server.excluded and not run.server.closed.findings
    assert run.server.closed.survivors == COHORT
    assert run.server.last_sum.tolist() == np.sum([seen[site][0] for site in COHORT], axis=0).tolist()


def test_the_same_message_twice_has_its_own_number():
    run, sites = small_run(5)

    def before(sender, receiver, message):
        if receiver == SERVER and sender != 5:
            run.server.receive(message, sender=sender)
            refused(run.server, message, sender, Repeated)
            return False
        return True

    def deliver_by_hand(sender, receiver, message):
        return receiver == SERVER and kind_of(message) is MessageType.SHARES

    Courier(run.server, sites, before).announce().run(until=deliver_by_hand)
    assert run.server.closed is None


def test_a_second_plain_upload_is_not_added_twice():
    run, sites = small_run(5, aggregation="none", epsilon="none")
    seen = tap(sites)
    step = run.server.announce()
    uploads = {out.to: sites[out.to].receive(out.message).send[0].message for out in step.send}
    for site in (1, 2, 3, 4):
        run.server.receive(uploads[site], sender=site)
        refused(run.server, uploads[site], site, Repeated)
    refused(run.server, uploads[5], 1)
    run.server.deadline()
    assert run.server.closed.survivors == (1, 2, 3, 4)
    assert run.server.last_sum.tolist() == np.sum([seen[site][0] for site in (1, 2, 3, 4)], axis=0).tolist()
    with pytest.raises(OutOfOrder, match="SFM-201"):
        run.server.receive(uploads[5], sender=5)


def test_a_masked_upload_under_another_name_is_a_spoof():
    run, sites = small_run(5)
    courier = Courier(run.server, sites).announce()
    courier.run(until=lambda _, to, message: to == SERVER and kind_of(message) is MessageType.MASKED_INPUT)
    sender, _, message = courier.queue[0]
    refused(run.server, message, 2 if sender != 2 else 3, SpoofedSender)
    courier.run()
    assert run.server.closed.survivors == COHORT


def test_outside_a_round_nothing_is_taken():
    run, sites = small_run(5)
    message = next(iter(old_messages().values()))
    refused(run.server, message, 1, OutOfOrder)
    Courier(run.server, sites).announce().run()
    refused(run.server, message, 1, OutOfOrder)


def test_bent_bytes_inside_an_upload_cost_the_round_at_most():
    """A member may spoil its own numbers; it must not be able to spoil the state of the server."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        closed = one_bent_site(rng)
        assert closed.aborted is None or "SFM-2" in closed.aborted
        assert (len(closed.survivors) >= 4) == (closed.aborted is None)


def one_bent_site(rng):
    run, sites = small_run(5)

    def before(sender, receiver, message):
        if receiver == SERVER and sender == 3:
            bent = bytearray(message)
            bent[int(rng.integers(len(bent)))] ^= 1 << int(rng.integers(8))
            held = looks(run.server)
            try:
                courier._post(SERVER, run.server.receive(bytes(bent), sender=3))
            except PeerProtocolError:
                assert looks(run.server) == held or run.server.closed is not None
            return False
        return True

    courier = Courier(run.server, sites, before, tolerant=True)
    courier.announce().run()
    return run.server.closed
