"""Plans of this project: what they give up is said before any record is read."""

import pytest

from secure_fedmeta.check import check_paths

PLANS = [
    ("", set()),
    ("delta = 0.0018\n", {"SFM-550"}),
    ("insecure_reproducible = true\n", {"SFM-551"}),
    ('aggregation = "none"\n', {"SFM-552"}),
    ('strength = "semi-honest"\n', {"SFM-553"}),
    ('strength = "semi-malicious"\n', {"SFM-557"}),
    ('epsilon = "none"\n', {"SFM-554"}),
    ("epsilon = 20.0\n", {"SFM-556"}),
    ("clients = 2\n", {"SFM-555"}),
    ("colluders = 8\n", {"SFM-555"}),
    ("dropout = 0.6\n", {"SFM-555"}),
    ('strength = "semi-honest"\ninsecure_reproducible = true\nepsilon = "none"\n', {"SFM-551", "SFM-553", "SFM-554"}),
]


@pytest.mark.parametrize(("settings", "codes"), PLANS, ids=lambda v: v if isinstance(v, str) else "")
def test_each_downgrade_is_a_finding_in_its_line(tmp_path, settings, codes):
    file = tmp_path / "plan.toml"
    file.write_text('pilot = "hospital"\n' + settings)
    checked = check_paths([file])
    assert checked.problems == () and {f.code for f in checked.findings} == codes
    assert checked.clean == (not codes or codes <= {"SFM-556", "SFM-557"})
    if len(codes) == 1 and codes <= {"SFM-550", "SFM-551", "SFM-552", "SFM-553", "SFM-554"}:
        assert [f.line for f in checked.findings] == [2]


def test_plans_in_a_folder_are_found_beside_scripts(tmp_path):
    (tmp_path / "plan.toml").write_text('pilot = "hospital"\nepsilon = "none"\n')
    (tmp_path / "pyproject.toml").write_text("[tool.flwr.app.config]\nnum-server-rounds = 3\n")
    assert [f.code for f in check_paths([tmp_path]).findings] == ["SFM-554"]


def test_no_records_are_read(tmp_path, monkeypatch):
    from secure_fedmeta.datasets import hospital

    monkeypatch.setattr(hospital, "load_hospitals", lambda **_: pytest.fail("records were read"))
    (tmp_path / "plan.toml").write_text('pilot = "hospital"\ndelta = 0.01\n')
    assert not check_paths([tmp_path / "plan.toml"]).clean
