# SPDX-License-Identifier: Apache-2.0
"""What a round costs a client and the server at 10^3 to 10^6 clients: measured where a machine can, fitted beyond.

python benchmarks/scale_on_paper.py [--dimension 100000]

A round costs bytes and seconds linear in the neighbours k, the clients n (a signed round lists its survivors,
and vote) and the words of the masks, k d for a client. Rounds of a few hundred clients give the factors of each
strength, for small vectors; one round of two dimensions gives that of the masks. k and t follow from the default
policy with a twentieth corrupt and a twentieth lost.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from side_by_side import HERE, last_json

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.graph import GraphParameters, assured, published

MEASURED = {
    "semi-honest": (150, 300, 500, 800),
    "semi-malicious": (150, 300, 500, 800),
    "malicious": (150, 250, 350, 450),
}
SMALL, LARGE = 100, 20_100
SIZES = (1_000, 10_000, 100_000, 1_000_000)
FRACTION = 0.05


def played(mode: str, clients: int, dimension: int) -> dict[str, Any]:
    """One round, all clients' checks executed, nobody lost."""
    options = ["--clients", str(clients), "--dimension", str(dimension), "--mode", mode]
    command = [sys.executable, str(HERE / "secure_aggregation.py"), *options, "--repeat", "1", "--no-warm-up", "--json"]
    found: dict[str, Any] = last_json(command)
    return found


def graph_of(mode: str, n: int) -> GraphParameters:
    """As the default policy has it."""
    lost = int(n * FRACTION)
    if mode == "malicious":
        return assured(n, corrupt=lost, dropped=lost)
    return published(n, corrupt=lost, dropped=lost, malicious=mode == "semi-malicious")


def fitted(rounds: list[dict[str, Any]], what: str, party: str | None = None) -> np.ndarray[Any, Any]:
    """Factors of 1, k and n for a client; of n and n k for the server."""
    n = np.array([found["params"]["clients"] for found in rounds], dtype=float)
    k = np.array([found["params"]["neighbours"] for found in rounds], dtype=float)
    values = np.array([found[what] if party is None else found[what][party] for found in rounds])
    columns = [n, n * k] if what == "server_seconds" else [np.ones_like(n), k, n]
    factors, *_ = np.linalg.lstsq(np.stack(columns, axis=1), values, rcond=None)
    return np.maximum(factors, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimension", type=int, default=100_000)
    d = parser.parse_args().dimension
    two = [played("semi-honest", 40, size) for size in (SMALL, LARGE)]
    neighbours = two[0]["params"]["neighbours"]
    words = (two[1]["client_seconds"]["total"] - two[0]["client_seconds"]["total"]) / (neighbours + 1) / (LARGE - SMALL)
    print(f"a masked word: {1e9 * words:.2f} ns")
    print("| strength | clients | k | t | a client: up, MB | down, MB | seconds | the server: MB | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for mode, sizes in MEASURED.items():
        rounds = [played(mode, n, SMALL) for n in sizes]
        up, down = fitted(rounds, "upload_bytes_per_client"), fitted(rounds, "download_bytes_per_client")
        client, server = fitted(rounds, "client_seconds", "total"), fitted(rounds, "server_seconds", "total")
        verifying = [found["all_clients_verifying_seconds"] / found["params"]["clients"] for found in rounds]
        checks = np.polyfit(sizes, verifying, 1)[0]
        for n in SIZES:
            try:
                graph = graph_of(mode, n)
            except PlanRefused:
                print(f"| {mode} | {n} | none | | | | | | |")
                continue
            k = graph.neighbours
            terms = np.array([1.0, k, n])
            sent, got = up @ terms + 4 * (d - SMALL), down @ terms
            seconds = client @ terms + checks * n + words * (k + 1) * (d - SMALL)
            # A survivor's self-mask is taken off, and a lost client's masks with its neighbours.
            unmasking = words * (d - SMALL) * (n + FRACTION * n * k)
            busy = server @ np.array([n, n * k], dtype=float) + unmasking
            row = f"| {mode} | {n} | {k} | {graph.threshold} | {sent / 1e6:.2f} | {got / 1e6:.2f} | {seconds:.2f} "
            print(row + f"| {n * (sent + got) / 1e6:.0f} | {busy:.0f} |")


if __name__ == "__main__":
    main()
