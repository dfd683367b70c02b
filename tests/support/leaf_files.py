"""Small files in LEAF's own form, one maker for each set."""

import json

ALPHABET = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"


def write(directory, users, /, *, name="all_data_0_niid_1_keep_0_train_9.json", hierarchies=None, **changes):
    """One file of a split; `users` maps a name to (x, y). `changes` replaces top-level fields; None removes one."""
    held = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    if hierarchies is not None:
        held["hierarchies"] = hierarchies
    held = {key: value for key, value in (held | changes).items() if value is not None}
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(json.dumps(held))
    return directory / name


def femnist(rng, n):
    return rng.random((n, 784)).round(4).tolist(), rng.integers(0, 62, n).tolist()


def shakespeare(rng, n):
    text = "".join(rng.choice(list(ALPHABET), n + 80))
    return [text[i : i + 80] for i in range(n)], [text[i + 80] for i in range(n)]


def sent140(rng, n):
    tweets = [" ".join(rng.choice(["good", "day", "it's", "so", "sad!", "really?"], 6)) for _ in range(n)]
    rows = [[str(i), "Mon Apr 06", "NO_QUERY", "someone", text, "training"] for i, text in enumerate(tweets)]
    return rows, rng.integers(0, 2, n).tolist()


def celeba(rng, n):
    return [f"{int(i):06d}.jpg" for i in rng.integers(1, 5, n)], (rng.integers(0, 2, n) * 1.0).tolist()


def reddit(rng, n):
    x, y = [], []
    for _ in range(n):
        words = rng.choice(["well", "yes", "no", "maybe", "cat"], int(rng.integers(3, 18))).tolist()
        given, wanted = ["<BOS>", *words, "<EOS>"], [*words, "<EOS>", "<PAD>"]
        counted = [1.0] * len(given)
        short = -len(given) % 10
        given, wanted, counted = given + ["<PAD>"] * short, wanted + ["<PAD>"] * short, counted + [0.0] * short
        rows = [[part[i : i + 10] for i in range(0, len(given), 10)] for part in (given, wanted, counted)]
        x.append(rows[0])
        y.append({"subreddit": "a", "created_utc": "1", "score": 2, "target_tokens": rows[1], "count_tokens": rows[2]})
    return x, y


def synthetic(rng, n):
    return rng.normal(size=(n, 60)).tolist(), rng.integers(0, 5, n).tolist()
