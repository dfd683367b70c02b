"""NVFlare's loop with an engine that is made in the first round and metrics that stay on the site."""

import nvflare.client as flare
import torch
from opacus import PrivacyEngine
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter


def main():
    model = torch.nn.Linear(30, 2)
    train_loader = DataLoader(torch.load("site.pt"), batch_size=64)
    optimizer = torch.optim.Adam(model.parameters())
    flare.init()
    local_log = SummaryWriter("on-site-only")
    engine = None
    while flare.is_running():
        received = flare.receive()
        if received.current_round == 0:
            engine = PrivacyEngine()
            model, optimizer, train_loader = engine.make_private(
                module=model, optimizer=optimizer, data_loader=train_loader, noise_multiplier=1.0, max_grad_norm=1.0
            )
        total = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        local_log.add_scalar("loss", total, received.current_round)
        flare.send(
            flare.FLModel(params=model._module.state_dict(), metrics={"epsilon": engine.get_epsilon(1e-5)}, meta={})
        )


main()
