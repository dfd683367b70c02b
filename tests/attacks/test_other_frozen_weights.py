"""A site whose frozen transformer differs in one bit from the others' is never in a sum with them."""

import pytest
import torch
from small_prompts import TINY, encoded_task, tiny_prompt
from small_runs import Courier, kind_of, local_site, simulation_of, small_plan

from fedmeta_crypto.errors import ProtocolError
from fedmeta_crypto.wire import MessageType
from secure_fedmeta.parameters import bind
from secure_fedmeta.schedule import make_schedule

IDS = (1, 2, 3, 4, 5)


def schedule_of(module):
    plan = small_plan(
        unit="client", mode="client-vector", adjacency="zero-out", loss="cross-entropy", classes=80, rounds=2
    )
    bound = bind(module)
    return make_schedule(plan, clients=len(IDS), dimension=bound.dimension, architecture=bound)


def bent():
    module = tiny_prompt()
    module.transformer.head.weight.data.view(torch.int32)[40, 3] ^= 1
    return module


def parties(odd):
    good = schedule_of(tiny_prompt())
    made = {site: local_site(site, encoded_task(site, 4, 4), good, IDS) for site in IDS if site != 3}
    made[3] = local_site(3, encoded_task(3, 4, 4), odd, IDS)
    return good, dict(sorted(made.items()))


def test_the_odd_site_refuses_the_round_and_sends_nothing():
    good, sites = parties(schedule_of(bent()))
    run = simulation_of(good, sites)
    announced = run.server.announce().send[0].message
    with pytest.raises(ProtocolError):
        sites[3].receive(announced)
    assert sites[1].receive(announced).send


def test_the_others_sum_without_it():
    good, sites = parties(schedule_of(bent()))
    run, senders = simulation_of(good, sites), set()

    def seen(sender, receiver, message):
        if kind_of(message) is MessageType.MASKED_INPUT:
            senders.add(sender)
        return True

    Courier(run.server, sites, seen, tolerant=True).announce().run()
    assert 3 not in senders and senders == {1, 2, 4, 5}
    assert run.server.closed.aborted is not None or 3 not in run.server.closed.survivors


def test_equal_weights_that_were_made_apart_do_sum():
    """The refusal is about content: the same weights from another object, process or file are the same network."""
    good, sites = parties(schedule_of(tiny_prompt()))
    run = simulation_of(good, sites)
    closed = run.run_round().closed
    assert closed.aborted is None and set(closed.survivors) == set(IDS)
    assert good.dimension == 3 * TINY.width
