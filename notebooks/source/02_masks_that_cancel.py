# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Masks that cancel
#
# Five clients each hold a vector. The server learns the sum and nothing else: here is a real round.

# %%
import numpy as np
from secure_fedmeta.teaching import masks
from secure_fedmeta.teaching.rounds import watch_round

inputs = {i: np.arange(8, dtype=np.uint32) * i for i in (1, 2, 3, 4, 5)}
done = watch_round(inputs)
print("opened sum:", done.total.tolist())
print("true sum  :", sum(inputs.values()).tolist())

# %% [markdown]
# ## Three views of one round
#
# Left what the clients hold, in the middle what the server sees, right what it learns. The middle is what it received, byte by byte.

# %%
from secure_fedmeta.teaching.pictures import heat_maps

heat_maps({"clients hold": list(inputs.values()), "server sees": list(done.uploads.values()), "server learns": done.total},
          "Three heat maps: five ordered rows; five rows of noise; one row, the ordered sum.")

# %% [markdown]
# ## One new idea: a pad for each pair
#
# Every two clients share a secret pad (how, is notebook 04). One adds it, the other subtracts it. In the sum it is gone. Everything happens modulo 2³², so a padded number is a uniformly random number: it tells **nothing**.

# %%
rng = np.random.default_rng(1)
pad = rng.integers(0, 2**32, 3, dtype=np.uint64).astype(np.int64)
left, right = np.array([5, 6, 7]), np.array([1, 1, 1])
up, down = (left + pad) % 2**32, (right - pad) % 2**32
print("on the wire:", up.tolist(), down.tolist())
print("their sum  :", ((up + down) % 2**32).tolist())

# %% [markdown]
# **Exercise 1.** `mask(vector, me, peers, pads)`: add the pad of each peer with a larger number, subtract that of each with a smaller one, modulo 2³². `pads` is a dictionary by peer.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(vector, me, peers, pads):
    total = vector.astype(np.int64)
    for peer in peers:
        total = total + pads[peer] if peer > me else total - pads[peer]
    return total % 2**32

# %% tags=["check"]
masks.check_1(answer_1)

# %% [markdown]
# **Exercise 2.** `aggregate(uploads)`: the sum of a list of uploads, as signed numbers.

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
def answer_2(uploads):
    total = sum(u.astype(np.int64) for u in uploads) % 2**32
    return np.where(total >= 2**31, total - 2**32, total)

# %% tags=["check"]
masks.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** Why whole numbers and not floats: `"rounding"`, `"speed"` or `"size"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "rounding"

# %% tags=["check"]
masks.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Take one upload away and look at the "sum". Which pads are still in it?

# %% tags=["random"]
partial = sum(int(u[0]) for i, u in done.uploads.items() if i != 3) % 2**32
print("without client 3:", partial, "- as random as any upload; notebook 05 mends this")

# %% [markdown]
# ## What this does not protect
#
# The sum itself. A sum over two clients, one of whom is curious, shows the other. And if a client leaves, its pads stay (notebook 05); and the server may lie (06).
#
# Sources: Bonawitz et al. 2017 (CCS), section 4.
