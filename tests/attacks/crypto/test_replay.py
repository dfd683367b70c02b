# SPDX-License-Identifier: Apache-2.0
"""Messages of another round or session are refused, in both directions."""

import pytest
from crypto_rounds import Rehearsal, plan, policy

from fedmeta_crypto import ClientSession, Phase
from fedmeta_crypto.errors import WrongRound, WrongSession
from fedmeta_crypto.secagg.step import Record, RecordKind

NUMBERS = {1: Phase.ADVERTISE_KEYS, 3: Phase.SHARE_KEYS, 5: Phase.MASK_INPUT, 9: Phase.UNMASK}


@pytest.fixture(scope="module")
def earlier():
    rehearsal = Rehearsal(round_=1).until(Phase.UNMASK)
    rehearsal.unmask()
    return rehearsal


@pytest.mark.parametrize("number", NUMBERS)
def test_uploads_of_another_round(earlier, number):
    later = Rehearsal(round_=2).until(NUMBERS[number])
    with pytest.raises(WrongRound):
        later.server.receive(earlier.sent[number, 3], sender=3)


@pytest.mark.parametrize("number", NUMBERS)
def test_uploads_of_another_session_of_the_same_round(earlier, number):
    twin = Rehearsal(round_=1, server_nonce=b"n" * 32).until(NUMBERS[number])
    with pytest.raises(WrongSession):
        twin.server.receive(earlier.sent[number, 3], sender=3)


def test_downloads_of_another_round_or_session():
    old, later = Rehearsal(round_=1).advertise(), Rehearsal(round_=2).advertise()
    twin = Rehearsal(round_=2, server_nonce=b"n" * 32).advertise()
    with pytest.raises(WrongRound):
        later.clients[3].receive(old.inbox[3])
    with pytest.raises(WrongSession):
        later.clients[3].receive(twin.inbox[3])
    later.share()


def test_a_round_once_begun_is_never_begun_again():
    rehearsal = Rehearsal(round_=7)
    step = rehearsal.clients[3].advertise_keys()
    record = Record.from_bytes(step.persist[0])
    assert (record.kind, record.round, record.session) == (
        RecordKind.ROUND_BEGUN,
        7,
        rehearsal.server.session,
    )
    for round_ in (1, 6, 7):
        with pytest.raises(WrongRound):
            announcement = plan(round_=round_).to_message()
            ClientSession(announcement, client_id=3, policy=policy(last_round=record.round))
    ClientSession(plan(round_=8).to_message(), client_id=3, policy=policy(last_round=record.round))
