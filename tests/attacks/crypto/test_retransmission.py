# SPDX-License-Identifier: Apache-2.0
"""What is sent again is the same bytes: a box sealed twice under one key and nonce would break it."""

import pytest
from crypto_rounds import Rehearsal, plan, signed_plan

from fedmeta_crypto import Phase
from fedmeta_crypto.errors import OutOfOrder, Repeated


@pytest.mark.parametrize("make", [plan, signed_plan])
def test_every_message_of_a_client(make):
    rehearsal = Rehearsal(make(4))
    client = rehearsal.clients[3]
    with pytest.raises(OutOfOrder):
        client.resend()
    for number, move in ((1, "advertise"), (3, "share"), (5, "mask"), (7, "agree"), (9, "unmask")):
        if number == 7 and not rehearsal.signed:
            continue
        before = dict(rehearsal.inbox)
        if number == 5:
            rehearsal.deliver()
        getattr(rehearsal, move)()
        again = client.resend()
        assert [out.message for out in again.send] == [rehearsal.sent[number, 3]]
        assert again.persist == () and again.events == ()
        with pytest.raises(Repeated):
            rehearsal.server.receive(again.send[0].message, sender=3)
        if number != 1:
            with pytest.raises(Repeated):
                client.receive(before[3])
        assert client.resend() == again
    client.abort()
    with pytest.raises(OutOfOrder):
        client.resend()


def test_what_was_delivered_is_let_go_of():
    """Whoever plays many clients at once would else keep a vector for each."""
    rehearsal = Rehearsal(signed_plan(4)).until(Phase.MASK_INPUT).mask()
    client = rehearsal.clients[3]
    assert client.resend().send
    client.delivered()
    with pytest.raises(OutOfOrder):
        client.resend()
    rehearsal.agree().unmask()  # and the round goes on
    assert client.resend().send[0].message == rehearsal.sent[9, 3]
