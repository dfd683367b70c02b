"""Engines kept in a module's dictionary, one per site, and in a cached function."""

from functools import lru_cache

import torch
from flwr.client import ClientApp, NumPyClient
from opacus import PrivacyEngine

ENGINES = {}


def engine_of(site):
    if site in ENGINES:
        return ENGINES[site]
    ENGINES[site] = PrivacyEngine()
    return ENGINES[site]


@lru_cache(maxsize=None)
def other_engine(site):
    return PrivacyEngine()


class Client(NumPyClient):
    def __init__(self, site, loader):
        self.site, self.loader, self.model = site, loader, torch.nn.Linear(4, 2)

    def fit(self, parameters, config):
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        engine = engine_of(self.site) if config["kind"] else other_engine(self.site)
        model, optimizer, loader = engine.make_private(
            module=self.model, optimizer=optimizer, data_loader=self.loader, noise_multiplier=1.0, max_grad_norm=1.0
        )
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        return [p.detach().numpy() for p in model.parameters()], 1, {}


def client_fn(context):
    return Client(context.node_config["partition-id"], context.node_config["loader"]).to_client()


app = ClientApp(client_fn)
