# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Keys from nothing
#
# Two clients who never met, and who can only talk through the server, agree on a secret that the server does not know.

# %%
import hashlib
from fedmeta_crypto.keys import KeyPair, pair_mask_key
from secure_fedmeta.teaching import key_agreement

one, two = KeyPair(hashlib.sha256(b"one").digest()), KeyPair(hashlib.sha256(b"two").digest())
left = one.agree(two.public, peer=2)
right = two.agree(one.public, peer=1)
print("both have the same 32 bytes:", left == right, "-", len(left))

# %% [markdown]
# ## One new idea: powers commute
#
# Client 1 publishes gᵃ, client 2 publishes gᵇ. Each puts the other's number to the power of its own secret: (gᵇ)ᵃ = (gᵃ)ᵇ. Who saw only gᵃ and gᵇ would have to find a or b. Rounds use X25519, a curve where that is out of reach; the exercise uses small numbers.

# %% [markdown]
# **Exercise 1.** `agree(my_secret, their_public, p)`: the number that both get.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
answer_1 = lambda my_secret, their_public, p: pow(their_public, my_secret, p)

# %% tags=["check"]
key_agreement.check_1(answer_1)

# %% [markdown]
# ## One secret, several keys
#
# A pad's key and the key of a sealed box must not be the same. A *label* goes into the derivation (HKDF), so that each use has a key of its own.

# %%
from fedmeta_crypto.keys import derive

pad, box = derive(left, b"pad", 16), derive(left, b"seal", 16)
print("same secret, two labels, same key:", pad == box)

# %% [markdown]
# **Exercise 2.** Which two labels keep two uses apart? Give a pair, such as `("a", "a")`.

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = ("pad", "seal")

# %% tags=["check"]
key_agreement.check_2(answer_2)

# %% [markdown]
# ## A real round
#
# Every message of a round with three clients, as it was sent, with its size.

# %%
import numpy as np
from secure_fedmeta.teaching.pictures import sequence
from secure_fedmeta.teaching.rounds import watch_round

done = watch_round({i: np.full(4, i, np.uint32) for i in (1, 2, 3)}, dropped=0)
sequence(done.messages, "Arrows of a round: keys to the server, all keys back, sealed shares, masked vectors, signatures, shares.")

# %% [markdown]
# **Exercise 3.** Who could put its own key in the place of a client's, if keys were not signed?

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = "the server"

# %% tags=["check"]
key_agreement.check_3(answer_3)

# %% [markdown]
# ## Break it
#
# Flip one bit of a public key. The two no longer agree, and nobody is told. What would tell them?

# %%
bent = bytearray(two.public)
bent[0] ^= 1
print("still the same secret:", one.agree(bytes(bent), peer=2) == right)

# %% [markdown]
# ## What this does not protect
#
# Without signatures the server may play both ends. At strength malicious every key is signed by its owner, whose own key stands in an allow-list; who writes that list decides who counts. A quantum computer would find a from gᵃ.
#
# Sources: Diffie and Hellman 1976; RFC 7748 (X25519); RFC 5869 (HKDF).
