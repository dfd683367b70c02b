"""The rating services, and MovieLens' own files in both of its layouts, read from small ones made by hand."""

import numpy as np
import pytest

from secure_fedmeta.datasets.generated.recommender import GENRES, load_ratings, read_movielens
from secure_fedmeta.datasets.records import RecordsError
from secure_fedmeta.datasets.table import TableError


def every(held):
    return [part for m in held.members for part in (m.registered, m.unseen)] + list(held.later)


def test_a_seed_is_a_world_of_stars_from_one_to_five():
    held, again = load_ratings(seed=1), load_ratings(seed=1)
    for a, b in zip(every(held), every(again), strict=True):
        assert a.ids == b.ids and np.array_equal(a.features, b.features) and np.array_equal(a.labels, b.labels)
        assert set(np.unique(a.labels)) <= {-1.0, -0.5, 0.0, 0.5, 1.0}
    held.codebook.encode(np.concatenate([site.features for site in every(held)]))
    assert held.generated and held.persons == 14 * 80


def test_users_are_whole_and_at_one_service():
    home = {}
    for site in every(load_ratings(seed=0)):
        for user in set(site.ids):
            assert 20 <= site.ids.count(user) <= 40 and home.setdefault(user, site) is site


def test_tastes_differ_more_than_leniency():
    site = load_ratings(seed=0).members[0].registered
    ids = np.array(site.ids)
    likes = []
    for user in sorted(set(site.ids)):
        mine = ids == user
        drama, labels = site.features[mine, GENRES.index("Drama")], site.labels[mine]
        if 0 < drama.sum() < len(drama):
            likes.append(labels[drama == 1].mean() - labels[drama == 0].mean())
    assert np.std(likes) > 0.15


@pytest.fixture
def latest(tmp_path):
    """60 users with 12 ratings each of 20 films."""
    rng = np.random.default_rng(0)
    movies = ["movieId,title,genres", '1,"Film, The (1999)",Comedy|Drama', "2,Undated,(no genres listed)"]
    movies += [f"{i},Film {i} ({1960 + i}),{GENRES[i % 18]}" for i in range(3, 21)]
    ratings = ["userId,movieId,rating,timestamp"]
    for user in range(1, 61):
        films = rng.choice(np.arange(1, 21), 12, replace=False)
        ratings += [f"{user},{film},{rng.choice([0.5, 1.0, 2.5, 4.0, 5.0])},0" for film in films]
    ratings.append("999,1,4.0,0")  # one rating: too few to be a task
    (tmp_path / "movies.csv").write_text("\n".join(movies) + "\n")
    (tmp_path / "ratings.csv").write_text("\n".join(ratings) + "\n")
    return tmp_path


def test_the_latest_layout(latest):
    held = read_movielens(latest, seed=0, members=2, later=1)
    assert held.persons == 60 and not held.generated and all("user-999" not in site.ids for site in every(held))
    rows = np.concatenate([site.features for site in every(held)])
    comedies = rows[(rows[:, GENRES.index("Comedy")] == 1) & (rows[:, GENRES.index("Drama")] == 1)]
    assert len(comedies) and (comedies[:, -1] == 1999).all()
    assert (rows[rows[:, :-1].sum(axis=1) == 0][:, -1] == 1995).all()  # no genre, no year
    assert min(site.labels.min() for site in every(held)) == -1.0  # half a star counts as one
    held.codebook.encode(rows)


def test_the_hundred_layout(tmp_path):
    marks = lambda *on: "|".join("1" if i in on else "0" for i in range(19))
    items = [f"{i}|Café {i} (19{50 + i})|01-Jan-1990||http://x|{marks(1 + i % 18)}" for i in range(1, 16)]
    (tmp_path / "u.item").write_bytes("\n".join(items).encode("latin-1"))
    lines = [f"{user}\t{item}\t{1 + (user + item) % 5}\t0" for user in range(1, 61) for item in range(1, 16)]
    (tmp_path / "u.data").write_text("\n".join(lines))
    held = read_movielens(tmp_path, seed=0, members=2, later=1)
    assert held.persons == 60
    site = held.members[0].registered
    assert (site.features[:, :-1].sum(axis=1) == 1).all() and site.features[:, -1].min() >= 1951


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("ratings.csv", "userId,movieId\n1,1\n", "does not name"),
        ("ratings.csv", "userId,movieId,rating\n1,1,x\n", "no number"),
        ("ratings.csv", "userId,movieId,rating\n1,1,9\n", "from 0.5 to 5"),
        ("ratings.csv", "userId,movieId,rating\n1,77,3\n", "not listed"),
        ("ratings.csv", "userId,movieId,rating\n1,1\n", "cut off"),
        ("ratings.csv", "userId,movieId,rating\n", "no ratings"),
        ("movies.csv", None, "cannot read"),
    ],
)
def test_other_files_are_refused(latest, file, content, said):
    if content is None:
        (latest / file).unlink()
    else:
        (latest / file).write_text(content)
    with pytest.raises(TableError, match="SFM-150") as error:
        read_movielens(latest, seed=0, members=2, later=1)
    assert said in str(error.value)


def test_empty_folders_and_too_few_users(latest, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match="no MovieLens files"):
        read_movielens(tmp_path / "empty", seed=0)
    with pytest.raises(RecordsError, match="60 users"):
        read_movielens(latest, seed=0)
