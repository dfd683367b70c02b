# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Noise and budget
#
# Two worlds that differ in one person, seen through noise; and a budget that every round draws from. And a bug to find.

# %%
import math
from fedmeta_privacy import accountant
from fedmeta_privacy.events import PoissonGaussian, Repeated
from secure_fedmeta.teaching import budgets

step = PoissonGaussian(1.0, 32 / 4000)
per_round = math.ceil(4000 / 32)
one = accountant.epsilon([Repeated(step, per_round)], 1e-5).upper
fifty = accountant.epsilon([Repeated(step, 50 * per_round)], 1e-5).upper
print(f"epsilon of one round {math.ceil(100 * one) / 100}; of fifty rounds {math.ceil(100 * fifty) / 100}")

# %% [markdown]
# ## One new idea: neighbouring worlds
#
# A sum with and without one person, each with the same Gaussian noise. Epsilon says by what factor the two heaps may differ anywhere, but for a part of size delta. What the two worlds differ in is the **unit of privacy**: here one person's record.

# %%
import numpy as np
from secure_fedmeta.teaching.pictures import histograms

rng = np.random.default_rng(0)
noise = rng.normal(0, 2.0, (2, 20_000))
histograms({"without her": noise[0], "with her": 1.0 + noise[1]},
           "Two bell curves that overlap almost everywhere, one shifted by the clip.", label="a noisy sum")

# %% [markdown]
# ## What is clipped
#
# She may move the sum by the clip and no more, whatever her record.

# %% [markdown]
# **Exercise 1.** `clip(rows, bound)`: every row no longer than the bound.

# %% tags=["exercise"]
answer_1 = ...

# %% tags=["solution"]
def answer_1(rows, bound):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows * np.minimum(1.0, bound / np.maximum(norms, 1e-300))

# %% tags=["check"]
budgets.check_1(answer_1)

# %% [markdown]
# ## The budget over the rounds

# %%
from secure_fedmeta.teaching.pictures import curves

rounds = [1, 2, 5, 10, 20, 35, 50]
spent = [accountant.epsilon([Repeated(step, r * per_round)], 1e-5).upper for r in rounds]
curves(rounds, {"composed": spent, "what each round says of itself": [one] * len(rounds)},
       "The composed epsilon rises to 3.7, while a round by itself always says about 0.6.", labels=("round", "epsilon"))

# %% [markdown]
# ## Find the bug
#
# A client as published in a well-known tutorial's style. It reports about 0.6 (0.62 by Opacus' accountant) after every round:
#
# ```
# 1  from opacus import PrivacyEngine
# 2  class Client:
# 3      def fit(self, parameters, config):      # once a round
# 4          engine = PrivacyEngine()
# 5          model, optimizer, loader = engine.make_private(module=self.net, optimizer=self.opt,
# 6              data_loader=self.loader, noise_multiplier=1.0, max_grad_norm=1.0)
# 7          train(model, optimizer, loader)
# 8          return self.net_parameters(), len(loader), {"epsilon": engine.get_epsilon(1e-5)}
# ```

# %% [markdown]
# **Exercise 2.** What is the true epsilon after 50 such rounds, to one digit?

# %% tags=["exercise"]
answer_2 = ...

# %% tags=["solution"]
answer_2 = 3.7

# %% tags=["check"]
budgets.check_2(answer_2)

# %% [markdown]
# **Exercise 3.** Which line is the bug? Its number.

# %% tags=["exercise"]
answer_3 = ...

# %% tags=["solution"]
answer_3 = 4

# %% tags=["check"]
budgets.check_3(answer_3)

# %% [markdown]
# **Exercise 4.** Mend it. `reports(new_engine, rounds)`: what the client says after each round. `new_engine()` makes an engine, `engine.train()` is a round, `engine.epsilon()` is what this engine has seen.

# %% tags=["exercise"]
answer_4 = ...

# %% tags=["solution"]
def answer_4(new_engine, rounds):
    engine, told = new_engine(), []
    for _ in range(rounds):
        engine.train()
        told.append(engine.epsilon())
    return told

# %% tags=["check"]
budgets.check_4(answer_4)

# %% [markdown]
# ## Break it
#
# `secure-fedmeta check` reads scripts and runs none of them. Write the bug into a file and let it look; then mend it.

# %%
from pathlib import Path
from secure_fedmeta.check import check_paths

Path("client.py").write_text("""from opacus import PrivacyEngine
import flwr as fl
class Client(fl.client.NumPyClient):
    def fit(self, parameters, config):
        engine = PrivacyEngine()
        model, opt, loader = engine.make_private(module=self.net, optimizer=self.opt, data_loader=self.data,
                                                 noise_multiplier=1.0, max_grad_norm=1.0)
        return self.get_parameters(config), 1, {"epsilon": engine.get_epsilon(1e-5)}
""")
for finding in check_paths([Path("client.py")]).findings:
    print(finding.code, finding.rule.title)

# %% [markdown]
# The client with one engine, made with the client itself. The epsilon that it reports is now that of all its rounds.

# %%
Path("mended.py").write_text("""from opacus import PrivacyEngine
import flwr as fl
class Client(fl.client.NumPyClient):
    def __init__(self, net, opt, data):
        self.engine = PrivacyEngine()
        self.net, self.opt, self.data = self.engine.make_private(module=net, optimizer=opt, data_loader=data,
                                                                 noise_multiplier=1.0, max_grad_norm=1.0)
    def fit(self, parameters, config):
        return self.get_parameters(config), 1, {"epsilon": self.engine.get_epsilon(1e-5)}
""")
for finding in check_paths([Path("mended.py")]).findings:
    print(finding.code, finding.rule.title)

# %% [markdown]
# ## What this does not protect
#
# Numbers that leave beside the noise: losses, counts, scores. Persons with several records under a unit of one record. Settings that were tried and thrown away.
#
# Sources: Dwork et al. 2006; Abadi et al. 2016 (DP-SGD); Gopi, Lee and Wutschitz 2021 (composition).
