"""A training script for one machine with a mistake in every other line."""

import argparse

import torch
import torch.nn as nn
from opacus import PrivacyEngine
from opacus.data_loader import DPDataLoader
from torchvision import models

N_TRAIN = 5000
DELTA = 1e-3  # expect: SFM-514


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 16, 3)
        self.norm = nn.BatchNorm2d(16)  # expect: SFM-513
        self.head = nn.Linear(16, 10)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)  # expect: SFM-510
    model = models.resnet18(num_classes=10) if args.seed else ConvNet()  # expect: SFM-513
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DPDataLoader(torch.load("rows.pt"), sample_rate=0.01, rand_on_empty=True)  # expect: SFM-516
    engine = PrivacyEngine(accountant="gdp")  # expect: SFM-518
    model, optimizer, loader = engine.make_private(  # expect: SFM-511
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        poisson_sampling=False,
    )
    for epoch in range(10):
        for x, y in loader:
            if x.shape[0] == 0:  # expect: SFM-517
                continue
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
    print(engine.get_epsilon(delta=0.02))  # expect: SFM-514


if __name__ == "__main__":
    main()
