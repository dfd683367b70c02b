"""Every algorithm with settings that make each of its parts count, and a network for them."""

import torch

from secure_fedmeta.algorithms.anil import Anil, head_of
from secure_fedmeta.algorithms.fedavg import FedAvg
from secure_fedmeta.algorithms.imaml import Imaml
from secure_fedmeta.algorithms.inner import GradientSteps
from secure_fedmeta.algorithms.maml import Maml
from secure_fedmeta.algorithms.meta_sgd import MetaSgd
from secure_fedmeta.algorithms.per_fedavg import PerFedAvg
from secure_fedmeta.algorithms.reptile import Reptile
from secure_fedmeta.parameters import bind


def small_net(features=3, outputs=1, hidden=8):
    torch.manual_seed(0)
    return bind(
        torch.nn.Sequential(torch.nn.Linear(features, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, outputs))
    )


def algorithms_of(net, lr=0.3):
    """Each algorithm, plain and with the inner gradient clipped where it has one."""
    many, limited = GradientSteps(lr, 3), GradientSteps(lr, 3, max_norm=0.05)
    head, lengths = head_of(net), net.lengths
    return {
        "maml": Maml(many),
        "maml-clipped": Maml(limited),
        "maml-momentum": Maml(GradientSteps(lr, 3, rule="momentum")),
        "maml-adam": Maml(GradientSteps(0.03, 3, rule="adam")),
        "fomaml": Maml(many, first_order=True),
        "anil": Anil(many, head, net.dimension),
        "anil-clipped": Anil(limited, head, net.dimension),
        "anil-first-order": Anil(many, head, net.dimension, first_order=True),
        "anil-two-spans": Anil(many, head_of(net, ("0.bias", "2.bias")), net.dimension),
        "meta-sgd": MetaSgd(lr, 2, lengths),
        "meta-sgd-tensors": MetaSgd(lr, 2, lengths, per_tensor=True),
        "meta-sgd-clipped": MetaSgd(lr, 2, lengths, max_norm=0.05),
        "reptile": Reptile(many),
        "reptile-clipped": Reptile(limited),
        "per-fedavg": PerFedAvg(lr),
        "per-fedavg-clipped": PerFedAvg(lr, max_norm=0.05),
        "per-fedavg-many": PerFedAvg(lr, local_steps=3, local_lr=0.2),
        "imaml": Imaml(many, regularization=2.0),
        "imaml-clipped": Imaml(limited, regularization=2.0, cg_steps=3),
        "fedavg": FedAvg(many),
        "fedavg-tuned": FedAvg(many, fine_tuning=limited),
    }


NAMES = tuple(algorithms_of(small_net()))
