"""A checkpoint or a journal of charges that was edited, truncated, swapped or put back to an older state."""

import json
import shutil

import numpy as np
import pytest
from populations import small_training, start_of

from fedmeta_privacy.errors import JournalDamaged, JournalRolledBack
from secure_fedmeta.errors import CheckpointDamaged
from secure_fedmeta.population import checkpoint as checkpoint_module
from secure_fedmeta.population.training import JOURNAL, train


class StopError(Exception):
    pass


def stopped_at(step):
    def stop(now, survivors, theta):
        if now == step:
            raise StopError

    return stop


@pytest.fixture
def folder(tmp_path):
    training = small_training()
    with pytest.raises(StopError):
        train(training, start_of(training), folder=tmp_path, watch=stopped_at(4), progress=False)
    return tmp_path


def resume(folder, **changes):
    training = small_training(**changes)
    return train(training, start_of(training), folder=folder, resume=True, progress=False)


@pytest.mark.parametrize("name", sorted(checkpoint_module._FIELDS))
def test_an_edited_field(folder, name):
    path = folder / "checkpoint.json"
    entry = json.loads(path.read_text())
    entry[name] = entry[name] + 1 if isinstance(entry[name], int) else "0" + entry[name][1:] + "0"
    path.write_text(json.dumps(entry))
    with pytest.raises(CheckpointDamaged, match="SFM-142"):
        resume(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\x80\x04N.", b"null", b'{"format": 1}', b"[" * 100_000])
def test_something_else_in_its_place(folder, content):
    (folder / "checkpoint.json").write_bytes(content)
    with pytest.raises(CheckpointDamaged):
        resume(folder)
    state = next(folder.glob("state-*"))
    assert state.exists()


@pytest.mark.parametrize("at", [0, 9, 60, -1])
def test_one_flipped_bit_of_the_model(folder, at):
    path = next(folder.glob("state-*"))
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointDamaged, match="not the file"):
        resume(folder)


def test_a_recomputed_digest_does_not_pass_off_arrays_that_no_run_has(folder):
    found = checkpoint_module.load(folder, settings=small_training().digest, dimension=31, most=6)
    for changes in (
        {"theta": np.full(31, np.nan, np.float32)},
        {"theta": np.zeros(30, np.float32)},
        {"theta": np.zeros(31, np.int64)},
        {"taken": found.taken + 100},
        {"step": 7},
    ):
        forged = {name: getattr(found, name) for name in found.__slots__} | changes
        checkpoint_module.save(folder, checkpoint_module.Checkpoint(**forged))
        with pytest.raises(CheckpointDamaged):
            resume(folder)


def test_a_size_that_lies_is_found_before_anything_is_read(folder, monkeypatch):
    monkeypatch.setattr(checkpoint_module, "_LARGEST_TENSORS", 100)
    with pytest.raises(CheckpointDamaged, match="larger than"):
        resume(folder)


@pytest.mark.parametrize("changes", [{"seed": 8}, {"rounds": 7}, {"clip_norm": 0.6}, {"server_lr": 2.0}])
def test_another_runs_checkpoint(folder, changes):
    with pytest.raises(CheckpointDamaged, match="other settings"):
        resume(folder, **changes)


def test_a_journal_put_back_is_refused(tmp_path):
    training = small_training()
    old = tmp_path / "old"
    for step, again in ((2, False), (4, True)):
        with pytest.raises(StopError):
            train(
                training,
                start_of(training),
                folder=tmp_path / "run",
                resume=again,
                watch=stopped_at(step),
                progress=False,
            )
        if step == 2:
            shutil.copy(tmp_path / "run" / JOURNAL, old)
    shutil.copy(old, tmp_path / "run" / JOURNAL)
    with pytest.raises(JournalRolledBack):
        resume(tmp_path / "run")


def test_an_edited_journal_is_refused(folder):
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    for bent in (
        lines[1:],
        [lines[0], *lines[2:]],
        [*lines, lines[-1]],
        [lines[0].replace(b'"round":1', b'"round":9')],
    ):
        (folder / JOURNAL).write_bytes(b"".join(bent))
        with pytest.raises((JournalDamaged, JournalRolledBack)):
            resume(folder)


def test_a_torn_last_line_was_never_released(folder):
    with (folder / JOURNAL).open("ab") as file:
        file.write(b'{"prev":"00')
    assert resume(folder).rounds == 6
    assert (folder / JOURNAL).read_bytes().count(b"\n") == 6


def test_a_checkpoint_put_back_costs_its_rounds_again(tmp_path):
    """In the fresh mode the journal remembers: the rounds done again are charged on top."""
    training = small_training(reproducible=False, spare=10)
    with pytest.raises(StopError):
        train(training, start_of(training), folder=tmp_path / "run", watch=stopped_at(3), progress=False)
    shutil.copytree(tmp_path / "run", tmp_path / "old")
    with pytest.raises(StopError):
        train(training, start_of(training), folder=tmp_path / "run", resume=True, watch=stopped_at(5), progress=False)
    for file in (tmp_path / "old").glob("*"):
        if file.name != JOURNAL:
            shutil.copy(file, tmp_path / "run" / file.name)
    result = train(training, start_of(training), folder=tmp_path / "run", resume=True, progress=False)
    # Charged: 1, 2, 3; then 3, 4, 5 again; then from the old checkpoint, after round 2, 3 to 6.
    assert result.rounds == 6 and result.charged == 3 + 3 + 4
