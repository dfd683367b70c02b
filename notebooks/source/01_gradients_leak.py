# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Gradients leak
#
# A hospital sends no records, only a gradient. This notebook reads a patient's record out of it.

# %%
import numpy as np
from secure_fedmeta.datasets.hospital import load_hospitals
from secure_fedmeta.teaching import leaking

site = load_hospitals(seed=0)
patient = site.codebook.encode(site.members[0].registered.features)[0]
residual = 0.5 - site.members[0].registered.labels[0]
gradient = residual * patient  # of logistic regression at theta = 0, on this one patient
known = patient[-1]  # the constant feature: public
recovered = gradient / gradient[-1] * known
print("largest error over", len(patient), "features:", float(np.abs(recovered - patient).max()))

# %% [markdown]
# ## What happened
#
# The gradient of one record is its residual (prediction minus label) times its row. The last entry of every row is a public constant, so the last entry of the gradient shows the residual, and the residual undoes the rest. No training trick was needed: **one division**.

# %%
from secure_fedmeta.teaching.pictures import heat_maps

heat_maps({"the patient's row": patient, "the gradient": gradient, "recovered": recovered},
          "Three strips of 31 colours: the patient's row, its gradient, and the recovered row, which equals the first.")

# %% [markdown]
# ## A network leaks in the same way
#
# A linear layer has a bias: its gradient *is* the residual of the layer. Weights' gradient: residual times row.

# %% [markdown]
# **Exercise 1.** Write the inversion for one unit of a linear layer.

# %% tags=["exercise"]
answer_1 = ...  # a function of (weight_gradient, bias_gradient)

# %% tags=["solution"]
answer_1 = lambda weight_gradient, bias_gradient: weight_gradient / bias_gradient

# %% tags=["check"]
leaking.check_1(answer_1)

# %% [markdown]
# ## Two records at once
#
# A site rarely sends the gradient of one record. Here are two, summed.

# %%
rows = site.codebook.encode(site.members[0].registered.features)[:2]
residuals = 0.3 - site.members[0].registered.labels[:2]
summed = residuals @ rows
guess = summed / summed[-1] * known
print("error now:", round(float(np.abs(guess - rows[0]).max()), 3), "- a mixture of the two")
print("who knows the second row, finds the first:",
      bool(np.allclose((summed - residuals[1] * rows[1]) / residuals[0], rows[0])))

# %% [markdown]
# **Exercise 2.** How many different pairs of rows have the same summed gradient: `"one"`, `"two"` or `"many"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "many"

# %% tags=["check"]
leaking.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** What stops the server for certain: `"averaging"`, `"masking"` or `"a larger model"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "masking"

# %% tags=["check"]
leaking.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Make `noise` smaller and larger. At which noise is the patient hidden, and how much of the gradient is left then?

# %%
noise = 0.05
noised = gradient + noise * np.random.default_rng(0).normal(size=len(gradient))
error = np.abs(noised / noised[-1] * known - patient).max()
print("noise", noise, "-> error", round(float(error), 3), "for entries of size", round(float(np.abs(patient).max()), 3))

# %% [markdown]
# ## What this does not protect
#
# Masking (next notebook) hides each site's gradient, not what the *sum* tells: for that there is noise, and a budget for it. TLS protects the way to the server, not from the server.
#
# Sources: Zhu, Liu and Han 2019 (deep leakage from gradients); Geiping et al. 2020 (inverting gradients).
