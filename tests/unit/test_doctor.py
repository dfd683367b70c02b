"""Each of the doctor's checks finds the fault that is planted for it, and is quiet without it."""

import os
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from fedmeta_crypto.homomorphic.errors import NativeProcessDied
from secure_fedmeta import doctor, machine
from secure_fedmeta.doctor import State

ROOT = Path(__file__).parents[2]


def found(check, state, *words):
    assert check.state is State(state)
    assert all(word in check.what for word in words), check.what
    assert bool(check.remedy) == (check.state is not State.OK)


def test_the_table_of_libraries_is_that_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert dict(line.split(">=") for line in project["dependencies"]) == {n: v[0] for n, v in doctor.TESTED.items()}
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    for line in pinned:
        name, version = line.split("==")
        assert doctor.TESTED.get(name, (None, version))[1] == version
    assert all(doctor.numbers(least) <= doctor.numbers(tested) for least, tested in doctor.TESTED.values())


def test_python():
    found(doctor.python((3, 11, 0)), "ok")
    found(doctor.python((3, 10, 14)), "fault", "3.10.14")
    found(doctor.python((3, 99, 1)), "note", "newer")


def test_a_library_that_is_missing_old_or_new():
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    found(doctor.dependency("numpy", missing), "fault", "not installed")
    found(doctor.dependency("numpy", lambda _: "1.9.5"), "fault", "older than 1.26")
    found(doctor.dependency("numpy", lambda _: "1.26.0rc1"), "ok")
    found(doctor.dependency("numpy", lambda _: "17.0"), "note", "newer")
    found(doctor.dependency("torch", lambda _: "2.13.0+cpu"), "ok")
    found(doctor.dependency("torch", lambda _: "nonsense"), "fault", "older")


def test_torch(tmp_path):
    well, ill = (sys.executable, "-c", ""), (sys.executable, "-c", "raise ImportError('libgomp.so.1 is missing')")
    found(doctor.torch_build(tmp_path, command=well), "fault", "not installed")
    (tmp_path / "version.py").write_text("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip = None\n")
    found(doctor.torch_build(tmp_path, command=well), "ok", "CPU")
    found(doctor.torch_build(tmp_path, command=ill), "fault", "libgomp.so.1 is missing")
    found(doctor.torch_build(tmp_path, command=("/nowhere/python",)), "fault", "FileNotFoundError")
    (tmp_path / "version.py").write_text("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n")
    found(doctor.torch_build(tmp_path, command=well), "note", "GPU")
    (tmp_path / "version.py").write_text("cuda: Optional[str] = None\nhip: Optional[str] = '6.2'\n")
    found(doctor.torch_build(tmp_path, command=well), "note", "GPU")


def good_stream(n):
    return bytes.fromhex("0388dace60b6a392f328c2b971b2fe78") if n == 16 else bytes(n)


def ticks(step):
    times = iter(range(100))
    return lambda: next(times) * step


def test_keystream(tmp_path):
    found(doctor.keystream(good_stream, ticks(1e-3), lambda: True), "ok", "8389 MB")
    found(doctor.keystream(good_stream, ticks(0.5), lambda: True), "note", "busy")
    found(doctor.keystream(good_stream, ticks(1e-3), lambda: False), "note", "no AES")
    found(doctor.keystream(good_stream, ticks(1e-3), lambda: None), "ok")
    found(doctor.keystream(bytes, ticks(1e-3), lambda: True), "fault", "wrong bytes")
    assert doctor.keystream().state is not State.FAULT  # the real one gives the known block
    (tmp_path / "cpuinfo").write_text("flags\t: fpu vaes sse2\n")
    assert doctor.has_aes(tmp_path / "cpuinfo") is False and doctor.has_aes(tmp_path / "none") is None
    (tmp_path / "cpuinfo").write_text("Features : fp aes sha2\n")
    assert doctor.has_aes(tmp_path / "cpuinfo") is True


def test_entropy():
    def not_yet(n):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    found(doctor.entropy(), "ok")
    found(doctor.entropy(not_yet), "fault", "BlockingIOError")
    found(doctor.entropy(lambda n: bytes(range(n))), "fault", "repeat")
    found(doctor.entropy(lambda n: os.urandom(n - 1)), "fault")
    halves = iter([bytes(32), bytes([1]) * 32])
    found(doctor.entropy(lambda n: next(halves)), "fault", "repeat")


def test_tenseal():
    def dies():
        raise NativeProcessDied("it ended with status -11", where="native process")

    found(doctor.tenseal(), "ok")
    found(doctor.tenseal(lambda: None), "ok")
    found(doctor.tenseal(dies), "fault", "SFM-254", "status -11")


def test_tenseal_that_cannot_be_loaded_in_its_child(tmp_path, monkeypatch):
    (tmp_path / "tenseal.py").write_text("raise ImportError('broken here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found(doctor.tenseal(), "fault", "SFM-2")


def test_clock():
    found(doctor.clock(), "ok")
    found(doctor.clock(now=0.0, newest=1.7e9), "note", "behind")
    found(doctor.clock(now=4e9, newest=1.7e9), "note", "twenty years")
    found(doctor.clock(now=1.7e9, newest=1.7e9 + 3600), "ok", "2023-11-14")  # a time zone off is no fault


def test_texts():
    found(doctor.texts("utf-8", "UTF8"), "ok")
    found(doctor.texts("ascii", "utf-8"), "note", "ascii")
    found(doctor.texts("utf-8", "iso8859-1"), "note", "iso8859-1")


def test_terminal():
    found(doctor.terminal(120, is_one=True, environment={"TERM": "xterm"}), "ok", "120")
    found(doctor.terminal(60, is_one=True, environment={"TERM": "xterm"}), "note", "60")
    found(doctor.terminal(120, is_one=True, environment={"TERM": "dumb"}), "note", "dumb")
    found(doctor.terminal(20, is_one=False, environment={"TERM": "dumb"}), "ok", "none")


def test_cores():
    found(machine.cores(1), "note")
    found(machine.cores(2), "ok", "2")
    assert int(machine.cores().what) >= 1


def test_memory(tmp_path):
    found(machine.memory(None), "note", "does not say")
    found(machine.memory(1 << 28), "fault", "0.2 GiB")
    found(machine.memory(1 << 30), "note", "1.0 GiB")
    found(machine.memory(1 << 33), "ok", "8.0 GiB")
    said = tmp_path / "meminfo"
    assert machine.available_memory(said, tmp_path) is None
    said.write_text("MemTotal:  100 kB\nMemAvailable:   50 kB\n")
    assert machine.available_memory(said, tmp_path) == 51200
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("99\n")
    assert machine.available_memory(said, tmp_path) == 51200
    (tmp_path / "memory.max").write_text("100\n")
    assert machine.available_memory(said, tmp_path) == 1


def test_folder(tmp_path):
    plenty = {"space": lambda place: 1 << 40}
    found(machine.folder(tmp_path / "not" / "yet", **plenty), "ok", str(tmp_path), "1024.0 GiB")
    found(machine.folder(tmp_path, space=lambda place: 1 << 20), "fault", "0.0 GiB")
    found(machine.folder(tmp_path, space=lambda place: 1 << 28), "note", "0.2 GiB")
    (tmp_path / "a file").write_text("x")
    found(machine.folder(tmp_path / "a file", **plenty), "fault", "cannot write")
    found(machine.folder(Path("/proc/self"), **plenty), "fault", "cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_a_file_system_without_modes(tmp_path, monkeypatch):
    real = os.fstat
    monkeypatch.setattr(machine.os, "fstat", lambda number: os.stat_result((0o100777, *real(number)[1:])))
    found(machine.folder(tmp_path, space=lambda place: 1 << 40), "fault", "others may read")


def test_a_fault_without_words_is_named_by_its_kind():
    def exhausted():
        raise MemoryError

    found(doctor.tenseal(exhausted), "fault", "MemoryError")
