"""The character transformer: causal, free of state, twice differentiable, within its size."""

import pytest
import torch
from small_prompts import LETTERS, TINY, tiny_transformer
from torch.func import functional_call, grad, vmap

from secure_fedmeta.errors import PromptRefused
from secure_fedmeta.parameters import bind
from secure_fedmeta.prompts.transformer import MOST_PARAMETERS, CharTransformer, Size


def ids(n, length=TINY.window, seed=1):
    return torch.randint(LETTERS, (n, length), generator=torch.Generator().manual_seed(seed))


def test_a_later_character_changes_no_earlier_prediction_and_a_prompt_changes_all():
    model, one = tiny_transformer(), ids(1)
    other = one.clone()
    other[0, 3] = (one[0, 3] + 1) % LETTERS
    here, there = model(one)[0], model(other)[0]
    assert torch.equal(here[:3], there[:3])
    assert (here[3:] != there[3:]).any(dim=1).all()
    prompted = model(one, torch.ones(2, TINY.width))[0]
    assert prompted.shape == here.shape and (prompted != here).any(dim=1).all()


def test_the_order_of_prompt_rows_matters_to_nothing_they_have_no_positions():
    torch.manual_seed(0)
    model, prompt = tiny_transformer().double(), torch.randn(5, TINY.width, dtype=torch.float64)
    only_one_layer = model(ids(3), prompt)
    torch.testing.assert_close(model(ids(3), prompt.flip(0)), only_one_layer)


def test_each_row_may_have_a_prompt_of_its_own():
    model, each = tiny_transformer(), torch.randn(3, 2, TINY.width, generator=torch.Generator().manual_seed(0))
    together = model(ids(3), each)
    for row in range(3):
        torch.testing.assert_close(model(ids(3)[row : row + 1], each[row])[0], together[row])


def test_parameters_are_its_only_state_and_it_stays_within_a_million():
    model = tiny_transformer()
    assert not list(model.buffers())
    for size in (TINY, Size(), Size(width=96, layers=3, heads=3, letters=31)):
        assert sum(p.numel() for p in CharTransformer(size).parameters()) <= MOST_PARAMETERS
    with pytest.raises(PromptRefused, match=r"SFM-115: 10\d{5} parameters"):
        CharTransformer(Size(width=184, layers=2, heads=8, window=400, letters=400))


def test_the_limit_is_exact():
    """The number worked out before anything is allocated is the number of parameters."""
    for size in (TINY, Size(width=12, layers=3, heads=4, window=9, letters=5)):
        w, n = size.width, size.letters
        planned = w * (size.layers * (12 * w + 13) + 2 * n + size.window + 2) + n
        assert sum(p.numel() for p in CharTransformer(size).parameters()) == planned


@pytest.mark.parametrize("wrong", [{"heads": 3}, {"width": 0}, {"layers": 1.5}, {"window": 5000}])
def test_sizes_that_are_none(wrong):
    with pytest.raises(PromptRefused, match="is no size"):
        Size(**({"width": 8, "heads": 2} | wrong))


def test_second_derivatives_and_vmap_over_all_weights():
    model = tiny_transformer().double()
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    batch = ids(4).view(4, 1, TINY.window)

    def loss(given, rows):
        return functional_call(model, given, (rows,)).log_softmax(-1)[..., 0].sum()

    def adapted(given, rows):
        slope = grad(loss)(given, rows)
        return loss({name: p - 0.1 * slope[name] for name, p in given.items()}, rows)

    together = vmap(grad(adapted), in_dims=(None, 0))(parameters, batch)
    for row in range(4):
        leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
        inner = torch.autograd.grad(loss(leaves, batch[row]), list(leaves.values()), create_graph=True)
        moved = {name: p - 0.1 * g for (name, p), g in zip(leaves.items(), inner, strict=True)}
        outer = torch.autograd.grad(loss(moved, batch[row]), list(leaves.values()))
        for (name, _), expected in zip(leaves.items(), outer, strict=True):
            torch.testing.assert_close(together[name][row], expected)


def test_heads_are_in_the_digest_though_no_shape_shows_them():
    one, other = (tiny_transformer(size=Size(width=8, layers=1, heads=heads, window=6)) for heads in (1, 2))
    other.load_state_dict(one.state_dict())
    assert bind(one).digest != bind(other).digest
