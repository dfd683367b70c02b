# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Audit a run
#
# You get a folder from an operator. You trust nobody. What can you check, alone and offline?

# %%
from pathlib import Path
from secure_fedmeta.audit import audit_run
from secure_fedmeta.pilots.hospital import HospitalPilot, plan_with
from secure_fedmeta.teaching import auditing

HospitalPilot(plan_with({"rounds": 4})).execute(out=Path("run"))
Path("roster.toml").write_bytes(Path("run/allow-list.toml").read_bytes())  # as the sites gave it to you
found = audit_run(Path("run"), roster=Path("roster.toml"), heads=Path("run-sites")).findings
print("verdict:", found.verdict.words, "- exit status", int(found.verdict))

# %% [markdown]
# ## What was looked at

# %% tags=["noisy"]
for name, at in found.checks.items():
    print(f"{name:14} {found.result(name):10} {at}")

# %% [markdown]
# ## One new idea: a chain
#
# Every line holds the hash of the line before; every round's line is signed by the sites, after they have recomputed it. Change one digit and the chain breaks *there*.

# %%
def tampered(change, name):
    folder = Path(name)
    folder.mkdir()
    for file in Path("run").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    lines = (folder / "ledger.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "ledger.jsonl").write_bytes(b"".join(change(lines)))
    found = audit_run(folder, roster=Path("roster.toml"), heads=Path("run-sites")).findings
    print(f"{name}: {found.verdict.words} ({int(found.verdict)}); broken:", sorted({one.check for one in found.found}))

tampered(lambda lines: [lines[0], lines[1].replace(b'"0.001"', b'"0.002"'), *lines[2:]], "one-digit")

# %% [markdown]
# **Exercise 1.** With which exit status does an audit of a ledger with one changed digit end?

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = 3

# %% tags=["check"]
auditing.check_1(answer_1)

# %%
tampered(lambda lines: [*lines[:2], *lines[3:]], "a-round-left-out")
tampered(lambda lines: lines[:-1], "no-last-line")

# %% [markdown]
# **Exercise 2.** The keys also lie in the run's folder. Why are those not enough: are they `"old"`, `"forged"` or `"secret"`?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = "forged"

# %% tags=["check"]
auditing.check_2(answer_2)

# %% [markdown]
# ## Who remembers
#
# An operator who holds every key of the *server* can write a shorter chain that is whole. Each site kept the head of what it countersigned.

# %%
heads = sorted(path.parent.name for path in Path("run-sites").glob("*/heads"))
print(len(heads), "sites keep their own heads, for instance", heads[0])

# %% [markdown]
# **Exercise 3.** What gives a shorter, newly chained ledger away: `"hash"`, `"heads"` or `"nothing"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "heads"

# %% tags=["check"]
auditing.check_3(answer_3)

# %% [markdown]
# **Exercise 4.** Be the auditor. `first_broken(lines)`: `lines` are pairs of a content (bytes) and the hash of the content before it (SHA-256 in hex; empty in the first). The index of the first line that does not fit the one before; -1 if all do.

# %% tags=["exercise"]
answer_4 = ...

# %% tags=["solution"]
import hashlib

def answer_4(lines):
    for at in range(1, len(lines)):
        if lines[at][1] != hashlib.sha256(lines[at - 1][0]).hexdigest():
            return at
    return -1

# %% tags=["check"]
auditing.check_4(answer_4)

# %% [markdown]
# ## Break it
#
# Lower the claimed epsilon in the last line, and find which rules you broke. One of them holds even for an operator who signs the edited line anew: the claim is smaller than what the rounds come to (exit status 4, if nothing else were wrong).

# %%
import re

lower = lambda line: re.sub(rb'"server":"\d', b'"server":"1', line)
tampered(lambda lines: [*lines[:-1], lower(lines[-1])], "claim-lowered")
for one in audit_run(Path("claim-lowered"), roster=Path("roster.toml"), heads=Path("run-sites")).findings.found:
    print("-", one.verdict.words, "-", one.check)

# %% [markdown]
# ## What this does not protect
#
# The ledger shows what was *executed* by its own account: a site that lies about its data, or all sites together with the operator, can write a flawless one. It does not show that records are true, or that a person is at one site only.
#
# Sources: Crosby and Wallach 2009 (tamper-evident logging); Laurie, Langley and Kasper 2013 (RFC 6962).
