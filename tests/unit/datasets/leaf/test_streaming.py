"""A file far larger than the memory that reading it takes."""

import json
import tracemalloc

from secure_fedmeta.datasets.leaf import Femnist, leaf_users

MB = 1 << 20


def test_sixty_megabytes_are_streamed_in_a_few(tmp_path):
    image = [0.0] * 700 + [0.123456] * 84
    user = json.dumps({"x": [image] * 20, "y": list(range(20))})
    count = 60 * MB // len(user) + 1
    (tmp_path / "train").mkdir()
    file = tmp_path / "train" / "all_data.json"
    with file.open("w") as opened:
        opened.write('{"users": ' + json.dumps([f"f{i:06d}" for i in range(count)]))
        opened.write(f', "num_samples": {[20] * count}, "user_data": {{')
        for i in range(count):
            opened.write(f'{", " * (i > 0)}"f{i:06d}": {user}')
        opened.write("}}")
    assert file.stat().st_size > 60 * MB
    tracemalloc.start()
    try:
        users = leaf_users(tmp_path, "train", Femnist())
        index_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        seen = sum(len(client) for _, client in zip(range(40), users, strict=False))
        seen += len(users[f"f{count - 1:06d}"])
        read_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(users) == count and seen == 41 * 20
    assert index_peak < 6 * MB and read_peak < 6 * MB, (index_peak / MB, read_peak / MB)
