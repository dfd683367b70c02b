# SPDX-License-Identifier: Apache-2.0
"""No message without a signature at the malicious strength, and no strength or numbers below the policy's."""

from dataclasses import replace

import pytest
from crypto_rounds import HONEST, Rehearsal, identity_of, people_of, plan, signed_plan, signed_policy

from fedmeta_crypto import SERVER, ClientSession, Phase, RoundParameters, ServerSession, Strength
from fedmeta_crypto.errors import BadSignature, PlanRefused
from fedmeta_crypto.graph import assured

SIGN = identity_of(SERVER).sign


def unsigned(message):
    return message[:-66] + bytes(2)


def join(parameters, policy, *, identity=None, sign=SIGN):
    return ClientSession(parameters.to_message(sign), client_id=3, policy=policy, identity=identity or identity_of(3))


def test_every_message_needs_its_signature():
    rehearsal = Rehearsal(signed_plan(4))
    with pytest.raises(BadSignature):
        rehearsal.client(3, unsigned(rehearsal.inbox[3]), entropy=rehearsal.clients[3]._entropy)
    reference = Rehearsal(signed_plan(4)).until(Phase.UNMASK)
    reference.unmask()
    for number, move in ((1, "advertise"), (3, "share"), (5, "mask"), (7, "agree"), (9, "unmask")):
        if number == 5:
            with pytest.raises(BadSignature):
                rehearsal.clients[3].receive(unsigned(rehearsal.inbox[3]))
            rehearsal.deliver()
        elif number > 1:
            with pytest.raises(BadSignature):
                rehearsal.clients[3].receive(unsigned(rehearsal.inbox[3]))
        with pytest.raises(BadSignature):
            rehearsal.server.receive(unsigned(reference.sent[number, 3]), sender=3)
        getattr(rehearsal, move)()
    assert rehearsal.opened is not None


def test_downgrade_to_semi_honest():
    parameters = signed_plan(4)
    weaker = plan(4, threshold=3)
    with pytest.raises(PlanRefused, match="strength"):
        join(weaker, signed_policy(parameters), sign=None)
    # A round of numbers that a client would accept, at a strength that only its owner can name.
    join(weaker, signed_policy(parameters, allowed_strengths=HONEST), sign=None)


@pytest.mark.parametrize(("corrupt", "dropped"), [(0, 1), (1, 0), (1, 2), (2, 1), (0, 0)])
def test_numbers_of_another_assumption(corrupt, dropped):
    """Sound in themselves, but not what this client assumes: 1 corrupt and 1 dropped of 10."""
    expected = signed_plan(10, corrupt=1, dropped=1)
    join(expected, signed_policy(expected))
    with pytest.raises(PlanRefused, match="this policy gives"):
        join(signed_plan(10, corrupt=corrupt, dropped=dropped), signed_policy(expected))


def test_the_default_policy_counts_a_tenth_and_the_colluders():
    expected = signed_plan(20, corrupt=2, dropped=2)
    plain = signed_policy(expected, corrupt_fraction=0.1, colluders=0, dropout_fraction=0.1)
    assert plain.graph(20, Strength.MALICIOUS) == assured(20, corrupt=2, dropped=2)
    assert replace(plain, colluders=5).graph(20, Strength.MALICIOUS).corrupt == 5
    join(expected, plain)
    with pytest.raises(PlanRefused, match="corrupt=5"):
        join(expected, replace(plain, colluders=5))
    with pytest.raises(PlanRefused, match="others"):
        join(expected, replace(plain, dropout_fraction=0.5, colluders=5))


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold": 2},
        {"threshold": 7},
        {"corrupt": -1},
        {"corrupt": 10},
        {"identities": b""},
        {"identities": bytes(31)},
        {"strength": Strength.SEMI_HONEST},
        {"neighbours": 8},
        {"neighbours": 5},
        {"neighbours": 2, "threshold": 2},
        {"neighbours": 10},
    ],
)
def test_unsound_signed_plans_cannot_be_made(changes):
    parameters = signed_plan(10, corrupt=1, dropped=1)
    with pytest.raises(PlanRefused):
        replace(parameters, **changes)


@pytest.mark.parametrize("at", ["client", "server"])
def test_keys_that_are_missing_or_others(at):
    parameters = signed_plan(4)
    people, ids = people_of(parameters.cohort), parameters.cohort

    def with_keys(identity, allow_list):
        if at == "server":
            return ServerSession(parameters, identity=identity, allow_list=allow_list)
        policy = signed_policy(parameters, allow_list=allow_list)
        return ClientSession(parameters.to_message(SIGN), client_id=3, policy=policy, identity=identity)

    mine = identity_of(SERVER if at == "server" else 3)
    with_keys(mine, people)
    with pytest.raises(PlanRefused, match="needs an identity"):
        with_keys(None, people)
    with pytest.raises(PlanRefused, match="needs an identity"):
        with_keys(mine, None)
    with pytest.raises(PlanRefused, match="another key"):
        with_keys(identity_of("else"), people)
    with pytest.raises(PlanRefused, match="not on the allow-list"):
        with_keys(mine, people_of(ids[:3]))
    swapped = type(people)(
        identity_of(SERVER).public, {id_: identity_of(id_ if id_ in (3, 13) else "x" + str(id_)).public for id_ in ids}
    )
    with pytest.raises(PlanRefused, match="other identity keys"):
        with_keys(mine, swapped)


def test_the_session_does_not_depend_on_who_reads_the_signature():
    parameters = signed_plan(4)
    session = join(parameters, signed_policy(parameters))
    assert session.session == parameters.session
    m0 = parameters.to_message(SIGN)
    again = RoundParameters.from_message(m0, max_bytes=len(m0))
    assert again == parameters and again.to_message(SIGN) == m0
