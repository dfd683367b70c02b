"""Sample-level privacy in a NumPyClient, the way quickstarts are written."""

from collections import OrderedDict

import torch
from flwr.client import ClientApp, NumPyClient
from flwr.common import Context
from opacus import PrivacyEngine
from torch import nn
from torch.utils.data import DataLoader


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(20, 2)

    def forward(self, x):
        return self.fc(x)


def get_weights(net):
    return [value.cpu().numpy() for _, value in net.state_dict().items()]


def set_weights(net, parameters):
    pairs = zip(net.state_dict().keys(), parameters)
    net.load_state_dict(OrderedDict({k: torch.tensor(v) for k, v in pairs}), strict=True)


def train(net, train_loader, privacy_engine, optimizer, target_delta, device, epochs=1):
    criterion = nn.CrossEntropyLoss()
    net.to(device)
    net.train()
    for _ in range(epochs):
        for features, labels in train_loader:
            optimizer.zero_grad()
            criterion(net(features.to(device)), labels.to(device)).backward()
            optimizer.step()
    return privacy_engine.get_epsilon(delta=target_delta)


def test(net, test_loader, device):
    criterion = nn.CrossEntropyLoss()
    correct, loss = 0, 0.0
    with torch.no_grad():
        for features, labels in test_loader:
            outputs = net(features.to(device))
            loss += criterion(outputs, labels).item()
            correct += (torch.max(outputs.data, 1)[1] == labels).sum().item()
    return loss, correct / len(test_loader.dataset)


class FlowerClient(NumPyClient):
    def __init__(self, train_loader, test_loader, target_delta, noise_multiplier, max_grad_norm):
        super().__init__()
        self.model = Net()
        self.train_loader = train_loader
        self.test_loader = test_loader
        self.target_delta = target_delta
        self.noise_multiplier = noise_multiplier
        self.max_grad_norm = max_grad_norm
        self.device = torch.device("cpu")

    def fit(self, parameters, config):
        model = self.model
        set_weights(model, parameters)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        privacy_engine = PrivacyEngine(secure_mode=False)  # expect: SFM-501
        model, optimizer, self.train_loader = privacy_engine.make_private(
            module=model,
            optimizer=optimizer,
            data_loader=self.train_loader,
            noise_multiplier=self.noise_multiplier,
            max_grad_norm=self.max_grad_norm,
        )
        epsilon = train(model, self.train_loader, privacy_engine, optimizer, self.target_delta, self.device)
        return get_weights(model), len(self.train_loader.dataset), {"epsilon": epsilon}  # expect: SFM-503

    def evaluate(self, parameters, config):
        set_weights(self.model, parameters)
        loss, accuracy = test(self.model, self.test_loader, self.device)
        return (
            loss,  # expect: SFM-502
            len(self.test_loader.dataset),  # expect: SFM-503
            {"accuracy": accuracy},  # expect: SFM-502
        )


def client_fn(context: Context):
    train_loader, test_loader = load_data(context.node_config["partition-id"])
    return FlowerClient(train_loader, test_loader, context.run_config["target-delta"], 1.0, 1.0).to_client()


def load_data(partition_id):
    path = f"site-{partition_id}.pt"
    return DataLoader(torch.load(path), batch_size=32, shuffle=True), DataLoader(torch.load(path), batch_size=32)


app = ClientApp(client_fn=client_fn)
