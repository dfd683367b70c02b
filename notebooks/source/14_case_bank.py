# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Case: a bank
#
# Sixteen banks with *generated* loan applications, and a world that moves on between training and use. No applicant exists.

# %%
from secure_fedmeta.pilots.credit import PILOT
from secure_fedmeta.teaching import lending

plan = PILOT.plan_with({"rounds": 30, "clients": 8})
schedule = PILOT.schedule_for(plan)
print("planned epsilon:", round(schedule.epsilon(plan.rounds * schedule.planned_shift), 3), "delta", plan.delta)

# %% [markdown]
# ## Run it
#
# A lender looks at KS and Gini, at calibration, and at the money lost when four fifths of the applicants get a loan.

# %% tags=["noisy"]
study = PILOT.study_of(plan)
outcome = study.execute(out=None)
outcome.table = study.compare(outcome.run.theta, "this run")
for row in outcome.table:
    print(f"{row['name']:40} AUROC {row['auroc']:.3f}  KS {row['ks']:.3f}  ECE {row['ece']:.3f}  lost {row['loss']:.4f}")

# %% [markdown]
# **Exercise 1.** `lost(labels, scores)`: the share of money lost if the 80 % with the lowest scores get a loan of one size and a default loses 60 % of it.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(labels, scores):
    import numpy as np
    taken = np.argsort(scores, kind="stable")[: round(0.8 * len(scores))]
    return 0.6 * labels[taken].mean()

# %% tags=["check"]
lending.check_1(answer_1)

# %% [markdown]
# ## One new idea: drift
#
# The applicants that judge the model came later than those it learned from: they earn less and use more of their credit.

# %%
from secure_fedmeta.teaching.pictures import histograms

data = PILOT.load(plan)
early = [v for m in data.members for v in m.registered.features[:, 4]]
late = [v for m in data.members for v in m.unseen.features[:, 4]]
histograms({"training": early, "use": late}, "Utilisation of credit lines: later applicants use more.", label="utilisation, %")

# %% [markdown]
# **Exercise 2.** What should a bank do first when the world has moved: `"retrain"`, `"calibrate"` or `"nothing"`? Think of what costs no privacy.

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "calibrate"

# %% tags=["check"]
lending.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** Delta is 1e-5. For how many registered slots is that below 1/N by a factor of ten?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = 10_000

# %% tags=["check"]
lending.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Ask for epsilon 0.1, and see what is lost.

# %% tags=["noisy"]
tight = PILOT.plan_with({"rounds": 30, "clients": 8, "epsilon": 0.1})
study = PILOT.study_of(tight)
row = study.compare(study.execute(out=None).run.theta, "epsilon 0.1")[0]
print(f"epsilon 0.1: AUROC {row['auroc']:.3f}, KS {row['ks']:.3f}")

# %% [markdown]
# ## What this does not protect
#
# Fairness: a model may be private and unfair. Applicants who were never accepted are in no data. And these are generated: nothing here says how your applicants behave.
