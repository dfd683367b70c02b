"""What the other rules look at, done right."""

import pickle

import torch
from opacus import PrivacyEngine
from sklearn.preprocessing import MinMaxScaler

N_TRAIN = 5000
DELTA = 1 / (10 * 5000)
PUBLIC_RANGES = [[0.0, 0.0], [1.0, 120.0]]

scaler = MinMaxScaler()
scaler.fit(PUBLIC_RANGES)

model = torch.nn.Sequential(torch.nn.Linear(1, 40), torch.nn.ReLU(), torch.nn.Linear(40, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
criterion = torch.nn.MSELoss(reduction="mean")
fresh = torch.Generator()
fresh.seed()
split = torch.Generator().manual_seed(3)
train_set, rest = torch.utils.data.random_split(torch.load("rows.pt"), [0.8, 0.2], generator=split)
engine = PrivacyEngine(secure_mode=True)
model, optimizer, criterion, loader = engine.make_private(
    module=model,
    optimizer=optimizer,
    data_loader=torch.utils.data.DataLoader(train_set, batch_size=50),
    criterion=criterion,
    noise_multiplier=1.0,
    max_grad_norm=1.0,
    grad_sample_mode="ghost",
    poisson_sampling=True,
    noise_generator=fresh,
)
for x, y in loader:
    optimizer.zero_grad()
    if len(x) == 0:
        optimizer.step()
        continue
    prediction = model(x).squeeze(1)
    criterion(prediction, y.view(-1)).backward()
    optimizer.step()
print(engine.get_epsilon(DELTA))
with open("own_note.pkl", "rb") as file:
    print(pickle.load(file))
