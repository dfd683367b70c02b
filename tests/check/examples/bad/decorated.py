"""The same in one file, with aliases."""

import opacus as op
import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp as App

from somewhere import Net, get_loader

client = App()
Engine = op.PrivacyEngine


@client.train()
def local_training(msg, context):
    model = Net()
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    loader = get_loader(context.node_config["partition-id"])
    optimizer = torch.optim.Adam(model.parameters())
    engine = Engine(accountant="rdp")  # expect: SFM-501
    model, optimizer, loader = engine.make_private_with_epsilon(
        module=model,
        optimizer=optimizer,
        data_loader=loader,
        epochs=1,
        target_epsilon=3.0,
        target_delta=1e-5,
        max_grad_norm=1.0,
    )
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += float(loss)
    return Message(
        content=RecordDict(
            {
                "arrays": ArrayRecord(model.state_dict()),
                "metrics": MetricRecord(
                    {
                        "train_loss": total,  # expect: SFM-502
                        "num-examples": len(loader.dataset),  # expect: SFM-503
                        "epsilon": engine.get_epsilon(1e-5),
                    }
                ),
            }
        ),
        reply_to=msg,
    )


@client.evaluate()
def local_test(msg, context):
    model = Net()
    loader = get_loader(context.node_config["partition-id"])
    hits = 0
    for x, y in loader:
        hits += (model(x).argmax(1) == y).sum().item()
    record = MetricRecord({"accuracy": hits / len(loader.dataset), "lr": 0.1})  # expect: SFM-502
    return Message(content=RecordDict({"metrics": record}), reply_to=msg)
