"""A run that is killed goes on: to the same bit in the reproducible mode, and otherwise with every release charged."""

import os
import random
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from populations import small_training, start_of

from secure_fedmeta.errors import FileError
from secure_fedmeta.population.checkpoint import load
from secure_fedmeta.population.training import JOURNAL, train

CHILD = Path(__file__).parents[2] / "support" / "population_child.py"


class Nursery:
    """A process that forks the runs to be killed."""

    def __enter__(self):
        command = [sys.executable, str(CHILD)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def start(self, folder, mode):
        how = "resume" if (folder / JOURNAL).exists() else "start"
        self.process.stdin.write(f"{folder} {mode} {how}\n")
        return int(self.process.stdout.readline())

    def ended(self):
        self.process.stdin.write("\n")
        return int(self.process.stdout.readline())


def releases(folder):
    file = folder / "releases"
    return file.read_text().splitlines() if file.exists() else []


def killed_and_resumed(nursery, folder, mode, kills, rng):
    """Kill one run `kills` times, each time soon after another of its releases (or before the first), then finish."""
    folder.mkdir()
    for _ in range(kills):
        before, process = len(releases(folder)), nursery.start(folder, mode)
        wanted, end = before + rng.randrange(3), time.monotonic() + 60
        while len(releases(folder)) < wanted and not (folder / "theta.npy").exists() and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        os.kill(process, signal.SIGKILL)  # it may have ended by itself, and its number is still its own
        nursery.ended()
        charged = (folder / JOURNAL).read_bytes().count(b"\n") if (folder / JOURNAL).exists() else 0
        assert mode == "reproducible" or charged >= len(releases(folder))
    nursery.start(folder, mode)
    assert nursery.ended() == 0
    return np.load(folder / "theta.npy")


def check_kills(tmp_path, kills, seed, runs=1):
    rng = random.Random(seed)
    whole = train(small_training(rounds=6), start_of(small_training()), progress=False)
    with Nursery() as nursery:
        for run in range(runs):
            theta = killed_and_resumed(nursery, tmp_path / f"reproducible-{run}", "reproducible", kills - 1, rng)
            assert theta.tobytes() == whole.theta.numpy().tobytes()
            folder = tmp_path / f"fresh-{run}"
            killed_and_resumed(nursery, folder, "fresh", kills, rng)
            charges, made = (folder / JOURNAL).read_bytes().count(b"\n"), releases(folder)
            assert charges >= len(made) >= 6
            # A round that was done again is another release, never the same noise twice.
            assert len({line.split()[1] for line in made}) == len(made)


def test_killed_a_few_times(tmp_path):
    check_kills(tmp_path, kills=3, seed=1)


@pytest.mark.long
def test_killed_at_fifty_points(tmp_path):
    check_kills(tmp_path, kills=6, seed=2, runs=5)


class StopError(Exception):
    pass


@cache
def never_broken_off(reproducible):
    training = small_training(reproducible=reproducible, spare=8)
    return train(training, start_of(training), progress=False)


@pytest.mark.parametrize("reproducible", [True, False])
@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("at", [1, 2, 4, 6])
def test_broken_off_after_any_release(tmp_path, at, every, reproducible):
    training = small_training(reproducible=reproducible, spare=8)

    def stop(step, survivors, theta):
        if step == at:
            raise StopError

    with pytest.raises(StopError):
        train(training, start_of(training), folder=tmp_path, every=every, watch=stop, progress=False)
    made = []
    result = train(
        training,
        start_of(training),
        folder=tmp_path,
        every=every,
        resume=True,
        watch=lambda step, survivors, theta: made.append(step),
        progress=False,
    )
    done = (at - 1) // every * every  # rounds in the checkpoint
    assert made == list(range(done + 1, 7)) and result.rounds == 6
    whole = never_broken_off(reproducible)
    if reproducible:
        assert torch.equal(result.theta, whole.theta) and result.charged == 6
        assert result.release == whole.release
    else:
        assert result.charged == 6 + at - done
        assert result.release > whole.release
        assert not torch.equal(result.theta, whole.theta)


def test_what_is_lost_beyond_the_spare_rounds_ends_the_run(tmp_path):
    training = small_training(reproducible=False, spare=1)

    def stop(step, survivors, theta):
        raise StopError

    for resume in (False, True, True):
        with pytest.raises(StopError):
            train(training, start_of(training), folder=tmp_path, resume=resume, watch=stop, progress=False)
    result = train(training, start_of(training), folder=tmp_path, resume=True, progress=False)
    assert result.charged == 7 and result.rounds == 4 and "no room for round 5" in result.stopped


def test_a_finished_run_resumes_to_itself(tmp_path):
    training = small_training()
    first = train(training, start_of(training), folder=tmp_path, progress=False)
    again = train(training, start_of(training), folder=tmp_path, resume=True, progress=False)
    assert torch.equal(first.theta, again.theta) and (first.release, first.server) == (again.release, again.server)
    found = load(tmp_path, settings=training.digest, dimension=len(first.theta), most=6)
    assert found.step == 6 and found.releases == 6 and found.lost == 0
    assert [file.name for file in tmp_path.glob("state-*")] == ["state-6.safetensors"]


def test_a_folder_with_a_run_is_never_started_over_and_none_is_never_resumed(tmp_path):
    training = small_training()
    with pytest.raises(FileError, match="holds no run"):
        train(training, start_of(training), folder=tmp_path, resume=True)
    train(training, start_of(training), folder=tmp_path, progress=False)
    with pytest.raises(FileError, match="holds a run already"):
        train(training, start_of(training), folder=tmp_path)


@pytest.mark.parametrize("reproducible", [True, False])
def test_killed_before_its_first_checkpoint_and_again_before_the_next(tmp_path, reproducible):
    """The first kill left a journal without a line; what is charged after it must have settings to belong to."""
    training = small_training(reproducible=reproducible, spare=3)
    (tmp_path / JOURNAL).touch()

    def killed(step, survivors, theta):
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(training, start_of(training), folder=tmp_path, resume=True, every=5, watch=killed, progress=False)
        assert (tmp_path / "checkpoint.json").exists()
    result = train(training, start_of(training), folder=tmp_path, resume=True, progress=False)
    assert result.rounds == 6 and result.charged == (6 if reproducible else 8)
