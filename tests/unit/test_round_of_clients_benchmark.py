"""The benchmark of a federated round: its engines do the same work, and its last line holds what it promises."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FILE = Path(__file__).parents[2] / "benchmarks" / "federated_round.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("benchmarks_federated_round", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_engines_do_the_same_work(bench):
    shards, *_ = bench.digits()
    net = bench.bind(bench.mlp())
    source, theta = bench.StackedClients(shards), net.start_tensor().float()
    hand = bench.Trained(bench.LocalSgd(net, loss="cross-entropy", lr=0.1, batch_size=7))
    other = bench.ByEngine(net.of_type(torch.float32), 100)
    everyone = np.arange(100)
    for clip in (None, 0.05):
        torch.testing.assert_close(
            hand.total(theta, source, everyone, clip), other.total(theta, source, everyone, clip), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("noise", ["0", "1"])
def test_the_last_line_is_the_report(bench, noise, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["x", "--noise", noise, "--repeat", "1", "--seeds", "1", "--no-accuracy", "--json"]
    )
    threads = torch.get_num_threads()
    try:
        bench.main()
    finally:
        torch.set_num_threads(threads)
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    wanted = {"min_ms", "median_ms", "first_call_ms", "peak_extra_bytes", "clients_per_second"}
    assert wanted <= set(report) and report["min_ms"] <= report["median_ms"]
    assert ("ring_over_round" in report) == (noise == "1")


def test_a_peer_that_is_not_built_stops_the_comparison(bench, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "__file__", str(tmp_path / "benchmarks" / "federated_round.py"))
    with pytest.raises(SystemExit, match="nothing was compared"):
        bench.peer("mlp", 0, None, (None, None), None)
