# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Case: a hospital
#
# Twelve hospitals, 569 real biopsies, epsilon 3 for one patient. A plan, a run, a report, an audit, and the paragraph for the data protection officer.

# %%
from pathlib import Path
from secure_fedmeta.pilots.hospital import PILOT
from secure_fedmeta.teaching import cases

plan = PILOT.plan_with({"rounds": 40})
schedule = PILOT.schedule_for(plan)
print("planned epsilon:", round(schedule.epsilon(plan.rounds * schedule.planned_shift), 3), "of", plan.epsilon)

# %% [markdown]
# ## Run it, and look at the table
#
# Scores are the simulation's privilege.

# %% tags=["noisy"]
study = PILOT.study_of(plan)
outcome = study.execute(out=Path("run"))
outcome.table = study.compare(outcome.run.theta, "this run")
for row in outcome.table:
    print(f"{row['name']:40} AUROC {row['auroc']:.3f}  worst {row['worst']:.3f}  k=5 {row['unseen_5']:.3f}")

# %% [markdown]
# ## The guarantee, word for word

# %% tags=["noisy"]
import textwrap

print(textwrap.fill(outcome.run.guarantee, 100))

# %% [markdown]
# **Exercise 1.** Who sees each hospital's upload unmasked, if all goes as planned?

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = "nobody"

# %% tags=["check"]
cases.check_1(answer_1)

# %% [markdown]
# ## The report and the audit

# %% tags=["noisy"]
from secure_fedmeta.audit import audit_run, write_verification
from secure_fedmeta.report import keep_scores, write_report

found = audit_run(Path("run"), roster=Path("run/allow-list.toml"), heads=Path("run-sites"))
write_verification(Path("run"), found)
keep_scores(Path("run"), outcome)
page = write_report(Path("run"))
print("audit:", found.findings.verdict.words, "- report of", page.stat().st_size // 1000, "kB")

# %% [markdown]
# **Exercise 2.** A second run with other settings, on the same patients, at epsilon 3. What may be promised for both together?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = 6

# %% tags=["check"]
cases.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** Write the paragraph for the data protection officer. It must name the unit, epsilon, delta, the server and what is not covered.

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = ('Protected is one patient\'s record: epsilon 3 at delta 0.001 against a server that sees every sum. '
            'Not covered: which hospitals take part, and earlier runs on the same patients.')

# %% tags=["check"]
cases.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Run it without masks at the same epsilon, and compare the worst hospital.

# %% tags=["noisy"]
bare = PILOT.plan_with({"rounds": 40, "aggregation": "none"})
study = PILOT.study_of(bare)
row = study.compare(study.execute(out=None).run.theta, "without masks")[0]
print(f"without masks: AUROC {row['auroc']:.3f}, worst {row['worst']:.3f}")

# %% [markdown]
# ## What this does not protect
#
# A patient at two hospitals, what is true of most patients, and who took part. The pilot's records are public; yours are not, and your ranges must not come from them.
