"""How a site computes: no part of the plan, the same sum, and no engine that could let units touch each other."""

import numpy as np
import pytest
import torch
from mode_runs import mode_data, mode_schedule
from networks import CLASSES, MAML, NETS
from small_runs import credentials_of, simulation_of, tap

from secure_fedmeta.engines import auto, compiled
from secure_fedmeta.engines.auto import AutoEngine, choose
from secure_fedmeta.engines.batch import TaskBatch
from secure_fedmeta.engines.compiled import CompiledEngine
from secure_fedmeta.engines.loop import LoopEngine
from secure_fedmeta.engines.slots import SlottedEngine, check_apart
from secure_fedmeta.engines.stacked import StackedEngine
from secure_fedmeta.engines.vmap import VmapEngine
from secure_fedmeta.errors import EngineRefused, EngineUnsafe, ModelRefused, SettingError
from secure_fedmeta.federation.contribution import contribution_of
from secure_fedmeta.federation.simulation import LocalSite
from secure_fedmeta.performance import Performance
from secure_fedmeta.tasks import Task

IDS = (1, 2, 3, 4)


def run_of(name, performance, rounds=2):
    """Integer vectors of each site, the releases' digest and the epsilon of a short reproducible run."""
    schedule = mode_schedule(name, seed=3, insecure_reproducible=True)
    rng = np.random.default_rng(0)
    data = {site: mode_data(schedule, rng) for site in IDS}
    sites = {
        site: LocalSite(site, data[site], schedule, credentials=credentials_of(site, IDS), performance=performance)
        for site in IDS
    }
    simulation, seen = simulation_of(schedule, sites), tap(sites)
    for _ in range(rounds):
        simulation.run_round()
    return seen, schedule, simulation.server.outer.released, [site.client.budget.spent for site in sites.values()]


@pytest.mark.parametrize("name", ["noisy-inner", "noisy-inner-second", "person", "site"])
def test_the_flag_changes_no_sum_no_charge_and_no_hash(name):
    seen, schedule, theta, spent = run_of(name, None)
    flags = [Performance("stacked"), Performance("stacked", chunk=3, threads=1), Performance("auto")]
    if name == "site":
        flags.append(Performance("vmap"))
    for flag in flags:
        other, same, released, charged = run_of(name, flag)
        assert same.behaviour_digest == schedule.behaviour_digest and charged == spent
        for site in IDS:  # rows differ by 1e-15, a step is 1e-4: roundings agree
            assert [(a == b).all() for a, b in zip(seen[site], other[site], strict=True)] == [True, True]
        np.testing.assert_array_equal(released, theta)


@pytest.mark.parametrize("name", ["noisy-inner", "person"])
@pytest.mark.parametrize("engine", ["vmap", "compiled"])
def test_engines_not_shown_to_keep_units_apart_are_refused(name, engine):
    schedule = mode_schedule(name)
    data = mode_data(schedule, np.random.default_rng(0))
    with pytest.raises(EngineUnsafe, match="SFM-119"):
        contribution_of(schedule, data, Performance(engine))
    bound = NETS["linear"].bound()
    fast = VmapEngine(bound, MAML, loss="cross-entropy")
    slow = LoopEngine(bound, MAML, loss="cross-entropy")
    with pytest.raises(EngineUnsafe):
        SlottedEngine(fast, slow, units=2, rows=(1, 1), shape=(6,))


def test_a_network_whose_rows_depend_on_their_slot_is_refused(monkeypatch):
    engine = StackedEngine(NETS["linear"].bound(), MAML, loss="cross-entropy")
    check_apart(engine, engine.architecture.start, units=5, rows=(2, 2), shape=(6,))
    honest = engine.contributions
    monkeypatch.setattr(engine, "contributions", lambda *given: honest(*given) * (1 + 1e-15 * np.arange(5)[:, None]))
    with pytest.raises(EngineUnsafe, match="slot"):
        check_apart(engine, engine.architecture.start, units=5, rows=(2, 2), shape=(6,))


@pytest.mark.parametrize("net", ["linear", "lstm"])
@pytest.mark.parametrize("chunk", [2, 3, 4])
def test_a_chunk_that_does_not_divide_the_slots_is_filled_up(net, chunk, monkeypatch):
    kind, bound, many = NETS[net], NETS[net].bound(), 5
    rng = np.random.default_rng(0)

    def drawn():
        return kind.rows(rng, 2), rng.integers(0, CLASSES, 2).astype(float)

    tasks = [Task(*drawn(), *drawn()) for _ in range(many)]
    slow, shape = LoopEngine(bound, MAML, loss="cross-entropy"), (kind.width,)
    found, sizes, part = {}, [], TaskBatch.part
    monkeypatch.setattr(TaskBatch, "part", lambda batch, a, b: sizes.append(b - a) or part(batch, a, b))
    for size in (None, chunk):
        fast = StackedEngine(bound, MAML, loss="cross-entropy", chunk=size)
        check_apart(fast, bound.start, units=many, rows=(2, 2), shape=shape)
        slotted = SlottedEngine(fast, slow, units=many, rows=(2, 2), shape=shape, classes=CLASSES)
        found[size] = slotted.contributions(bound.start, tasks)
    assert set(sizes) == {chunk}
    np.testing.assert_allclose(found[chunk], found[None], rtol=1e-10, atol=1e-12)


def test_auto_takes_the_loop_where_rows_depend_on_their_slot(monkeypatch):
    def unsafe(*given, **named):
        raise EngineUnsafe("a row moved", "performance", "use engine loop")

    schedule = mode_schedule("person")
    data = mode_data(schedule, np.random.default_rng(0))
    monkeypatch.setattr("secure_fedmeta.engines.slots.check_apart", unsafe)
    with pytest.raises(EngineUnsafe):
        contribution_of(schedule, data, Performance("stacked"))
    assert isinstance(contribution_of(schedule, data, Performance("auto"))._engine, LoopEngine)


def test_a_person_without_records_leaves_the_others_in_their_slots():
    schedule = mode_schedule("person")
    data = mode_data(schedule, np.random.default_rng(0))
    nobody = type(data[0])(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)), np.zeros(0))
    theta = schedule.architecture.start
    whole = contribution_of(schedule, data, Performance("stacked")).units(theta, None)
    fewer = contribution_of(schedule, (data[0], nobody, *data[2:]), Performance("stacked")).units(theta, None)
    np.testing.assert_array_equal(fewer, np.delete(whole, 1, axis=0))


@pytest.mark.parametrize("changes", [{"engine": "fastest"}, {"chunk": 0}, {"threads": -1}, {"rows": (0, 4)}])
def test_settings_out_of_range(changes):
    with pytest.raises(SettingError):
        Performance(**changes)


def test_threads_are_set_and_put_back():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), Performance(threads=before + 1).on_threads():
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before


def chosen(name, monkeypatch, seconds, **settings):
    """The choice for a network where every engine takes the stated seconds a call."""
    net = NETS[name]
    real = auto._timed
    monkeypatch.setattr(
        auto, "_timed", lambda engine, theta, tasks: (real(engine, theta, tasks)[0], seconds[type(engine).__name__])
    )
    return choose(net.bound(), MAML, loss="cross-entropy", tasks=8, rows=(3, 4), shape=(net.width,), **settings)


SECONDS = {"LoopEngine": 0.01, "StackedEngine": 0.02, "VmapEngine": 0.03}


def test_auto_takes_the_fastest_that_agrees_and_says_so(monkeypatch):
    choice = chosen("linear", monkeypatch, SECONDS)
    assert choice.engine == "stacked" and str(choice).startswith("engine stacked for 8 tasks (loop: 80.00 ms")
    assert chosen("linear", monkeypatch, SECONDS | {"VmapEngine": 0.01}).engine == "vmap"
    assert chosen("linear", monkeypatch, dict.fromkeys(SECONDS, 0.1) | {"LoopEngine": 0.001}).engine == "loop"
    convolved = chosen("conv", monkeypatch, SECONDS)
    assert convolved.engine == "stacked" and convolved.chunk == 8 and "gigabytes" in str(convolved)
    # Unflatten 36; 4 channels of 6x6 three times and of 3x3; 6 of 2x2 three times (flattened too); 3: for 4 rows.
    per_row = 36 + 3 * 4 * 36 + 4 * 9 + 3 * 24 + 3
    monkeypatch.setattr(auto, "CONVOLVED_AT_ONCE", 3.5 * 8 * 4 * per_row)
    assert chosen("conv", monkeypatch, SECONDS).chunk == 3


def test_auto_falls_back_to_the_loop(monkeypatch):
    import networks

    branching = networks.Net(networks.Branching, 6)
    monkeypatch.setitem(networks.NETS, "branching", branching)
    choice = chosen("branching", monkeypatch, SECONDS)
    assert choice.engine == "loop" and all(one.refused for one in choice.timings[1:])
    monkeypatch.setattr(StackedEngine, "each", lambda self, unit, theta, batch: torch.zeros(len(batch), len(theta)))
    assert "it disagrees with the loop" in str(chosen("lstm", monkeypatch, SECONDS))


def test_auto_chooses_once_and_computes_what_the_loop_does():
    net, rng = NETS["lstm"], np.random.default_rng(0)
    bound, tasks = net.bound(), [net.task(rng, 3, 4) for _ in range(4)]
    engine = AutoEngine(bound, MAML, loss="cross-entropy")
    assert engine.choice is None
    found = engine.contributions(bound.start, tasks)
    first = engine.choice
    slow = LoopEngine(bound, MAML, loss="cross-entropy")
    np.testing.assert_allclose(found, slow.contributions(bound.start, tasks), rtol=0, atol=1e-10)
    np.testing.assert_allclose(engine.adapted(bound.start, tasks), slow.adapted(bound.start, tasks), rtol=0, atol=1e-10)
    assert engine.choice is first


def test_a_network_that_runs_nowhere():
    with pytest.raises(ModelRefused, match="does not run"):
        choose(NETS["linear"].bound(), MAML, loss="cross-entropy", tasks=2, rows=(1, 1), shape=(5,))


def test_what_is_not_compiled(monkeypatch):
    with pytest.raises(ModelRefused, match="gigabyte"):
        CompiledEngine(NETS["conv"].bound(), MAML, loss="cross-entropy")
    monkeypatch.setattr(compiled.shutil, "which", lambda name: None)
    with pytest.raises(EngineRefused, match=r"SFM-118: no C\+\+ compiler"):
        CompiledEngine(NETS["linear"].bound(), MAML, loss="cross-entropy")


def test_a_run_of_ever_new_shapes_is_not_compiled_for_each(monkeypatch):
    made = []
    monkeypatch.setattr(CompiledEngine, "_compile", lambda self, unit, full, arrays: made.append(1) or eager(arrays))
    eager = lambda arrays: lambda theta, *_: torch.zeros(len(_[0]), len(theta))
    net, rng = NETS["linear"], np.random.default_rng(0)
    bound = net.bound()
    engine = CompiledEngine(bound, MAML, loss="cross-entropy", slots=(8, 8), chunk=4)
    for count in range(1, 10):
        assert len(engine.contributions(bound.start, [net.task(rng, count % 8, 2)] * count)) == count
    assert len(made) == 1
    loose = CompiledEngine(bound, MAML, loss="cross-entropy")
    with pytest.raises(EngineRefused, match="fix chunk and slots"):
        for count in range(12):
            loose.contributions(bound.start, [net.task(rng, 2**count, 2)])
