# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Someone leaves
#
# Client 3 vanishes after the keys were made. Its pads stay in everybody's upload. The round opens all the same.

# %%
import numpy as np
from secure_fedmeta.teaching import leaving
from secure_fedmeta.teaching.rounds import watch_round

inputs = {i: np.full(4, i, np.uint32) for i in (1, 2, 3, 4, 5)}
done = watch_round(inputs, silent={3: "mask"})
print("survivors:", done.survivors, "sum:", done.total.tolist())

# %% [markdown]
# ## One new idea: a secret in pieces
#
# Before anything is masked, each client cuts the secrets of its pads into shares, one for each other client, sealed so that the server cannot read them (Shamir). Any t shares give the secret, t − 1 give nothing. If a client leaves, the others hand over their shares of its pair secret, and the server takes the orphaned pads out.

# %% tags=["noisy"]
from fedmeta_crypto.shamir import reconstruct, split
import os

secret = b"sixteen bytes ok, and sixteen !!"
shares = split(secret, points=5, threshold=3, entropy=os.urandom)
print("from three:", reconstruct((1, 2, 4), shares[[0, 1, 3]]) == secret)
print("from two  :", reconstruct((1, 2), shares[[0, 1]]) == secret)

# %% [markdown]
# **Exercise 1.** `interpolate(points, values, p)`: the value at 0 of the polynomial through the points, modulo p.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(points, values, p):
    total = 0
    for i, xi in enumerate(points):
        weight = 1
        for j, xj in enumerate(points):
            if i != j:
                weight = weight * -xj * pow(xi - xj, -1, p)
        total += values[i] * weight
    return total % p

# %% tags=["check"]
leaving.check_1(answer_1)

# %% [markdown]
# ## How many shares?
#
# Too few, and a handful of clients can open anybody. Too many, and one who leaves stops the round.

# %% [markdown]
# **Exercise 2.** Five clients, one of them may be corrupt (A), one may be silent (D). The smallest t with 2t > n + A and t ≤ n − D?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = 4

# %% tags=["check"]
leaving.check_2(answer_2)

# %% [markdown]
# ## The other secret
#
# A client that is only *late* would have its pads removed, and then its upload would lie bare. So each upload carries a second mask, the self-mask, whose seed is shared too. Of those who stayed the seed is revealed; of those who left, the pair secret. **Never both of one client.**

# %% [markdown]
# **Exercise 3.** What does the server hold if it gets both of one client?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "the vector"

# %% tags=["check"]
leaving.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Let more leave than the round withstands (D = 1 here), at each message. Which of them end the round, and what is opened then?

# %%
for silent in ({3: "keys"}, {3: "shares"}, {3: "mask"}, {3: "unmask"}, {3: "mask", 4: "mask"}):
    done = watch_round(inputs, silent=silent)
    print(silent, "->", done.survivors or done.ended.split(".")[0])

# %% [markdown]
# ## What this does not protect
#
# The server says who left. If it tells two groups different things it gets both secrets: notebook 06.
#
# Sources: Shamir 1979; Bonawitz et al. 2017, sections 4.2 to 4.4.
