"""Regression with ghost clipping."""

import torch
from opacus import PrivacyEngine

model = torch.nn.Sequential(torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
criterion = torch.nn.MSELoss()  # expect: SFM-515
generator = torch.Generator()
generator.manual_seed(7)  # expect: SFM-510
engine = PrivacyEngine()
model, optimizer, criterion, loader = engine.make_private(
    module=model,
    optimizer=optimizer,
    data_loader=torch.load("loader.pt"),
    criterion=criterion,
    noise_multiplier=1.0,
    max_grad_norm=1.0,
    grad_sample_mode="ghost",
    noise_generator=generator,
)
for x, y in loader:
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
