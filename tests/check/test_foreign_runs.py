"""What another tool's run leaves, and what that cannot show."""

from pathlib import Path

from secure_fedmeta.check import check_paths, what_cannot_be_shown
from secure_fedmeta.check.foreign import MOST_NAMES, Leavings, look

EXAMPLES = Path(__file__).parent / "examples" / "bad"


def text(sentences):
    return "\n".join(sentences)


def test_a_flower_run_with_opacus(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "client.log").write_text("INFO : Epsilon value for delta=1e-05 is 0.62\n")
    (tmp_path / "final_model.pt").write_bytes(b"\x80\x04")
    (tmp_path / "pyproject.toml").write_text("[tool.flwr.app.config]\nnoise = 1.0\n")
    findings = check_paths([EXAMPLES / "numpy_client.py"]).findings
    said = text(what_cannot_be_shown(look(tmp_path), findings))
    for start in ("No ledger", "No signatures", "No executed parameters", "Sampling not evidenced", "Unit, view"):
        assert start in said
    assert "the engine's own word (logs/client.log)" in said and "one round's" in said
    assert "Not opened: final_model.pt" in said
    assert "SFM-501" in said and "numpy_client.py:" in said and "SFM-503" in said


def test_an_empty_folder_shows_nothing(tmp_path):
    said = text(what_cannot_be_shown(look(tmp_path)))
    assert "No ledger" in said and "No epsilon is stated" in said and "SFM-" not in said


def test_a_run_of_ours_is_for_the_audit_itself():
    ours = Leavings(frozenset({"ledger.jsonl", "allow-list.toml", "disclosure.json"}))
    assert what_cannot_be_shown(ours) == []
    unsigned = text(what_cannot_be_shown(Leavings(frozenset({"ledger.jsonl"}))))
    assert "No signatures" in unsigned and "No ledger" not in unsigned


def test_a_folder_without_end_is_cut_short(tmp_path, monkeypatch):
    from secure_fedmeta.check import foreign

    monkeypatch.setattr(foreign, "MOST_NAMES", 3)
    for n in range(5):
        (tmp_path / f"{n}.log").write_text("loss 0.3\n")
    assert look(tmp_path).cut_short and "unchecked" in text(what_cannot_be_shown(look(tmp_path)))
    assert MOST_NAMES == 5000


def test_a_word_that_only_looks_like_epsilon_is_none(tmp_path):
    (tmp_path / "a.log").write_text("steps: 3, reps = 4, Adam(eps)\n")
    assert look(tmp_path).speaks_of_epsilon == ()
    (tmp_path / "b.json").write_text('{"privacy_epsilon": 1, "eps": 2}')
    assert look(tmp_path).speaks_of_epsilon == ("b.json",)
