"""Scripts written as Opacus', Flower's and NVFlare's users write them: each planted leak in its line, nothing else."""

import re
from pathlib import Path

import pytest

from secure_fedmeta.check import RULES, Level, check_paths

EXAMPLES = Path(__file__).parent / "examples"
BAD, GOOD = (sorted((EXAMPLES / kind).iterdir()) for kind in ("bad", "good"))


def leaks(path):
    checked = check_paths([path])
    assert checked.problems == ()
    return {(Path(f.path).name, f.line, f.code) for f in checked.findings if f.rule.level is Level.LEAK}


def planted(path):
    return {
        (file.name, number, code)
        for file in ([path] if path.is_file() else sorted(path.glob("*.py")))
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if (mark := re.search(r"# expect: (.*)$", line))
        for code in mark[1].split()
    }


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.name)
def test_every_planted_leak_is_found_and_nothing_else(path):
    expected = planted(path)
    assert expected and leaks(path) == expected


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
def test_correct_scripts_are_clean(path):
    assert planted(path) == set() and leaks(path) == set()
    assert check_paths([path]).clean


def test_all_rules_for_scripts_are_planted_somewhere():
    found = {code for path in BAD for _, _, code in planted(path)}
    assert found == {c for c, rule in RULES.items() if c < "SFM-55" and rule.level is Level.LEAK}


def test_all_together_is_the_sum_of_the_parts():
    # Names such as `train` or `main` exist in many scripts; only imports may join them.
    together = {(Path(f.path), f.line, f.code) for f in check_paths([EXAMPLES / "bad"]).findings}
    apart = {(Path(f.path), f.line, f.code) for p in BAD for f in check_paths([p]).findings}
    assert together == apart


def test_a_helper_is_followed_only_where_it_is_given():
    app = EXAMPLES / "bad" / "flower_app"
    alone = {f.code for f in check_paths([app / "task.py"]).findings}
    assert "SFM-501" not in alone  # by itself, nothing says that it runs each round
    both = check_paths([app / "task.py", app / "client_app.py"])
    (engine,) = [f for f in both.findings if f.code == "SFM-501"]
    assert Path(engine.path).name == "task.py" and "@app.train" in engine.what


@pytest.mark.parametrize("name", ["good/own_loop.py", "good/kept_engine.py", "good/opacus_script.py"])
def test_an_engine_without_secure_mode_is_a_note(name):
    checked = check_paths([EXAMPLES / name])
    assert {f.code for f in checked.findings} == {"SFM-512"} and checked.clean


MUTATIONS = [
    ("good/own_loop.py", "        if engine is None:\n", "        if True:\n", "SFM-501"),
    ("good/own_loop.py", "        engine.accountant.history = history\n", "", "SFM-501"),
    ("good/nvflare_client.py", "if received.current_round == 0:", "if received.current_round >= 0:", "SFM-501"),
    ("good/nvflare_client.py", '"epsilon": engine.get_epsilon(1e-5)', '"loss": total', "SFM-502"),
    ("good/nvflare_client.py", "from torch.utils.tensorboard", "from nvflare.client.tracking", "SFM-502"),
    ("good/cached_engines.py", "    if site in ENGINES:\n        return ENGINES[site]\n", "", "SFM-501"),
    ("good/cached_engines.py", "@lru_cache(maxsize=None)\n", "", "SFM-501"),
    (
        "good/kept_engine.py",
        "        if self.engine is None:\n            self._setup()",
        "        self._setup()",
        "SFM-501",
    ),
    ("good/kept_engine.py", "REGISTERED_SLOTS, {", "len(self.train_loader.dataset), {", "SFM-503"),
    ("good/kept_engine.py", "return 0.0, 1, {}", "return self.score(), 1, {}", "SFM-502"),
    ("good/opacus_script.py", "    torch.seed()\n", "", "SFM-510"),
    ("good/opacus_script.py", "ModuleValidator.fix(models.resnet18(num_classes=10))", "models.resnet18()", "SFM-513"),
    ("good/near_misses.py", ".squeeze(1)", "", "SFM-515"),
    ("good/near_misses.py", "        optimizer.step()\n        continue", "        continue", "SFM-517"),
    ("good/near_misses.py", "poisson_sampling=True", "poisson_sampling=False", "SFM-511"),
    ("good/near_misses.py", "scaler.fit(PUBLIC_RANGES)", "scaler.fit(train_rows)", "SFM-520"),
    ("good/near_misses.py", "import pickle\n", "import pickle\nimport socket\n", "SFM-521"),
    ("good/near_misses.py", "DELTA = 1 / (10 * 5000)", "DELTA = 1 / 500", "SFM-514"),
    ("good/near_misses.py", "noise_generator=fresh", "noise_generator=split", "SFM-510"),
    ("good/no_claim.py", "import flwr as fl\n", "import flwr as fl\nimport opacus\n", "SFM-503"),
]


@pytest.mark.parametrize(("name", "old", "new", "code"), MUTATIONS, ids=lambda v: None)
def test_one_change_turns_a_correct_script_into_a_finding(tmp_path, name, old, new, code):
    text = (EXAMPLES / name).read_text()
    assert text.count(old) >= 1
    file = tmp_path / "client.py"
    file.write_text(text.replace(old, new))
    assert code in {f.code for f in check_paths([file]).findings}


def test_the_figures_in_the_reasons_are_true():
    import math

    from fedmeta_privacy import gdp
    from fedmeta_privacy.accountant import epsilon
    from fedmeta_privacy.events import PoissonGaussian

    # 4000 records, batches of 32, noise 1; Opacus' accountant adds 0.01 to what is exact to three digits here.
    once, fifty = (epsilon([PoissonGaussian(1.0, 32 / 4000, 125 * n)], 1e-5).upper for n in (1, 50))
    assert 0.60 < once < 0.62 and 3.68 < fifty < 3.69
    assert "0.62" in RULES["SFM-501"].why and "3.69" in RULES["SFM-501"].why
    sampled = epsilon([PoissonGaussian(1.0, 0.01, 1000)], 1e-5).upper
    assert f"{sampled:.2f}" == "1.83" and "1.83" in RULES["SFM-511"].why
    assert f"{gdp.epsilon_upper(math.sqrt(10), 1e-5):.2f}" == "17.86" and "17.86" in RULES["SFM-511"].why
    empty = 0.9**10
    assert 0.34 < empty < 0.35 and "34 %" in RULES["SFM-516"].why
    assert min(1.0, math.exp(10) * 0.01) == 1.0  # SFM-556
