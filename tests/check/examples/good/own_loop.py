"""One engine per client, made before the rounds; a shared accountant; a first-round guard."""

import torch
from opacus import PrivacyEngine
from opacus.accountants import RDPAccountant
from opacus.optimizers import DPOptimizer


def outside(clients, rounds):
    trainers = []
    for model, loader in clients:
        engine = PrivacyEngine()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trainers.append(
            (
                engine,
                *engine.make_private(
                    module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
                ),
            )
        )
    for r in range(rounds):
        for engine, model, optimizer, loader in trainers:
            for x, y in loader:
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
        print(r, [engine.get_epsilon(1e-5) for engine, *_ in trainers])


def first_round_only(model, loader, rounds):
    engine = None
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for current_round in range(rounds):
        if engine is None:
            engine = PrivacyEngine()
            model, optimizer, loader = engine.make_private(
                module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
            )
        print(current_round, engine.get_epsilon(1e-5))


class Site:
    def __init__(self):
        self.accountant = RDPAccountant()

    def update(self, model, rate, size):
        optimizer = DPOptimizer(
            torch.optim.SGD(model.parameters(), lr=0.1),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
            expected_batch_size=rate * size,
        )
        optimizer.attach_step_hook(self.accountant.get_optimizer_hook_fn(sample_rate=rate))
        return optimizer


def with_history(model, loader, rounds):
    history = []
    for round_number in range(rounds):
        engine = PrivacyEngine()
        engine.accountant.history = history
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        engine.make_private(
            module=model, optimizer=optimizer, data_loader=loader, noise_multiplier=1.0, max_grad_norm=1.0
        )
        print(round_number, engine.get_epsilon(1e-5))
