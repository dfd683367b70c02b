"""The server tests on public data of its own."""

from flwr.app import ArrayRecord, Context, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from .task import Net, load_data

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context):
    strategy = FedAvg(fraction_train=1.0)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(Net().state_dict()),
        num_rounds=context.run_config["num-server-rounds"],
        evaluate_fn=on_public_data,
    )


def on_public_data(server_round, arrays):
    model = Net()
    model.load_state_dict(arrays.to_torch_state_dict())
    loader = load_data("public")
    hits = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return MetricRecord({"accuracy": hits / len(loader.dataset)})
