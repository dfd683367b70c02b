"""Federated averaging written by hand: one engine per client and round."""

import copy

import torch
from opacus import PrivacyEngine
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def average(states):
    return {k: sum(s[k] for s in states) / len(states) for k in states[0]}


def main(clients, rounds=10):
    global_model = nn.Linear(10, 2)
    criterion = nn.CrossEntropyLoss()
    for r in range(rounds):
        local_weights = []
        for client_x, client_y in clients:
            local_model = copy.deepcopy(global_model)
            optimizer = optim.Adam(local_model.parameters(), lr=0.01)
            loader = DataLoader(TensorDataset(client_x, client_y), batch_size=64, shuffle=True)
            privacy_engine = PrivacyEngine()  # expect: SFM-501
            local_model, optimizer, loader = privacy_engine.make_private(
                module=local_model,
                optimizer=optimizer,
                data_loader=loader,
                noise_multiplier=1.0,
                max_grad_norm=1.0,
            )
            for batch_x, batch_y in loader:
                optimizer.zero_grad()
                criterion(local_model(batch_x), batch_y).backward()
                optimizer.step()
            print(f"round {r}: epsilon {privacy_engine.get_epsilon(delta=1e-5):.2f}")
            local_weights.append(local_model._module.state_dict())
        global_model.load_state_dict(average(local_weights))


class LocalTrainer:
    """The same with the engine in a method that the loop calls."""

    def __init__(self, loader, model):
        self.loader, self.model = loader, model

    def local_update(self):
        optimizer = optim.SGD(self.model.parameters(), lr=0.1)
        engine = PrivacyEngine()  # expect: SFM-501
        return engine.make_private(
            module=self.model, optimizer=optimizer, data_loader=self.loader, noise_multiplier=1.0, max_grad_norm=1.0
        )


def by_method(trainers, num_rounds):
    for _ in range(num_rounds):
        for trainer in trainers:
            trainer.local_update()


def train_client(model, loader):
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    engine = PrivacyEngine()  # expect: SFM-501
    return engine.make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
    )


def by_function(model, loaders, num_rounds):
    current_round = 0
    while current_round < num_rounds:
        for loader in loaders:
            train_client(model, loader)
        current_round += 1
