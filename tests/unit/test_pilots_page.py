"""docs/pilots.md shows the stored tables as they are, and the rules that it states are those of the code."""

import importlib.util
from pathlib import Path

from secure_fedmeta.datasets import own, table
from secure_fedmeta.pilots import NAMES

ROOT = Path(__file__).parents[2]


def benchmark():
    spec = importlib.util.spec_from_file_location("pilots_benchmark", ROOT / "benchmarks" / "pilots.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_the_stored_ones():
    module = benchmark()
    page = module.PAGE.read_text(encoding="utf-8")
    shown = page.split(module.BEGIN)[1].split(module.END)[0]
    assert shown.strip() == module.tables().strip()


def test_the_targets_are_worked_out_from_the_rows():
    module = benchmark()
    rows = {
        "no privacy": {"auroc": [0.9, 0.91], "worst": [0.8, 0.8], "ece": [0.02, 0.02], "unseen_10": [0.8, 0.8]},
        "epsilon 3": {"auroc": [0.88, 0.89], "worst": [0.7, 0.7], "ece": [0.02, 0.05], "unseen_10": [0.8, 0.81]},
        "FedAvg + fine-tuning, x": {"auroc": [0.9, 0.9], "worst": [0.8, 0.8], "ece": [0, 0], "unseen_10": [0.8, 0.8]},
        "each unit alone": {"auroc": [0.7, 0.7], "worst": [0.6, 0.6], "ece": [0, 0], "unseen_10": [0.1, 0.1]},
    }
    checks = {one["what"]: one for one in module.targets("icu", rows)}
    assert [one["holds"] for one in checks.values()] == [False, False, True, True]
    assert checks["AUROC at epsilon 3 within 0.007 of no privacy"]["figure"].startswith("-0.0200")


def test_the_page_names_every_pilot_and_the_rules_numbers():
    page = (ROOT / "docs" / "pilots.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*NAMES, "wearables"))
    assert f"fewer than {own.FEWEST_PERSONS} persons" in page
    assert (
        f"{table.MOST_BYTES // 2**30} GiB, {table.MOST_ROWS // 10**6} million rows or {table.MOST_COLUMNS} columns"
        in page
    )
