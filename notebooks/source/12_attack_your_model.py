# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Attack your model
#
# An epsilon is a promise about every attack. Here are some, on the model that you trained.

# %% tags=["random"]
import math
from secure_fedmeta.attacks.membership import infer_membership
from secure_fedmeta.attacks.target import load_target
from secure_fedmeta.teaching import attacking

report = infer_membership(load_target("hospital"))
for figure in report.figures:
    print(f"{figure.observed}: the attack {'succeeds' if figure.succeeded else 'fails'}")

# %% [markdown]
# ## What an attack may reach at most
#
# Hits and false alarms of any attack whatever obey two lines. The picture has logarithmic axes: what counts is how many are found while almost nobody is falsely accused.

# %% [markdown]
# **Exercise 1.** `bound(epsilon, delta, alarms)`: the most hits at so many false alarms.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = lambda e, d, a: min(1.0, math.exp(e) * a + d, 1 - math.exp(-e) * (1 - d - a))

# %% tags=["check"]
attacking.check_1(answer_1)

# %%
from secure_fedmeta.teaching.pictures import curves

alarms = [10 ** (-4 + i / 10) for i in range(41)]
limit = lambda e: [min(1.0, math.exp(e) * a + 1e-5, 1 - math.exp(-e) * (1 - 1e-5 - a)) for a in alarms]
curves(alarms, {f"epsilon {e}": limit(e) for e in (1, 3, 8)} | {"guessing": alarms},
       "Four curves over false alarms from 0.0001 to 1: the larger epsilon, the more hits are possible.",
       labels=("false alarms", "hits at most"), xscale="log", yscale="log")

# %% [markdown]
# ## One new idea: a lower bound
#
# Plant *canaries*, records of your own, and see how often the output tells whether they were in. From enough of them follows, with 95 % confidence, that epsilon is *at least* so large.

# %% tags=["noisy"]
from secure_fedmeta.attacks.planned import audit_plan
from secure_fedmeta.pilots.hospital import plan_with

target = load_target("hospital")
audit = audit_plan(target.plan)
print(f"the plan's epsilon 3 at delta 1e-3 is {audit.claim:.2f} at delta 1e-5; refuted: {audit.refuted}")

# %% tags=["random"]
for bound in audit.bounds:
    print("at least", f"{bound.epsilon:.2f}", "by", bound.kind.name.lower())

# %% [markdown]
# **Exercise 2.** A lower bound of 0.4 where 3 is claimed: is the `"claim wrong"`, the `"claim right"`, or is it `"not refuted"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "not refuted"

# %% tags=["check"]
attacking.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** Which canary is best against a clipped sum: `"typical"`, `"long and alone"` or `"random"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "long and alone"

# %% tags=["check"]
attacking.check_3(answer_3)

# %% [markdown]
# **Exercise 4.** Draw the curve of the attack itself. `hits(members, others, alarms)`: of the members' scores, the share above the threshold that at most the share `alarms` of the others' scores exceeds.

# %% tags=["exercise"]
answer_4 = ...

# %% tags=["solution"]
import numpy as np

def answer_4(members, others, alarms):
    threshold = np.sort(others)[::-1][int(alarms * len(others))]
    return float(np.mean(members > threshold))

# %% tags=["check"]
attacking.check_4(answer_4)

# %% [markdown]
# The strongest seat there is, on one round of this plan: an attacker who knows every record but one, and sees the masked sum. Without noise it finds all; with it, what the round's share of epsilon allows at most.

# %% tags=["random"]
import numpy as np
from secure_fedmeta.attacks.figures import true_positives_at, true_positives_limit
from secure_fedmeta.attacks.membership import scores

seen = [10 ** (-3 + i / 10) for i in range(30)]
roc = {}
for name, noisy in (("sum without noise", False), ("sum with noise", True)):
    members, others = scores(target, noisy=noisy)
    roc[name] = [true_positives_at(members, others, a) for a in seen]
mu = math.sqrt(target.schedule.shift(target.schedule.planned_survivors))
roc["allowed by this round"] = [true_positives_limit(mu, a) for a in seen]
curves(seen, roc | {"guessing": seen},
       "Hits over false alarms: without noise the curve lies at 1 everywhere; with noise close to guessing, along its limit.",
       labels=("false alarms", "hits"), xscale="log", yscale="log")
print("without noise every member is found:", min(roc["sum without noise"]) > 0.99)

# %% [markdown]
# ## Break it
#
# Another attack: read a record out of an update. First from one bare update, then from the sum, without and with noise. Which of them would you have to weaken to make the next one succeed?

# %% tags=["random"]
from secure_fedmeta.attacks.inversion import invert_gradients

for figure in invert_gradients(target).figures:
    print(f"{figure.observed}: the inversion {'succeeds' if figure.succeeded else 'fails'}")

# %% [markdown]
# ## What this does not protect
#
# An attack that fails proves nothing. A lower bound above the claim proves that something is broken; below it, nothing.
#
# Sources: Yeom et al. 2018; Carlini et al. 2022 (LiRA, and why log axes); Steinke, Nasr and Jagielski 2023 (auditing in one run).
