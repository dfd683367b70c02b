"""A training script for one machine, as Opacus' own examples are written."""

import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from opacus.validators import ModuleValidator
from torchvision import models


def train(args, model, device, train_loader, optimizer, privacy_engine, epoch):
    model.train()
    criterion = nn.CrossEntropyLoss()
    losses = []
    with BatchMemoryManager(data_loader=train_loader, max_physical_batch_size=64, optimizer=optimizer) as small:
        for data, target in small:
            optimizer.zero_grad()
            loss = criterion(model(data.to(device)), target.to(device))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    epsilon = privacy_engine.get_epsilon(delta=args.delta)
    print(f"epoch {epoch} loss {np.mean(losses):.6f} (eps = {epsilon:.2f}, delta = {args.delta})")


def test(model, device, test_loader):
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in test_loader:
            correct += F.one_hot(model(data.to(device)).argmax(1)).eq(target).sum().item()
    return correct / len(test_loader.dataset)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sigma", type=float, default=1.0)
    parser.add_argument("--delta", type=float, default=1e-5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--n-runs", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(1)
    train_set, test_set = torch.load("sets.pt")
    torch.seed()
    results = []
    for _ in range(args.n_runs):
        model = ModuleValidator.fix(models.resnet18(num_classes=10))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        privacy_engine = PrivacyEngine()
        loader = torch.utils.data.DataLoader(train_set, batch_size=256)
        model, optimizer, loader = privacy_engine.make_private(
            module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=args.sigma, max_grad_norm=1.0
        )
        for epoch in range(1, args.epochs + 1):
            train(args, model, "cpu", loader, optimizer, privacy_engine, epoch)
        results.append(test(model, "cpu", torch.utils.data.DataLoader(test_set)))
    torch.save(results, "results.pt")


if __name__ == "__main__":
    main()
