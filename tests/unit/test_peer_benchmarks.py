"""The benchmarks against other projects: an environment that cannot be built and a row that fails are never silent."""

import importlib.util
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def script(path):
    spec = importlib.util.spec_from_file_location(f"benchmarks_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


build, side_by_side = script(BENCHMARKS / "peers/build.py"), script(BENCHMARKS / "side_by_side.py")


def test_a_loosened_dependency_loses_its_versions_and_extras_are_left_out():
    metadata = (
        "Name: flwr\nRequires-Dist: certifi>=2026.10.19\nRequires-Dist: sqlalchemy[asyncio]>=2,<3\n"
        'Requires-Dist: ray==2.55.1 ; python_version > "3" and extra == "simulation"\n\nText\n'
    )
    assert build.requirements(metadata, ("certifi",)) == ["certifi", "sqlalchemy[asyncio]>=2,<3"]


def test_every_peer_has_its_pins():
    for name in build.PEERS:
        lines = (BENCHMARKS / "peers" / f"{name}.txt").read_text().split()
        assert lines and all("==" in line for line in lines)


def test_an_environment_that_cannot_be_built_ends_the_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(build, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(build, "run", lambda *command: (_ for _ in ()).throw(build.NotBuiltError("no such wheel")))
    monkeypatch.setattr(sys, "argv", ["build.py", "flower"])
    with pytest.raises(SystemExit) as ended:
        build.main()
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "NOT BUILT: the environment of flower" in said.err and "no such wheel" in said.err and said.out == ""


def test_a_command_that_fails_carries_its_reason():
    with pytest.raises(build.NotBuiltError, match=r"(?s)ended with 3.*first\nlast"):
        build.run(sys.executable, "-c", "import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)")


def test_a_missing_environment_stops_the_comparison(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()  # half built
    monkeypatch.setattr(side_by_side, "PEER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["side_by_side.py"])
    with pytest.raises(SystemExit, match="nothing was compared"):
        side_by_side.main()


def test_rows_that_fail_say_so_and_the_others_go_on(monkeypatch, capsys, tmp_path):
    def answer(command):
        if "malicious" in command:
            raise side_by_side.FailedError("out of luck")
        own = "--json" in command
        return {
            "client_seconds": {"masking": 1.0, "total": 0.01 if own else 1.1},
            "server_seconds": {"total": 0.1 if own else 30.0},
            "upload_bytes_per_client": 400_000 if own else 800_000,
            "peak_memory_bytes": 10**6,
            "params": {"threshold": 9},
        }

    monkeypatch.setattr(side_by_side, "last_json", answer)
    (tmp_path / "complete").touch()
    monkeypatch.setattr(side_by_side, "PEER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["side_by_side.py", "--repeat", "2"])
    with pytest.raises(SystemExit) as ended:
        side_by_side.main()
    assert ended.value.code == 1
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "/" in line]
    by_row = {tuple(row[:4]): row for row in rows}
    assert by_row["server", "50/50/100000", "semi-honest", "32"][4:] == [
        *("30.0000s", "0.1000s", "300.0x", ">=", "500x", "no")
    ]
    assert by_row["server", "100/15/1000000", "semi-honest", "32"][-1] == "yes"
    assert by_row["client", "100/15/1000000", "semi-honest", "32"][6] == "100.0x"  # without its encoding
    assert by_row["client", "50/50/100000", "malicious", "32"][4:] == ["failed:", "out", "of", "luck"]


def test_the_last_line_of_stderr_is_the_reason():
    with pytest.raises(side_by_side.FailedError, match=r"^second$"):
        side_by_side.last_json([sys.executable, "-c", "raise SystemExit('first\\nsecond')"])
