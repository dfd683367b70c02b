"""Three sites with their own rows, from docs/flower.md: each party makes its key, and a run is played and audited."""

import re

from flower_grid import Grid
from flwr.supercore.task_identity import TaskIdentity
from own_tables import as_csv, made_rows

from secure_fedmeta.audit import Verdict, audit_run
from secure_fedmeta.cli import main
from secure_fedmeta.federation.exchange import Exchange
from secure_fedmeta.flower.enrol import enrol
from secure_fedmeta.flower.places import read_server
from secure_fedmeta.flower.server import GridPost, find_sites
from secure_fedmeta.flower.serving import serve

SITES = ("north", "south", "west")


def test_each_site_s_rows_stay_in_its_own_file(tmp_path, monkeypatch):
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    rows = [[*row[:1], SITES[int(row[1][-1])], *row[2:]] for row in made_rows(sites=3, persons=40)]
    for name in SITES:
        (tmp_path / f"{name}.csv").write_text(as_csv([row for row in rows if row[1] == name]))
    plan = tmp_path / "agreed" / "pilot.toml"
    options = ["--target", "died", "--site", "hospital", "--person", "patient"]
    (tmp_path / "all.csv").write_text(as_csv(rows))
    assert main(["new", str(plan.parent), "--data", str(tmp_path / "all.csv"), *options]) == 0
    text = plan.read_text().replace("confirmed = false", "confirmed = true")
    plan.write_text(re.sub(r"^rounds = .*$", "rounds = 2", text, flags=re.M))
    (tmp_path / "all.csv").unlink()  # nobody has all rows
    listed = tmp_path / "allow-list.toml"
    lines = [enrol(tmp_path / "server", None, plan, listed)]
    for number, name in enumerate(SITES, start=1):
        shown = enrol(tmp_path / "sites" / name, name, plan, listed, data=tmp_path / f"{name}.csv")
        lines.append(re.sub(r"id = 0.*", f"id = {number}", shown))
    listed.write_text("\n".join(lines))
    grid = Grid({100 + i: tmp_path / "sites" / name for i, name in enumerate(SITES)})
    parts = read_server(tmp_path / "server")
    nodes = find_sites(grid, parts, deadline=5.0, patience=0.0)
    post = GridPost(grid, nodes, deadline=5.0)
    serve(parts, Exchange(parts.schedule, (1, 2, 3), post, credentials=parts.credentials), tmp_path / "run")
    found = audit_run(tmp_path / "run", roster=listed, heads=tmp_path / "sites").findings
    assert found.verdict is Verdict.OK, found.found
