# SPDX-License-Identifier: Apache-2.0
"""A site whose surplus seeds do not match the noise that it added: the sum is off by that, and nobody is exposed."""

from unittest import mock

import numpy as np
import pytest
from small_runs import small_run, tap

from secure_fedmeta.federation import client as client_module
from secure_fedmeta.federation.surplus import own_parts, surplus_parts

LIAR = 3


def lying(how):
    """`own_parts` of an honest site, and of the liar what the lie says."""

    def made(noise, seeds, *, session, dimension):
        honest = own_parts(noise, seeds, session=session, dimension=dimension)
        match how:
            case "adds none of it":
                return np.zeros_like(honest)
            case "uses other seeds":
                return own_parts(noise, [bytes(32)] * len(seeds), session=session, dimension=dimension)
            case "adds it twice":
                return 2 * honest
        raise AssertionError(how)

    return made


def run_of(how, lost):
    """A round of eight in which the liar lies, with the parts that each site's seeds stand for."""
    run, sites = small_run(8, rounds=2, dropout_noise="surplus", colluders=1, corrupt_fraction=0.0)
    released, seeds, session, added = tap(sites), {}, [], {}
    for site, party in sites.items():
        upload = party.client._upload

        def noted(opened, own=(), site=site, upload=upload):
            seeds[site], session[:] = own, [opened.session]
            made = lying(how) if site == LIAR else own_parts

            def recorded(*arguments, **rest):
                added[site] = made(*arguments, **rest)
                return added[site]

            with mock.patch.object(client_module, "own_parts", recorded):
                return upload(opened, own)

        party.client._upload = noted
    pattern = dict.fromkeys(lost, "mask")
    with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
        report = run.run_round()
    return run, sites, report, released, seeds, session[0], added


@pytest.mark.parametrize("lost", [(), (7,), (7, 8)], ids=len)
@pytest.mark.parametrize("how", ["adds none of it", "uses other seeds", "adds it twice"])
def test_only_its_own_noise_is_wrong(how, lost):
    run, sites, report, released, seeds, session, added = run_of(how, lost)
    survivors = report.closed.survivors
    assert report.closed.aborted is None and LIAR in survivors and len(survivors) == 8 - len(lost)
    noise, dimension = run.schedule.surplus, run.schedule.dimension

    def removed(of):
        rows = [seeds[site][len(lost) :] for site in of]
        return surplus_parts(noise, rows, dropped=len(lost), session=session, dimension=dimension)

    honest = [site for site in survivors if site != LIAR]
    # What the honest added and keep is in the sum whole, beside whatever the liar sent.
    kept = sum(released[site][0] + added[site] for site in honest) - removed(honest)
    liars = released[LIAR][0] + added[LIAR] - removed([LIAR])
    assert np.array_equal(run.server.last_sum, kept + liars)
    truth = own_parts(noise, seeds[LIAR], session=session, dimension=dimension)
    assert not np.array_equal(added[LIAR], truth)
    # Nor does anything notice, or need to: the liar is one of the A that the price leaves out.
    assert report.rejected == () and report.closed.findings == ()
    for party in sites.values():
        assert party.client.budget.spent in (0.0, pytest.approx(run.schedule.floor_shift, rel=1e-12))


def test_the_price_of_a_round_leaves_the_liar_out():
    run, *_ = run_of("adds none of it", ())
    schedule = run.schedule
    assert schedule.colluders == 1
    assert schedule.surplus.variance(honest=7, dropped=0) == schedule.surplus.honest_scale**2
    assert run.server.accounts.server_shift(1) == pytest.approx(schedule.floor_shift, rel=1e-12)
    # With two liars where one was assumed, less noise is left, and the books can say so.
    assert run.server.accounts.server_shift(2) > schedule.floor_shift * 7 / 6 * (1 - 1e-6)
