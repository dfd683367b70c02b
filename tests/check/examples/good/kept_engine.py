"""One engine for the client's whole life; nothing but the private model leaves."""

import flwr as fl
import torch
from opacus import PrivacyEngine
from torch import nn

REGISTERED_SLOTS = 400


class Client(fl.client.NumPyClient):
    def __init__(self, train_loader, test_loader):
        self.model = nn.Linear(20, 2)
        self.test_loader = test_loader
        optimizer = torch.optim.SGD(self.model.parameters(), lr=0.05)
        self.engine = PrivacyEngine(accountant="prv")
        self.model, self.optimizer, self.train_loader = self.engine.make_private(
            module=self.model, optimizer=optimizer, data_loader=train_loader, noise_multiplier=1.2, max_grad_norm=1.0
        )

    def fit(self, parameters, config):
        self.set_parameters(parameters)
        for x, y in self.train_loader:
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.model(x), y).backward()
            self.optimizer.step()
        epsilon = self.engine.get_epsilon(1e-5)
        return self.get_parameters(config), REGISTERED_SLOTS, {"epsilon": float(epsilon), "round": config["round"]}

    def evaluate(self, parameters, config):
        self.set_parameters(parameters)
        print(f"on site: {self.score():.3f}")
        return 0.0, 1, {}

    def score(self):
        return sum((self.model(x).argmax(1) == y).sum().item() for x, y in self.test_loader)

    def get_parameters(self, config):
        return [p.detach().numpy() for p in self.model.parameters()]

    def set_parameters(self, parameters):
        for p, value in zip(self.model.parameters(), parameters):
            p.data = torch.tensor(value)


class LazyClient(Client):
    def __init__(self, loader):
        self.loader, self.engine = loader, None

    def fit(self, parameters, config):
        if self.engine is None:
            self._setup()
        return self.get_parameters(config), 1, {}

    def _setup(self):
        self.engine = PrivacyEngine()


def main(train_loader, test_loader):
    fl.client.start_numpy_client(server_address="127.0.0.1:8080", client=Client(train_loader, test_loader))
