"""A client script with NVFlare's loop."""

import nvflare.client as flare
import torch
from nvflare.client.tracking import SummaryWriter
from opacus import PrivacyEngine
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, TensorDataset


def load_data(path):
    raw = torch.load(path)
    scaler = StandardScaler()
    features = scaler.fit_transform(raw["x"])  # expect: SFM-520
    return DataLoader(TensorDataset(torch.tensor(features), raw["y"]), batch_size=64)


def score(model, loader):
    truth, guess = [], []
    for x, y in loader:
        truth.extend(y.tolist())
        guess.extend(model(x).argmax(1).tolist())
    return f1_score(truth, guess)


def main():
    model = torch.nn.Linear(30, 2)
    train_loader = load_data("site.pt")
    flare.init()
    writer = SummaryWriter()
    while flare.is_running():
        received = flare.receive()
        model.load_state_dict(received.params)
        optimizer = torch.optim.Adam(model.parameters())
        engine = PrivacyEngine()  # expect: SFM-501
        private, optimizer, loader = engine.make_private(
            module=model, optimizer=optimizer, data_loader=train_loader, noise_multiplier=1.0, max_grad_norm=1.0
        )
        steps = 0
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(private(x), y).backward()
            optimizer.step()
            steps += 1
        f1 = score(private, loader)
        writer.add_scalar(tag="train_f1", scalar=f1, global_step=received.current_round)  # expect: SFM-502
        writer.add_scalar(tag="epsilon", scalar=engine.get_epsilon(1e-5), global_step=received.current_round)
        flare.send(
            flare.FLModel(
                params=private._module.state_dict(),
                metrics={"f1": f1, "epsilon": engine.get_epsilon(1e-5)},  # expect: SFM-502
                meta={"NUM_STEPS_CURRENT_ROUND": len(train_loader)},  # expect: SFM-503
            )
        )


if __name__ == "__main__":
    main()
