# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The lying server
#
# The server tells one client another list of survivors than the others. At strength malicious it gets nothing for it.

# %%
import numpy as np
from fedmeta_crypto.wire import MessageType
from secure_fedmeta.teaching import lying
from secure_fedmeta.teaching.rounds import watch_round

def lie(kind, to, message):  # client 2 gets a changed list of survivors
    changed = bytearray(message)
    if kind is MessageType.SURVIVORS and to == 2:
        changed[-70] ^= 1
    return bytes(changed)

done = watch_round({i: np.full(4, i, np.uint32) for i in (1, 2, 3, 4, 5)}, tamper=lie)
print("client 2 says:", done.refusals[2].split(".")[0])

# %% [markdown]
# ## The attack that it would be
#
# Remember: of survivors the self-mask's seed is revealed, of those who left the pair secret. A server that tells some that client 3 stayed and others that it left gets **both**, and takes every mask off client 3's upload.

# %% [markdown]
# **Exercise 1.** `attack(clients, victim)`: the two lists of survivors that the server hands out, as a pair of lists.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(clients, victim):
    return list(clients), [c for c in clients if c != victim]

# %% tags=["check"]
lying.check_1(answer_1)

# %% [markdown]
# ## One new idea: sign what you were told
#
# Before anybody reveals anything, each client signs the list that it was told, and waits for a quorum of signatures on *that very list*. Honest clients sign once; with 2 · quorum > n + A no two lists can both find one.

# %% [markdown]
# **Exercise 2.** `consistent(lists, quorum)`: whether at least `quorum` clients signed the same list. `lists` holds what each signed.

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = lambda lists, quorum: max(lists.count(one) for one in lists) >= quorum

# %% tags=["check"]
lying.check_2(answer_2)

# %% [markdown]
# ## Every message in the open
#
# The two messages in the middle, "I sign the survivors" and "all signatures", are what this costs.

# %%
from secure_fedmeta.teaching.pictures import sequence
from secure_fedmeta.teaching.rounds import between

done = watch_round({i: np.full(4, i, np.uint32) for i in (1, 2, 3, 4, 5)})
sequence(between(done.messages, 1), "What client 1 sends and gets in a round, the signatures on the survivors among it.")

# %%
plain = watch_round({i: np.full(4, i, np.uint32) for i in (1, 2, 3, 4, 5)}, strength="semi-honest")
for name, played in (("semi-honest", plain), ("malicious", done)):
    print(f"{name:12} {len(played.messages)} messages, {sum(m.size for m in played.messages)} bytes")

# %% [markdown]
# **Exercise 3.** What can the server still do: `"open one upload"`, `"end the round"` or `"nothing"`?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "end the round"

# %% tags=["check"]
lying.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Lie in other messages: `ADVERTISEMENT` is not yours to change, but `ROSTER` (everybody's keys) and `DELIVERY` (sealed shares) pass through your hands.

# %%
def bend(which):
    def tamper(kind, to, message):
        changed = bytearray(message)
        if kind is which and to == 1:
            changed[len(changed) // 2] ^= 1
        return bytes(changed)
    return tamper

for which in (MessageType.ROSTER, MessageType.DELIVERY, MessageType.CONSISTENCY_PROOF):
    ended = watch_round({i: np.full(4, i, np.uint32) for i in (1, 2, 3, 4, 5)}, tamper=bend(which))
    print(which.name, "->", ended.refusals[1].split(".")[0])

# %% [markdown]
# ## What this does not protect
#
# More than A corrupt clients, a wrong allow-list, a model crafted for everybody alike, and what the sum itself tells. At strength semi-honest nobody signs, and the attack works: that is why it is called a downgrade.
#
# Sources: Bonawitz et al. 2017, section 5 (consistency check); Pasquini, Francati and Ateniese 2022 (eluding secure aggregation).
