# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Five minutes: a private hospital pilot
#
# Ten hospitals train one model together. Each adapts it to its own patients, clips what every patient contributes, adds noise and masks the result; the server learns only the sum of all ten. Two more hospitals join after training.
#
# Everything below uses the same public names as your own code would.

# %%
from pathlib import Path
from secure_fedmeta.pilots.hospital import PILOT
from secure_fedmeta.teaching import first_steps

plan = PILOT.plan_with({"epsilon": 3.0, "rounds": 12})
schedule = PILOT.schedule_for(plan)
print("noise per site, in steps:", schedule.scale)
print("strength:", schedule.hiding.name, "- corrupt sites withstood:", schedule.colluders)
print("epsilon if all goes as planned:", round(schedule.epsilon(plan.rounds * schedule.planned_shift), 3))
print("epsilon if the server saw each upload:", round(schedule.epsilon(plan.rounds * schedule.shift(1)), 3))

# %% [markdown]
# ## A plan, before any record is read
#
# Why is the last number so much larger than the one before? Ten hospitals each add a little noise. In the sum it adds up and hides a patient; a single upload has only a tenth of it. **Masking is what makes the small noise enough.**

# %% [markdown]
# **Exercise 1.** The budget is halved, all else stays. Does a site's noise become `"smaller"`, `"larger"` or `"the same"`?

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = "larger"

# %% tags=["check"]
first_steps.check_1(answer_1)

# %% [markdown]
# ## Run it

# %% tags=["noisy"]
study = PILOT.study_of(plan)
outcome = study.execute(out=Path("run"))
run = outcome.run
for report in run.rounds[::4]:
    print(f"round {report.closed.round:>2}: epsilon {report.closed.spent.server:.3f} for the server, {report.bytes_sent} bytes")

# %% tags=["noisy"]
import textwrap

print(textwrap.fill(run.guarantee, 100))

# %% [markdown]
# **Exercise 2.** Which epsilon is for someone who reads the published models alone: `"server"`, `"member"`, `"release"` or `"local"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "release"

# %% tags=["check"]
first_steps.check_2(answer_2)

# %% [markdown]
# ## Is it any good?
#
# Beside baselines, none of which is private.

# %% tags=["noisy"]
outcome.table = study.compare(run.theta, "this run, private")
for row in outcome.table:
    print(f"{row['name']:38} AUROC {row['auroc']:.3f}   a new hospital with 5 records {row['unseen_5']:.3f}")

# %% [markdown]
# ## Read its report

# %% tags=["noisy"]
from secure_fedmeta.report import keep_scores, write_report

keep_scores(Path("run"), outcome)
page = write_report(Path("run"))
print("report.html:", "small enough to mail" if page.stat().st_size < 300_000 else "too large")
print(textwrap.fill(run.label, 100))

# %% [markdown]
# **Exercise 3.** A spy may be wrong for 1 in 100 who were not there. Of 100 who were, how many does he find at most (rounded up)?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = 9

# %% tags=["check"]
first_steps.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Change one digit of the ledger and audit it.

# %%
from secure_fedmeta.audit import audit_run

ledger = Path("run/ledger.jsonl")
honest = audit_run(Path("run"), roster=Path("run/allow-list.toml"), heads=Path("run-sites")).findings
ledger.write_bytes(ledger.read_bytes().replace(b'"rounds":12', b'"rounds":11', 1))
bent = audit_run(Path("run"), roster=Path("run/allow-list.toml"), heads=Path("run-sites")).findings
print("as it was:", honest.verdict.words, "- with one digit changed:", bent.verdict.words)

# %% [markdown]
# ## What this does not protect
#
# Who took part, what is true of most patients, and a patient who is in two runs: budgets add up. The notebooks that follow take each part in turn.
