# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Differential privacy meets secure aggregation
#
# Each site adds a *share* of the noise. In the sum there is enough; in a single upload there is not. So epsilon depends on **who looks**.

# %%
from fedmeta_privacy.errors import PrivacyError
from secure_fedmeta.pilots.hospital import plan_with, schedule_for
from secure_fedmeta.teaching import joining

schedule = schedule_for(plan_with({}))
rounds = schedule.plan.rounds
print("noise of a site:", schedule.scale, "steps")
print("the server, who sees sums :", round(schedule.epsilon(rounds * schedule.planned_shift), 3))
print("who saw each upload       :", round(schedule.epsilon(rounds * schedule.shift(1)), 3))

# %% [markdown]
# ## One new idea: variances add
#
# Nine honest noises of deviation s make one of deviation 3 s. The noise of those who work with the server hides nothing from it; those who fall silent send none.

# %% [markdown]
# **Exercise 1.** `share(total, n, corrupt, dropped)`: the deviation of each site's own noise, so that the sum has `total` however it goes.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = lambda total, n, corrupt, dropped: total / (n - corrupt - dropped) ** 0.5

# %% tags=["check"]
joining.check_1(answer_1)

# %%
from secure_fedmeta.teaching.pictures import curves

honest = list(range(1, 11))
curves(honest, {"epsilon": [schedule.epsilon(rounds * schedule.shift(h)) for h in honest]},
       "Epsilon falls as more honest sites are in the sum, from about 12 for one to below 3 for ten.",
       labels=("honest sites in the sum", "epsilon of the whole run"), limit=3.0)

# %% [markdown]
# ## Three seats in the room
#
# The server sees every sum. A member sees every model and knows its own noise. An outsider sees models. And if masks failed, somebody would see uploads. Three of the numbers agree here: one site may work with the server in this plan, so its noise is taken off in every seat, and the models are made of the sums alone.

# %%
from secure_fedmeta.forecast import planned_epsilon

for view, epsilon in planned_epsilon(schedule.plan, schedule).items():
    print(f"{view:8} {epsilon:.3f}")

# %% [markdown]
# **Exercise 2.** By an accident the server also stored every upload without its mask. Which number holds now, `"server"` or `"local"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "local"

# %% tags=["check"]
joining.check_2(answer_2)

# %% [markdown]
# ## What masks are worth
#
# The same epsilon without masks: each upload needs all the noise by itself.

# %%
bare = schedule_for(plan_with({"aggregation": "none"}))
print("noise of a site with masks   :", round(schedule.scale))
print("noise of a site without masks:", round(bare.scale))

# %% [markdown]
# **Exercise 3.** Nine honest sites. By which factor grows the deviation of the noise in the *sum* if every upload must be safe by itself?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = 3

# %% tags=["check"]
joining.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Raise the number of colluders, or of those who drop out. What happens to the noise, and when does the plan refuse?

# %%
for change in ({"colluders": 2}, {"colluders": 3}, {"colluders": 8}, {"dropout": 0.2}, {"dropout": 0.6}):
    try:
        print(change, "-> noise", round(schedule_for(plan_with(change)).scale), "steps")
    except PrivacyError as error:
        print(change, "->", error.what[:80])

# %% [markdown]
# ## What this does not protect
#
# More colluders than planned, a site that leaves its noise out, and runs that add up. The budget is held by a filter at *each site*, not by the server's word.
#
# Sources: Dwork et al. 2006 (our data, ourselves); Kairouz, Liu and Steinke 2021; Stevens et al. 2022.
