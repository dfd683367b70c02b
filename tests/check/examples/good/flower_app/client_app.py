"""The accountant's history travels in the context, and a noisy loss has its own budget."""

import json

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from opacus import PrivacyEngine

from .task import Net, load_data

app = ClientApp()
rng = np.random.default_rng()


def noisy_loss(model, loader, scale):
    losses = [float(torch.nn.functional.cross_entropy(model(x), y).clamp(0, 1)) for x, y in loader]
    return sum(losses) + rng.laplace(scale=scale)


@app.train()
def train(msg: Message, context: Context):
    model = Net()
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    loader = load_data(context.node_config["partition-id"])
    optimizer = torch.optim.SGD(model.parameters(), lr=context.run_config["lr"])
    engine = PrivacyEngine(accountant="rdp")
    if "accountant" in context.state.config_records:
        engine.accountant.load_state_dict(json.loads(context.state["accountant"]["state"]))
    model, optimizer, loader = engine.make_private(
        module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
    )
    for x, y in loader:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    context.state["accountant"] = ConfigRecord({"state": json.dumps(engine.accountant.state_dict())})
    metrics = MetricRecord(
        {"num-examples": 1, "epsilon": engine.get_epsilon(1e-5), "loss": noisy_loss(model, loader, 20.0)}
    )
    return Message(
        content=RecordDict({"arrays": ArrayRecord(model._module.state_dict()), "metrics": metrics}), reply_to=msg
    )
