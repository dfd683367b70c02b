"""A full disk: a numbered error, whole lines, charges that stand, and a run that goes on once there is room."""

import resource
from contextlib import contextmanager

import pytest
from killed_runs import audited, played

from fedmeta_privacy.ledger import verify
from secure_fedmeta.audit import Verdict
from secure_fedmeta.cli import main
from secure_fedmeta.errors import FileError
from secure_fedmeta.federation.storage import Appender, replace_durably
from secure_fedmeta.files import sites_beside
from secure_fedmeta.report import write_report
from secure_fedmeta.report.facts import Facts


@contextmanager
def room_for(size):
    """The system lets no file grow beyond that many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def charges(out):
    return {home.name: (home / "budget.jsonl").read_bytes() for home in sorted(sites_beside(out).glob("*/"))}


@pytest.mark.parametrize(
    "size", [4000, *(pytest.param(size, marks=pytest.mark.long) for size in (2000, 2800, 6500, 9000))]
)
def test_a_run_ends_as_by_a_kill_and_goes_on(tmp_path, size):
    out = tmp_path / "run"
    with room_for(size), pytest.raises(FileError, match=r"SFM-103: the system refused to write: .*run --resume"):
        played(out)
    ledger = (out / "ledger.jsonl").read_bytes()
    entries = verify(ledger)  # whole lines, though a line did not fit
    assert entries[0]["type"] == "run" and entries[-1]["type"] != "end"
    before = charges(out)
    played(out, resume=True)
    assert (out / "ledger.jsonl").read_bytes().startswith(ledger)
    assert all(after.startswith(before[name]) for name, after in charges(out).items())
    assert audited(out).findings.verdict is Verdict.OK
    stated = [each.epsilon["server"] for each in Facts.of(out).record.rounds]
    assert stated == sorted(stated)


def test_a_line_that_does_not_fit_leaves_no_half(tmp_path):
    path = tmp_path / "lines"
    file = Appender(path)
    with room_for(1000):
        file.write(b"a" * 700 + b"\n")
        with pytest.raises(OSError, match="too large"):
            file.write(b"b" * 700 + b"\n")
        assert path.read_bytes() == b"a" * 700 + b"\n"
        file.write(b"c\n")  # what fits is taken again
    file.close()
    assert path.read_bytes() == b"a" * 700 + b"\nc\n"


def test_what_was_there_is_kept_when_the_new_one_does_not_fit(tmp_path):
    path = tmp_path / "page"
    replace_durably(path, b"old")
    with room_for(1000), pytest.raises(OSError, match="too large"):
        replace_durably(path, bytes(5000))
    assert path.read_bytes() == b"old" and [each.name for each in tmp_path.iterdir()] == ["page"]


def test_pages_are_whole_or_the_old_ones(tmp_path, capsys):
    out = tmp_path / "run"
    played(out)
    before = write_report(out).read_bytes()
    with room_for(20_000):
        assert main(["report", str(out), "--format", "json"]) == 1
    assert "SFM-103" in capsys.readouterr().out and (out / "report.html").read_bytes() == before
