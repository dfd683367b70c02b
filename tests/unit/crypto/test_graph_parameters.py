"""k and t against the published values, and the graph against its definition."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmeta_crypto.errors import PlanRefused
from fedmeta_crypto.graph import assured, counts, neighbours, published, ring, tails


def _published(n, gamma, delta, **rest):
    corrupt, dropped = counts(n, gamma, delta)
    return published(n, corrupt=corrupt, dropped=dropped, **rest)


SEMI_HONEST = [
    (100, 0.05, 0.05, 12, 6),
    (1000, 0.05, 0.05, 30, 17),
    (10**4, 0.05, 0.05, 34, 20),
    (10**5, 0.05, 0.05, 36, 21),
    (10**6, 0.05, 0.05, 38, 22),
    (100, 0.33, 0.33, 68, 34),
    (1000, 0.33, 0.33, 286, 150),
    (10**4, 0.33, 0.33, 422, 221),
    (1000, 0.05, 0.33, 72, 24),
    (1000, 0.33, 0.05, 78, 60),
    (1000, 0.45, 0.45, 822, 417),
    (1000, 0.33, 0.0, 38, 36),
]
MALICIOUS = [
    (100, 0.05, 0.05, 16, 11),
    (1000, 0.05, 0.05, 52, 37),
    (10**4, 0.05, 0.05, 62, 44),
    (10**6, 0.05, 0.05, 74, 52),
    (100, 0.05, 0.33, 72, 39),
    (1000, 0.05, 0.33, 398, 223),
    (1000, 0.3, 0.3, 872, 584),
    (1000, 0.33, 0.05, 132, 109),
]


@pytest.mark.parametrize(("n", "gamma", "delta", "k", "t"), SEMI_HONEST)
def test_published_semi_honest_values(n, gamma, delta, k, t):
    found = _published(n, gamma, delta, malicious=False, correctness_bits=20)
    assert (found.neighbours, found.threshold) == (k, t)


@pytest.mark.parametrize(("n", "gamma", "delta", "k", "t"), MALICIOUS)
def test_published_malicious_values(n, gamma, delta, k, t):
    found = _published(n, gamma, delta, malicious=True, correctness_bits=20)
    assert (found.neighbours, found.threshold) == (k, t)


@pytest.mark.parametrize(("malicious", "gamma", "delta"), [(False, 0.5, 0.5), (True, 0.5, 0.5), (True, 0.33, 0.33)])
def test_infeasible_requests_are_refused(malicious, gamma, delta):
    with pytest.raises(PlanRefused, match="SFM-205"):
        _published(1000, gamma, delta, malicious=malicious, correctness_bits=20)


@pytest.mark.parametrize(
    ("n", "share", "k", "t"),
    [(200, 0.1, 60, 41), (500, 0.1, 118, 85), (1000, 0.1, 202, 152), (200, 0.05, 32, 22), (1000, 0.05, 102, 77)],
)
def test_assured_values(n, share, k, t):
    found = assured(n, corrupt=int(n * share), dropped=int(n * share))
    assert (found.neighbours, found.threshold) == (k, t)


@given(st.integers(3, 400), st.data())
def test_assured_rule_holds_whatever_it_returns(n, data):
    corrupt = data.draw(st.integers(0, n // 3))
    dropped = data.draw(st.integers(0, n // 3))
    try:
        found = assured(n, corrupt=corrupt, dropped=dropped)
    except PlanRefused:
        return
    k, t = found.neighbours, found.threshold
    assert 2 * t > k + min(k, corrupt)
    assert k == n - 1 or k > corrupt + dropped
    assert t <= min(k, n - dropped - 1)


@given(st.integers(5, 30), st.integers(1, 6), st.data())
def test_circulant_survives_any_removal_of_fewer_than_k(n, half, data):
    k = 2 * half
    if k >= n - 1:
        return
    ids = tuple(range(n))
    graph = {id_: neighbours(ids, k, of=id_, session=b"s") for id_ in ids}
    assert all(len(set(peers)) == k and id_ not in peers for id_, peers in graph.items())
    assert all(id_ in graph[peer] for id_, peers in graph.items() for peer in peers)
    removed = data.draw(st.sets(st.integers(0, n - 1), max_size=k - 1))
    left = set(range(n)) - removed
    seen, edge = set(), {min(left)}
    while edge:
        seen |= edge
        edge = {peer for id_ in edge for peer in graph[id_] if peer in left} - seen
    assert seen == left


def test_hypergeometric_tails_against_enumeration():
    population, marked, draws = 9, 4, 5
    samples = list(itertools.combinations(range(population), draws))
    at_most, above = tails(population=population, marked=marked, draws=draws)
    for x in range(draws + 1):
        share = sum(sum(i < marked for i in s) <= x for s in samples) / len(samples)
        assert math.isclose(at_most[x], share, abs_tol=1e-12)
        assert math.isclose(above[x], 1 - share, abs_tol=1e-12)


def test_order_depends_on_the_session_and_is_a_permutation():
    ids = tuple(range(1, 40))
    one, two = ring(ids, bytes(32))[0], ring(ids, bytes([1]) * 32)[0]
    assert sorted(one) == list(ids) and one != two


def test_odd_or_tiny_circulants_are_refused():
    for k in (0, 3):
        with pytest.raises(PlanRefused):
            neighbours(tuple(range(10)), k, of=0, session=b"s")


@pytest.mark.parametrize(("n", "honest"), [(100, 12), (1000, 38)])
def test_honest_clients_in_what_a_random_graph_lets_a_server_open(n, honest):
    found = _published(n, 0.1, 0.1, malicious=True)
    assert found.fewest_honest == honest


def test_no_client_is_lost_to_rounding():
    """Colluders are counted, not their share of n; a share of n is floored as if it were exact."""
    for n in (129, 527, 600, 1000, 4096):
        for corrupt in range(0, n // 3, 7):
            assert counts(n, corrupt / n, 0.0)[0] == corrupt
    found = published(527, corrupt=185, dropped=0, malicious=True)
    assert found.corrupt == 185
