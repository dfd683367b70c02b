# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fixed point
#
# Models are floats, masks are whole numbers modulo 2³². Here is what is lost on the way: almost nothing, if there is room.

# %%
import numpy as np
from fedmeta_privacy.encoding import IntegerEncoding
from fedmeta_privacy.errors import EncodingOverflow
from secure_fedmeta.teaching import fixed_point

encoding = IntegerEncoding(step=2.0**-10, dimension=5, modulus_bits=32)
vector = np.array([0.1, -0.25, 0.3333, 0.0, 0.9])
steps = encoding.encode(vector)
print("steps:", steps.tolist())
print("back :", encoding.decode(steps).tolist())

# %% [markdown]
# ## One new idea: a step
#
# A number becomes the nearest whole number of *steps*. Small steps lose little and need much room; the error below is measured.

# %%
from secure_fedmeta.teaching.pictures import curves

bits = list(range(4, 20, 2))
x = np.random.default_rng(0).uniform(-1, 1, 10_000)
errors = [float(np.abs(IntegerEncoding(2.0**-b, len(x), 32).decode(np.rint(x * 2**b).astype(np.int64)) - x).max()) for b in bits]
curves(bits, {"largest error": errors}, "The largest error halves with every bit behind the point.",
       labels=("bits behind the point", "error"), yscale="log")

# %% [markdown]
# **Exercise 1.** `quantise(x, step)`: the nearest whole numbers of steps.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = lambda x, step: np.rint(x / step).astype(int)

# %% tags=["check"]
fixed_point.check_1(answer_1)

# %% [markdown]
# ## Room
#
# Residues modulo 2ᵇ stand for the numbers from −2ᵇ⁻¹ up to 2ᵇ⁻¹. A sum beyond that comes back on the other side.

# %%
small = IntegerEncoding(step=1.0, dimension=1, modulus_bits=8)
total = sum(int(small.to_ring(np.array([60]))[0]) for _ in range(3)) % 2**8
print("60 + 60 + 60 in 8 bits:", small.from_ring(np.array([total], np.uint32)).tolist())

# %% [markdown]
# **Exercise 2.** Ten clients send values of at most 1000 steps. What is the fewest number of bits b of the ring in which their sum cannot wrap?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = 15

# %% tags=["check"]
fixed_point.check_2(answer_2)

# %% [markdown]
# The library refuses a plan without room before any record is read:

# %%
try:
    small.check_room(parties=10, largest_coordinate=60.0, noise_reach=0)
except EncodingOverflow as error:
    print(error.code, "-", error.what)

# %% [markdown]
# **Exercise 3.** Noise is added after rounding. What must have room: `"values"`, `"noise"` or `"both"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "both"

# %% tags=["check"]
fixed_point.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Lower `modulus_bits` until `check_room` refuses. What is the least that it takes?

# %%
for bits in (32, 24, 16, 12):
    try:
        IntegerEncoding(2.0**-10, 5, bits).check_room(parties=10, largest_coordinate=1.0, noise_reach=5000)
        print(bits, "bits: room enough")
    except EncodingOverflow as error:
        print(bits, "bits:", error.what)

# %% [markdown]
# ## What this does not protect
#
# Rounding hides nothing: two records still round to two sums. But it changes the sensitivity: neighbours may round apart, by half a step in each coordinate, and the noise has to be made for that.
#
# Sources: Bonawitz et al. 2017, section 4; Kairouz, Liu and Steinke 2021 (distributed discrete Gaussian), on rounding and sensitivity.
