"""Networks that can be run with a guarantee, and those that cannot."""

import numpy as np
import pytest
import torch
from torch import nn

from secure_fedmeta.errors import ModelRefused
from secure_fedmeta.parameters import bind


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(2, 2)
        self.two = nn.Linear(2, 2)
        self.two.weight = self.one.weight


class Counting(nn.Module):
    """State that no buffer holds: every call gives something else."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 1), 0

    def forward(self, rows):
        self.calls += 1
        return self.layer(rows) + self.calls


class Buffered(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.register_buffer("seen", torch.zeros(1))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), "over the batch"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), "over the batch"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval(), "over the batch"),
        (lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1)), "at random"),
        (lambda: nn.GRU(2, 2, num_layers=2, dropout=0.5), "at random"),
        (lambda: nn.InstanceNorm1d(2, affine=True, track_running_stats=True), "running_mean|over the batch"),
        (Buffered, "'seen'"),
        (Tied, "one tensor"),
        (nn.ReLU, "no parameters"),
        (lambda: nn.LazyLinear(2), "lazy"),
        (lambda: nn.Linear(2, 2, dtype=torch.complex64), "real numbers"),
        (lambda: "a string", "no torch.nn.Module"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_refused(make, why):
    with pytest.raises(ModelRefused, match=why) as refusal:
        bind(make)
    assert "SFM-114" in str(refusal.value)


def test_not_finite_at_the_start():
    module = nn.Linear(2, 1)
    nn.init.constant_(module.bias, float("nan"))
    with pytest.raises(ModelRefused, match="not finite"):
        bind(module)


@pytest.mark.parametrize(
    ("module", "inputs", "outputs", "why"),
    [
        (nn.Linear(2, 1), 3, 1, "does not take rows of 3"),
        (nn.Linear(2, 2), 2, 1, r"\(2, 2\), not \(2, 1\)"),
        (nn.Linear(2, 1), 2, 3, r"\(2, 1\), not \(2, 3\)"),
        (Counting(), 2, 1, "second time"),
    ],
)
def test_shapes_that_do_not_fit(module, inputs, outputs, why):
    with pytest.raises(ModelRefused, match=why):
        bind(module).check_fits(inputs, outputs)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1)),
        nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1)).eval(),
        nn.Sequential(nn.Linear(3, 1), nn.Flatten(0)),
    ],
)
def test_accepted(module):
    bind(module).check_fits(3, 1)


def test_flat_and_back():
    bound = bind(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    assert bound.names == ("0.weight", "0.bias", "1.weight", "1.bias") and bound.dimension == 26
    flat = np.arange(26.0)
    module = bound.module_at(flat)
    back = torch.cat([p.detach().reshape(-1) for p in module.parameters()]).numpy()
    assert (back == flat).all() and back.dtype == np.float64
    assert (bound.start != flat).any()  # the copy did not touch the architecture


def test_the_digest_tells_architectures_apart():
    made = [nn.Linear(2, 1), nn.Linear(2, 1, bias=False), nn.Linear(1, 2), nn.Sequential(nn.Linear(2, 1), nn.Tanh())]
    digests = {bind(module).digest for module in made}
    assert len(digests) == len(made)
    assert (
        bind(nn.Linear(2, 1)).digest == bind(nn.Linear(2, 1)).digest
    )  # initial values are the model's, not the plan's
    assert "tensor" not in repr(bind(made[0]))
