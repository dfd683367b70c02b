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


class Tabled(nn.Module):
    """A constant that no digest would see."""

    def __init__(self, table):
        super().__init__()
        self.layer, self.table = nn.Linear(2, 1), table

    def forward(self, rows):
        return self.layer(rows * torch.as_tensor(self.table))


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
        (lambda: Tabled(torch.ones(2)), "array 'table' is in no digest"),
        (lambda: nn.Sequential(nn.Linear(2, 2), Tabled(np.ones(2))), "array '1.table' is in no digest"),
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


def pretrained(seed=0):
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Linear(3, 4), nn.Tanh()).requires_grad_(False)
    return nn.Sequential(body, nn.Linear(4, 1))


def test_frozen_parameters_are_constants_and_not_in_the_vector():
    module = pretrained()
    bound = bind(module)
    assert bound.names == ("1.weight", "1.bias") and bound.dimension == 5
    assert bound.frozen == ("0.0.weight", "0.0.bias")
    rows, theta = torch.rand(6, 3, dtype=torch.float64), torch.arange(5.0, dtype=torch.float64)
    expected = module[0].double()(rows) @ theta[:4].reshape(4, 1) + theta[4]
    torch.testing.assert_close(bound.outputs(theta, rows), expected)
    placed = bound.module_at(theta.numpy())
    torch.testing.assert_close(placed(rows), expected)
    assert [p.requires_grad for p in placed.parameters()] == [False, False, True, True]
    bound.check_fits(3, 1)


def test_of_another_type_what_is_frozen_stays_so():
    bound = bind(pretrained())
    short = bound.of_type(torch.float32)
    assert (short.frozen, short.digest, short.names) == (bound.frozen, bound.digest, bound.names)
    assert short.outputs(bound.start_tensor().float(), torch.rand(2, 3)).dtype == torch.float32


def test_one_bit_of_one_frozen_weight_changes_the_digest():
    module, digests = pretrained(), set()
    flat = module[0][0].weight.data.view(-1).view(torch.int32)
    for place in range(len(flat)):
        for bit in (0, 11, 22, 31):
            flat[place] ^= 1 << bit if bit < 31 else -(2**31)
            digests.add(bind(module).digest)
            flat[place] ^= 1 << bit if bit < 31 else -(2**31)
    assert len(digests) == 4 * len(flat) and bind(module).digest not in digests


def test_the_sign_of_a_frozen_zero_and_the_order_of_equal_bytes_count():
    def made(first, second):
        module = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
        module[0].requires_grad_(False)
        module[0].weight.data[:] = torch.tensor([[first, second]])
        module[0].bias.data[:] = 0.0
        return bind(module).digest

    assert len({made(0.0, 1.0), made(-0.0, 1.0), made(1.0, 0.0)}) == 3


def test_learned_values_still_do_not_enter_the_digest_frozen_ones_and_freezing_do():
    free, frozen = nn.Linear(2, 1), nn.Linear(2, 1)
    frozen.load_state_dict(free.state_dict())
    frozen.bias.requires_grad_(False)
    assert bind(free).digest != bind(frozen).digest
    same = pretrained()
    nn.init.constant_(same[1].weight, 7.0)
    assert bind(same).digest == bind(pretrained()).digest != bind(pretrained(seed=1)).digest


def test_nothing_left_to_learn_is_refused():
    with pytest.raises(ModelRefused, match="all of its parameters are frozen"):
        bind(nn.Linear(2, 1).requires_grad_(False))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_frozen_value_that_is_not_finite_is_refused(bad):
    module = pretrained()
    module[0][0].bias.data[2] = bad
    with pytest.raises(ModelRefused, match=r"'0.0.bias' is not finite"):
        bind(module)
