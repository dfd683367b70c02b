"""Sites opened anew for each message: a note that is older, changed, somebody else's or lost costs a round, no more."""

import os
import shutil

import numpy as np
import pytest
from small_runs import DIMENSION, small_plan, tasks_for
from visited import visited

from secure_fedmeta.federation.exchange import Refused
from secure_fedmeta.federation.pipes import read_site
from secure_fedmeta.federation.visits import Note, Visit
from secure_fedmeta.schedule import make_schedule

N = 5
PHASES = ("advertise", "share", "mask", "vote", "unmask", "countersign")


@pytest.fixture
def there(tmp_path):
    plan = small_plan(rounds=6, epsilon=8.0)
    schedule = make_schedule(plan, clients=N, dimension=DIMENSION)
    return visited(tmp_path, schedule, tasks_for(range(1, N + 1), seed=4))


def stopped_before(exchange, post, phase):
    """Play one round, and call back before the letters of that phase (from 0) are delivered."""

    def at(call):
        real, count = post.exchange, iter(range(99))

        def counted(letters):
            if next(count) == phase:
                call(letters)
            return real(letters)

        post.exchange = counted
        report = exchange.run_round()
        post.exchange = real
        return report

    return at


def tampered(note):
    return note[:-1] + bytes([note[-1] ^ 1])


@pytest.mark.parametrize("phase", [3, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 5))])
@pytest.mark.parametrize("how", ["older", "changed", "another site's", "lost", "nonsense"])
def test_a_note_that_is_not_the_newest_costs_the_site_the_round(there, phase, how):
    exchange, post = there
    history = []

    def bend(_):
        history.append(dict(post.notes))
        post.notes[2] = {
            "older": history[0].get(2) if phase == 0 else before.get(2),
            "changed": tampered(post.notes[2]),
            "another site's": post.notes[3],
            "lost": None,
            "nonsense": os.urandom(300),
        }[how]

    before = {}
    stopped_before(exchange, post, phase - 1)(lambda _: before.update(post.notes))  # a whole round first
    report = stopped_before(exchange, post, phase)(bend)
    assert any("SFM-123" in text for text in report.rejected), report.rejected
    assert report.closed.aborted is None
    assert (2 in report.closed.survivors) == (phase > 2)  # its upload was there before
    again = exchange.run_round()
    assert again.rejected == () and len(again.closed.survivors) == N


def test_the_same_letters_twice_are_not_answered_twice(there):
    exchange, post = there
    exchange.run_round()
    for site, messages, answers in post.letters:
        notes = dict(post.notes)
        twice = post.visit(site, messages)
        assert isinstance(twice, Refused), (site, answers)
        post.notes.update(notes)


def test_letters_of_an_older_round_are_refused(there):
    exchange, post = there
    exchange.run_round()
    old = list(post.letters)
    exchange.run_round()
    assert all(isinstance(post.visit(site, messages), Refused) for site, messages, _ in old)


@pytest.mark.parametrize("phase", range(6))
def test_a_process_killed_after_its_disk_and_before_its_answer(there, phase):
    """What it had decided is on the disk, and its note never came back: it is missing, and charged what it must be."""
    exchange, post = there
    real = Visit.receive

    def killed(self, letters, sealed):
        answers, note = real(self, letters, sealed)
        if self.number == 4 and armed:
            raise KeyboardInterrupt  # nothing leaves the process
        return answers, note

    armed, visit = [], post.visit

    def guarded(site, messages):
        try:
            return visit(site, messages)
        except KeyboardInterrupt:
            return Refused("killed")

    post.visit = guarded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Visit, "receive", killed)
        report = stopped_before(exchange, post, phase)(lambda _: armed.append(1))
        armed.clear()
        again = exchange.run_round()
    assert report.closed.aborted is None and (4 in report.closed.survivors) == (phase > 2)
    assert len(again.closed.survivors) == N and again.rejected == ()
    parts = read_site(post.folders[4])
    with Visit(post.folders[4], 4, parts.records, parts.schedule, parts.credentials) as opened:
        charged = opened.storage.budget.charged_rounds
    assert charged == ({1, 2} if phase >= 2 else {2})


@pytest.mark.parametrize("phase", range(6))
def test_sites_that_are_late_at_any_phase(there, phase):
    exchange, post = there

    def silence(_):
        post.silent = {5}

    report = stopped_before(exchange, post, phase)(silence)
    assert report.closed.aborted is None and (5 in report.closed.survivors) == (phase > 2)
    assert [p.late for p in exchange.phases if p.late] == [(5,)]
    alive = report.closed.survivors
    assert exchange.server.accounts.spent().server >= report.closed.spent.server > 0 and len(alive) >= N - 1
    post.silent = set()
    assert len(exchange.run_round().closed.survivors) == N


def test_too_many_late_ones_end_the_round_without_a_sum(there):
    exchange, post = there
    theta = exchange.server.outer.theta.copy()

    def silence(_):
        post.silent = {2, 3, 4}

    report = stopped_before(exchange, post, 2)(silence)
    assert report.closed.aborted and report.closed.survivors == ()
    assert np.array_equal(exchange.server.outer.theta, theta)
    post.silent = set()
    assert len(exchange.run_round().closed.survivors) == N


def test_a_site_with_another_plan_or_key_takes_no_part(there, tmp_path):
    exchange, post = there
    other = make_schedule(small_plan(rounds=6, epsilon=7.0), clients=N, dimension=DIMENSION)
    strange, strangers = visited(tmp_path / "other", other, tasks_for(range(1, N + 1), seed=4))
    post.folders[3] = strangers.folders[3]
    report = exchange.run_round()
    assert 3 not in report.closed.survivors and len(report.rejected) == 1
    del strange


def test_a_site_whose_folder_was_put_back_takes_no_part(there, tmp_path):
    exchange, post = there
    exchange.run_round()
    shutil.copytree(post.folders[2], tmp_path / "kept")
    exchange.run_round()
    shutil.rmtree(post.folders[2])
    shutil.copytree(tmp_path / "kept", post.folders[2])
    report = exchange.run_round()
    assert report.rejected and any("SFM-310" in text or "SFM-120" in text for text in report.rejected)


def test_one_folder_is_one_site(there):
    """A second process with the folder is refused while the first one has it."""
    exchange, post = there
    parts = read_site(post.folders[1])
    with Visit(post.folders[1], 1, parts.records, parts.schedule, parts.credentials):
        report = exchange.run_round()
    assert any("SFM-103" in text for text in report.rejected) and 1 not in report.closed.survivors


def test_a_note_tells_nothing(there):
    exchange, post = there
    exchange.run_round()
    secrets = (post.folders[1] / "identity.key").read_bytes()
    for site, note in post.notes.items():
        assert secrets not in note
        assert all(message not in note for s, messages, _ in post.letters if s == site for message in messages)
    note = Note((0, 0, 0, 0), bytes(range(32)), (0, 0), (b"message",))
    assert "message" not in repr(note).replace("1 messages", "") and bytes(range(32)).hex() not in repr(note)
    with pytest.raises(TypeError):
        __import__("copy").copy(note)


def kept(post, site):
    return sorted((post.folders[site] / "round").glob("*"))


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_message_of_the_round_that_was_tampered_with(there, how):
    """The server's messages lie in the site's folder; the sealed note names their digests."""
    exchange, post = there

    def tamper(_):
        for path in kept(post, 3):
            if how == "gone":
                path.unlink()
            else:
                path.write_bytes(b"x" * path.stat().st_size)

    report = stopped_before(exchange, post, 1)(tamper)
    assert any("gone from the site's folder" in text for text in report.rejected) and 3 not in report.closed.survivors
    assert exchange.run_round().rejected == ()


def test_notes_are_small_and_messages_go_with_their_round(there):
    exchange, post = there
    exchange.run_round()
    assert all(len(note) < 600 for note in post.notes.values())
    first = kept(post, 1)
    exchange.run_round()
    assert first and not set(first) & set(kept(post, 1)) and len(kept(post, 1)) == len(first)


def test_a_refused_announcement_leaves_the_open_round(there):
    exchange, post = there

    def disturb(_):
        announced = next(messages for site, messages, _ in post.letters if site == 2)
        assert isinstance(post.visit(2, announced), Refused)  # the same once more, as a server that replays would

    report = stopped_before(exchange, post, 3)(disturb)
    assert report.rejected == () and len(report.closed.survivors) == N


def test_thirty_of_a_hundred_each_round(tmp_path):
    """Ten sites, one of them corrupt, up to three lost in a round, at whatever phase: exact sums of the others."""
    plan = small_plan(rounds=12, epsilon=8.0, dropout_fraction=0.3, corrupt_fraction=0.1)
    schedule = make_schedule(plan, clients=10, dimension=DIMENSION)
    exchange, post = visited(tmp_path, schedule, tasks_for(range(1, 11), seed=4))
    rng = np.random.default_rng(0)
    for _ in range(4):
        lost = set(map(int, rng.choice(np.arange(1, 11), 3, replace=False)))

        def silence(_, lost=lost):
            post.silent = lost

        report = stopped_before(exchange, post, int(rng.integers(0, 6)))(silence)
        assert report.closed.aborted is None and len(report.closed.survivors) >= 7
        post.silent = set()
