# SPDX-License-Identifier: Apache-2.0
"""A server that shows sites a line that is not true: they do not countersign it, and keep a note.

The liar is the real server with the server's real key; only what it writes is bent, so its signatures hold.
"""

import json

import pytest
from small_runs import small_run, tap

from fedmeta_crypto import SERVER
from fedmeta_privacy.errors import BudgetExceeded
from fedmeta_privacy.ledger import decimal, verify
from secure_fedmeta.federation import server as server_module
from secure_fedmeta.federation.simulation import LocalSite
from secure_fedmeta.federation.statements import round_body
from secure_fedmeta.noise_plan import Counted


def lying(monkeypatch, bend, *, at=1):
    """From round `at` on, the bodies of the server's lines are bent."""

    def bent(schedule, facts, **others):
        body = round_body(schedule, facts, **others)
        lying.calls += 1
        if lying.calls >= at:
            bend(body, schedule)
        return body

    lying.calls = 0
    monkeypatch.setattr(server_module, "round_body", bent)


def fewer_in_the_books(body, schedule):
    body["books"] = [entry // 2 for entry in body["books"]]


def less_epsilon(body, schedule):
    body["epsilon"]["server"] = decimal(float(body["epsilon"]["server"]) / 2)


def no_epsilon(body, schedule):
    body["epsilon"] = {}


def more_honest(body, schedule):
    body["honest"] += 1


def other_survivors(body, schedule):
    body["survivors"] = body["survivors"][:-1]


def less_shift(body, schedule):
    body["shift"] = decimal(float(body["shift"]) / 2)


def halved_noise(body, schedule):
    body["terms"]["mechanism"]["scale"] = "4.0"


def sampled(body, schedule):
    body["terms"]["sampling"] = {"kind": "poisson", "q": "0.1", "secret_from": "outsiders"}


def other_model(body, schedule):
    body["model_before"] = "00" * 32


def other_session(body, schedule):
    body["session"] = "00" * 32


def other_noise(body, schedule):
    body["noise"] = [[site, "00" * 16] for site, _ in body["noise"]]


def not_asked(body, schedule):
    body["asked"] = body["asked"][:2]


def said_to_be_aborted(body, schedule):
    body["aborted"] = "nothing was opened"


def broken_books(body, schedule):
    body["books"] = [True] * len(body["books"])


def malformed_noise(body, schedule):
    body["noise"] = [[[1], "x"], {}, [], None]


def malformed_lists(body, schedule):
    body["asked"], body["answered"] = {"1": 2}, [[1], None]


LIES = [
    malformed_noise,
    malformed_lists,
    fewer_in_the_books,
    less_epsilon,
    no_epsilon,
    more_honest,
    other_survivors,
    less_shift,
    halved_noise,
    sampled,
    other_model,
    other_session,
    other_noise,
    not_asked,
    said_to_be_aborted,
    broken_books,
]


@pytest.mark.parametrize("lie", LIES)
def test_nobody_countersigns_a_lie(monkeypatch, lie):
    lying(monkeypatch, lie, at=2)
    run, _ = small_run(5)
    assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)
    report = run.run_round()
    assert report.closed.countersigned == () and report.closed.aborted is None
    assert len(report.rejected) == 5 and all("SFM-120" in text for text in report.rejected)
    assert [len(entry["sigs"]) for entry in verify(run.server.ledger_lines())] == [6, 1]


def test_a_refusal_says_nothing_that_the_server_does_not_know(monkeypatch):
    """The text names a field; no number of the site's, and none of its uploads."""
    lying(monkeypatch, fewer_in_the_books)
    run, sites = small_run(5)
    released = tap(sites)
    (first, *_), spent = run.run_round().rejected, sites[1].client.budget.spent
    assert "the books hold less than this site has released" in first and repr(spent)[:6] not in first
    assert not any(str(int(value)) in first for value in released[1][0][:3])


def test_an_aborted_round_that_the_books_leave_out(monkeypatch):
    """Uploads were masked and sent, and the round was lost: the next line must count it for everyone who uploaded."""
    real = server_module.Server.abort
    run, sites = small_run(5, rounds=8, epsilon=8.0)
    run.run_round()
    from small_runs import Courier, kind_of

    from fedmeta_crypto.wire import MessageType

    courier = Courier(run.server, sites).announce()
    courier.run(until=lambda sender, to, m: to == SERVER and kind_of(m) is MessageType.CONSISTENCY)
    real(run.server, "lost")
    for site in sites.values():
        site.abort()
    assert run.server.closed.countersigned == ()
    lost = run.server.accounts
    honest_books = lost.books()
    assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)
    # The same, but the books of the lost round were wiped.
    for book in (lost._server, lost._local):
        for site in book:
            floor = run.schedule.floor if book is lost._server else Counted(1)
            book[site][floor] -= 1
    assert lost.books() != honest_books
    assert run.run_round().closed.countersigned == ()


def test_a_site_that_was_told_another_history_refuses(monkeypatch, tmp_path):
    """After a restart a site still refuses a chain that forks from a head that it kept."""
    run, sites = small_run(5, folder=tmp_path, rounds=8, epsilon=8.0)
    run.run_round()
    for site in sites.values():
        site.close()
    kept = (tmp_path / "site-3" / "heads").read_bytes()
    assert len(kept.splitlines()) == 1 and (tmp_path / "site-3" / "heads").stat().st_mode & 0o777 == 0o600
    # The server goes back to before round 1's line and writes another one, then goes on.
    run.server._chain.length, run.server._chain.head = 0, "0" * 64
    restarted(run, sites, tmp_path)
    report = run.run_round()
    assert report.closed.countersigned == ()
    assert all("takes the place of one that was countersigned" in text for text in report.rejected)
    disputes = (tmp_path / "site-3" / "disputes").read_text().splitlines()
    assert "takes the place" in json.loads(disputes[0])["disputed"]
    assert (tmp_path / "site-3" / "heads").read_bytes() == kept
    # One line further on, the number fits and the head does not.
    report = run.run_round()
    assert report.closed.countersigned == () and all("forks from a head" in text for text in report.rejected)


def restarted(run, sites, folder):
    """Every site is made anew from its folder, as after kill -9."""
    for number, site in list(sites.items()):
        sites[number] = LocalSite(
            number,
            site.client._task,
            run.schedule,
            folder / f"site-{number}",
            credentials=site.client._credentials,
        )
    run._parties = dict(sites)


def test_killed_and_restarted_sites_go_on_countersigning(tmp_path):
    run, sites = small_run(5, folder=tmp_path, rounds=8, epsilon=8.0)
    run.run_round()
    for site in sites.values():
        site.close()  # nothing more is written than after each message: this lets go of the locks
    heads = tmp_path / "site-2" / "heads"
    heads.write_bytes(heads.read_bytes() + b'{"countersigned":"torn')
    restarted(run, sites, tmp_path)
    assert sites[2].client._witness.last.seq == 0  # the torn line was never durable, so nothing was signed for it
    assert run.run_round().closed.countersigned == (1, 2, 3, 4, 5)
    assert sites[2].client._witness.last.seq == 1


def test_a_site_that_missed_lines_compares_by_the_heads_in_the_line(monkeypatch):
    """Silent for two rounds, it knows no head in between; the line lists the newest ones."""
    from unittest import mock

    run, _ = small_run(5, rounds=8, epsilon=8.0)

    def play(pattern):
        with mock.patch("secure_fedmeta.federation.simulation.dropout_pattern", return_value=pattern):
            return run.run_round().closed.countersigned

    assert play({}) == (1, 2, 3, 4, 5)
    assert play({2: "advertise"}) == play({2: "advertise"}) == (1, 3, 4, 5)
    assert play({}) == (1, 2, 3, 4, 5)
    assert play({2: "advertise"}) == (1, 3, 4, 5)
    lying(monkeypatch, lambda body, schedule: body.update(heads=["00" * 32 for _ in body["heads"]]))
    assert play({}) == (1, 3, 4, 5)  # the others saw the line before and need no list


def test_a_lying_server_never_gets_more_than_the_filter_holds(monkeypatch):
    """Whatever the books say about earlier rounds, each site refuses the round that its own journal has no room for."""
    lying(monkeypatch, lambda body, schedule: body.update(books=[0] * len(body["books"])))
    run, sites = small_run(5, rounds=3)
    released = tap(sites)
    monkeypatch.setattr(run.server.accounts, "affords_round", lambda: True)
    refused = []
    for number in range(12):
        run.schedule.plan.model_dump()  # the plan is not touched: rounds beyond it are refused as well
        refused += run.run_round().rejected
        assert len(released[1]) <= 3 + number
    assert all(site.client.budget.spent <= run.schedule.limit for site in sites.values())
    assert any("SFM-" in text and "SFM-120" not in text for text in refused)
    with pytest.raises(BudgetExceeded):
        for number in range(100, 200):
            sites[1].client.budget.charge(round=number, shift=run.schedule.floor_shift)
