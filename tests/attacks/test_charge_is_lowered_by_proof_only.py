"""Under signatures a site keeps the floor unless survivors are proved; without them it is the server's word."""

import pytest
from small_runs import Courier, key_of, kind_of, small_run

from fedmeta_crypto import SERVER
from fedmeta_crypto.errors import OutOfOrder, PeerProtocolError
from fedmeta_crypto.messages import ConsistencyProof, SurvivorList
from fedmeta_crypto.wire import MessageType, Reader, frame, unframe

ALL = (1, 2, 3, 4, 5)


def bent(message, kind, change, **arguments):
    header, payload = unframe(message, sender=SERVER, max_bytes=len(message), signed=True)
    content = kind.read(Reader(payload, sender=SERVER, where="test"), **arguments)
    return frame(header, change(content).payload(), key_of(SERVER).sign)


def fewer_evidence(message):
    return bent(message, ConsistencyProof, lambda proof: ConsistencyProof(proof.evidence[:2]))


def fewer_survivors(message):
    """Two survivors less than any site may accept."""
    return bent(message, SurvivorList, lambda m: SurvivorList(m.ids[:3], m.digests[:3]), signed=True)


def one_survivor_less(message):
    """As many as are needed, but not the ones that the others were shown."""
    return bent(message, SurvivorList, lambda m: SurvivorList(m.ids[:4], m.digests[:4]), signed=True)


@pytest.mark.parametrize("strength", ["malicious", "semi-malicious"])
@pytest.mark.parametrize(
    ("kind", "lie"),
    [
        (MessageType.CONSISTENCY_PROOF, fewer_evidence),
        (MessageType.SURVIVORS, fewer_survivors),
        (MessageType.SURVIVORS, one_survivor_less),
    ],
)
def test_a_site_that_was_lied_to_keeps_the_floor_and_answers_nothing(strength, kind, lie):
    run, sites = small_run(5, strength=strength, epsilon=8.0)
    answered = []

    def before(sender, receiver, message):
        if receiver == 2 and kind_of(message) is kind:
            try:
                step = sites[2].receive(lie(message))
            except PeerProtocolError:
                sites[2].abort()
            else:
                courier._post(2, step)  # a vote for a list that nobody else was shown
            return False
        if receiver == 2 and kind_of(message) is MessageType.CONSISTENCY_PROOF:
            with pytest.raises((PeerProtocolError, OutOfOrder)):
                sites[2].receive(message)
            return False
        if sender == 2:
            answered.append(kind_of(message))
            if kind_of(message) is MessageType.CONSISTENCY and lie is one_survivor_less:
                with pytest.raises(PeerProtocolError):
                    run.server.receive(message, sender=2)
                return False
        return True

    courier = Courier(run.server, sites, before)
    courier.announce().run()
    assert MessageType.UNMASKING not in answered
    floor, realised = run.schedule.floor_shift, run.schedule.shift(5)
    assert sites[2].client.budget.spent == pytest.approx(floor) and floor > realised
    for site in (1, 3, 4, 5):
        assert sites[site].client.budget.spent == pytest.approx(realised)
    # The books of the run are those of the worst site.
    assert run.server.closed.survivors == ALL
    assert run.server.accounts.server_shift(0) == pytest.approx(floor)


def test_without_signatures_the_charge_follows_the_server_s_word():
    run, sites = small_run(5, strength="semi-honest", epsilon=8.0)

    def before(sender, receiver, message):
        if receiver == 2 and kind_of(message) is MessageType.SURVIVORS:
            header, _ = unframe(message, sender=SERVER, max_bytes=len(message))
            courier._post(2, sites[2].receive(frame(header, SurvivorList((1, 2, 3, 4)).payload())))
            return False
        return True

    courier = Courier(run.server, sites, before, tolerant=True)
    with pytest.raises(PeerProtocolError):
        courier.announce().run()
    assert sites[2].client.budget.spent == pytest.approx(run.schedule.shift(4))
