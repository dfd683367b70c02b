# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Homomorphic instead
#
# The same sum, added under encryption. Which parameters, how many bytes, and **who holds the key**.

# %%
from secure_fedmeta.aggregation import WORDS, ring_bits, scheme_of, trust_of
from secure_fedmeta.errors import AggregationRefused
from secure_fedmeta.teaching import encrypting

for word in WORDS:
    bits = ring_bits(word, clients=10, dimension=31)
    trust = trust_of(word)
    print(f"{word:7} ring 2^{bits}: {trust.value if trust else '-'}")

# %% [markdown]
# ## Who could read what
#
# One sentence for each trust model, as it stands in every report.

# %%
import textwrap

for word in ("rlwe32", "bfv", "ckks"):
    print(word)
    print(textwrap.fill(trust_of(word).who_could_read, 100, initial_indent="  ", subsequent_indent="  "))

# %% [markdown]
# **Exercise 1.** `rlwe32` adds numbers of 16 bits. How many bits has the ring for the sum of 50 clients?

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = 22

# %% tags=["check"]
encrypting.check_1(answer_1)

# %% [markdown]
# ## A real encrypted sum, and its price
#
# Five clients, one round with each scheme, in this process.

# %%
import numpy as np
from secure_fedmeta import Codebook, Plan, SiteRecords, federate

rng = np.random.default_rng(0)
sites = [SiteRecords(f"s{k}", (x := rng.uniform(0, 1, (30, 2))), (x[:, 0] > x[:, 1]).astype(float),
                     tuple(f"{k}-{i}" for i in range(30))) for k in range(5)]
book = Codebook.from_ranges([(0, 1), (0, 1)])
runs = {w: federate(Plan(rounds=2, aggregation=w, delta=1e-3), sites, book) for w in ("mask", "rlwe32", "bfv", "ckks")}
for word, run in runs.items():
    print(f"{word:7} {run.rounds[-1].bytes_sent:>8} bytes in a round")

# %% tags=["timing"]
for word, run in runs.items():
    print(f"{word:7} {1e3 * run.rounds[-1].seconds:8.1f} ms")

# %% [markdown]
# ## What may be claimed
#
# If nobody could read a single upload, all noise in the sum counts. If somebody could, only the site's own does.

# %%
import math

for word, run in runs.items():
    spent = run.spent
    print(f"{word:7} server {math.ceil(100 * spent.server) / 100}   if each upload were seen {math.ceil(100 * spent.local) / 100}")

# %% [markdown]
# **Exercise 2.** Who could read each upload of the ckks run: `"nobody"`, `"the server"` or `"the decryptor"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "the decryptor"

# %% tags=["check"]
encrypting.check_2(answer_2)

# %% [markdown]
# ## One new idea: approximate sums
#
# CKKS computes with noise of its own. Here is what it is off by, in steps of the encoding; rounding takes it away as long as it stays below one half.

# %%
from secure_fedmeta.federation.approximate import error_in_steps

print("at most", f"{error_in_steps(runs['ckks'].schedule):.3f}", "of a step, before rounding")

# %% [markdown]
# **Exercise 3.** What would make an approximate sum a trouble for exact noise: `"size"`, `"speed"` or `"error"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "error"

# %% tags=["check"]
encrypting.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Ask a preset for more than it opens.

# %%
try:
    scheme_of("rlwe32", clients=500, bits=22, dimension=1000)
except AggregationRefused as error:
    print(error.code, error.what)

# %% [markdown]
# ## What this does not protect
#
# A decryptor that opens single uploads (ckks), own lattice code that nobody else has audited (rlwe), and what the sum tells. TenSEAL's ciphertexts are not authenticated: the signatures around them are.
#
# Sources: Brakerski 2012, Fan and Vercauteren 2012 (BFV); Cheon et al. 2017 (CKKS); Li and Micciancio 2021 (CKKS and decryption).
