"""The engine is on self, but client_fn makes the client anew for each message."""

import flwr as fl
import torch
from opacus import PrivacyEngine

from mine import Net, load_partition


class Hospital(fl.client.NumPyClient):
    def __init__(self, cid):
        self.model = Net()
        self.loader = load_partition(cid)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.engine = PrivacyEngine()  # expect: SFM-501
        self.model, self.optimizer, self.loader = self.engine.make_private(
            module=self.model,
            optimizer=self.optimizer,
            data_loader=self.loader,
            noise_multiplier=1.1,
            max_grad_norm=1.0,
        )

    def fit(self, parameters, config):
        return [p.detach().numpy() for p in self.model.parameters()], 1, {}


class Lazy(fl.client.NumPyClient):
    engine = None

    def __init__(self, cid):
        self.loader = load_partition(cid)

    def fit(self, parameters, config):
        if self.engine is None:
            self.engine = PrivacyEngine()  # expect: SFM-501
        rows = self.loader.dataset
        return parameters, 1, {"rows": len(rows), "mean": rows.mean()}  # expect: SFM-503 SFM-502


def client_fn(cid: str):
    return Hospital(cid).to_client() if int(cid) % 2 else Lazy(cid).to_client()


fl.simulation.start_simulation(client_fn=client_fn, num_clients=10)
