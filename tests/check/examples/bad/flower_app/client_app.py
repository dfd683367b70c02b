"""A ClientApp of decorated functions, with its work in another file."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from .loading import load_data
from .task import Net
from .task import train as train_fn

app = ClientApp()


@app.train()
def train(msg: Message, context: Context):
    model = Net()
    model.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    trainloader, _ = load_data(context.node_config["partition-id"])
    train_loss, epsilon = train_fn(model, trainloader, context.run_config["local-epochs"], 0.1, 1.0)
    metrics = {
        "train_loss": train_loss,
        "num-examples": len(trainloader.dataset),
        "epsilon": epsilon,
    }
    record = MetricRecord(metrics)  # expect: SFM-502
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": record})
    return Message(content=content, reply_to=msg)
