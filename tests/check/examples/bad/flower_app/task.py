"""Model, data and training of the app."""

import torch
from opacus import PrivacyEngine
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))

    def forward(self, x):
        return self.layers(x)


def privatise(model, optimizer, loader, sigma):
    engine = PrivacyEngine()  # expect: SFM-501
    model, optimizer, loader = engine.make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=sigma, max_grad_norm=1.0
    )
    return model, optimizer, loader, engine


def train(model, trainloader, epochs, lr, sigma):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    model, optimizer, trainloader, engine = privatise(model, optimizer, trainloader, sigma)
    criterion = nn.CrossEntropyLoss()
    running_loss = 0.0
    for _ in range(epochs):
        for batch in trainloader:
            optimizer.zero_grad()
            loss = criterion(model(batch["x"]), batch["y"])
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
    return running_loss / len(trainloader), engine.get_epsilon(1e-5)
