# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Meta-learning
#
# Not one model for all, but one *start* from which each hospital needs a few records only.

# %%
import numpy as np
from secure_fedmeta.evaluation import evaluate_unseen
from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with
from secure_fedmeta.teaching import adapting

pilot = HospitalPilot(plan_with({"rounds": 25, "epsilon": "none", "aggregation": "none"}))
run = pilot.execute(out=None).run
scores = evaluate_unseen(run.theta, pilot.unseen, seed=0, shots=(0, 1, 5, 16))
alone = evaluate_unseen(np.zeros_like(run.theta), pilot.unseen, seed=0, shots=(0, 1, 5, 16))
for k in scores:
    print(f"{k:>2} records of a new hospital: from the learned start {scores[k].mean_auroc:.3f}, from zero {alone[k].mean_auroc:.3f}")

# %% [markdown]
# ## The inner step
#
# Adapting is nothing but gradient steps on a site's own records, where they lie. They cost no privacy: nothing leaves.

# %% [markdown]
# **Exercise 1.** `inner(theta, rows, labels, lr)`: one gradient step of logistic regression on the mean loss.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(theta, rows, labels, lr):
    return theta - lr * rows.T @ (1 / (1 + np.exp(-rows @ theta)) - labels) / len(labels)

# %% tags=["check"]
adapting.check_1(answer_1)

# %% [markdown]
# ## One new idea: two roles
#
# MAML asks of a start: *after* a step on some records (support), how good are you on **others** (query)? The gradient of that answer, through the step, is what a site sends.

# %% [markdown]
# **Exercise 2.** On which rows does MAML judge the adapted model: `"support"` or `"query"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "query"

# %% tags=["check"]
adapting.check_2(answer_2)

# %%
from secure_fedmeta.teaching.pictures import curves

x = np.linspace(0, 1, 40)
steps = {f"lr {lr:g}": [float(np.mean((1 - lr * t) ** 2)) for t in x] for lr in (0.5, 1.0, 1.5)}
curves(list(x), steps, "How much of an error one step leaves, for three step sizes over the curvature.",
       labels=("curvature", "error left by one step"))

# %% [markdown]
# ## What one record may move
#
# In the query role a record's contribution is clipped. In the support role it moves the *adapted* model, and through it every query record's contribution: that is bounded by the loss's own constants.

# %%
from secure_fedmeta.pilots.hospital import schedule_for

bound = schedule_for(plan_with({})).sensitivity
print(f"support role {bound.support:.4f}, query role {bound.query:.4f}")

# %% [markdown]
# **Exercise 3.** For which of these must the noise be made?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = 0.3

# %% tags=["check"]
adapting.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# A larger inner step adapts faster, and lets a support record move more. Watch the first number pass the second.

# %%
for rate in (0.25, 0.5, 1.0, 2.0):
    bound = schedule_for(plan_with({"inner_lr": rate})).sensitivity
    print(f"inner step {rate:g}: support {bound.support:.3f}, query {bound.query:.3f}")

# %% [markdown]
# ## What this does not protect
#
# Meta-learning is no privacy. And it does not always help: on these records fine-tuned FedAvg is as good, which the benchmark says in every report.
#
# Sources: Finn, Abbeel and Levine 2017 (MAML); Fallah, Mokhtari and Ozdaglar 2020 (Per-FedAvg).
