"""LEAF's models: sizes derived by hand, shapes, starts, and that each learns from its own set."""

import leaf_files
import numpy as np
import pytest
import torch
from torch.nn import functional

from secure_fedmeta.datasets.clients import TaskError
from secure_fedmeta.datasets.leaf import (
    IGNORED,
    Femnist,
    Reddit,
    Sent140,
    Shakespeare,
    Synthetic,
    Vocabulary,
    leaf_users,
)
from secure_fedmeta.datasets.leaf.models import (
    celeba_cnn,
    femnist_cnn,
    reddit_accuracy,
    reddit_lstm,
    sent140_lstm,
    shakespeare_lstm,
    synthetic_logistic,
    token_loss,
)
from secure_fedmeta.errors import ModelRefused
from secure_fedmeta.parameters import bind


def size(net):
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def lstm(inputs, hidden):
    """Two layers, four gates, torch's two biases."""
    return 4 * hidden * (inputs + hidden + 2) + 4 * hidden * (hidden + hidden + 2)


def test_parameters_add_up_to_the_published_models():
    convolutions = (5 * 5 * 1 + 1) * 32 + (5 * 5 * 32 + 1) * 64
    assert size(femnist_cnn()) == convolutions + (7 * 7 * 64 + 1) * 2048 + (2048 + 1) * 62 == 6_603_710
    blocks = (3 * 3 * 3 + 1) * 32 + 3 * (3 * 3 * 32 + 1) * 32 + 4 * (32 + 32)
    assert size(celeba_cnn()) == size(celeba_cnn(norm="batch")) == blocks + (6 * 6 * 32 + 1) * 2 == 31_202
    assert size(shakespeare_lstm(letters=80)) == 80 * 8 + lstm(8, 256) + (256 + 1) * 80 == 817_872 + 2 * 1024
    assert size(shakespeare_lstm()) == 81 * 8 + lstm(8, 256) + (256 + 1) * 81
    heads = (100 + 1) * 128 + (128 + 1) * 2
    assert size(sent140_lstm(words=1000)) == 1000 * 100 + lstm(100, 100) + heads
    assert size(sent140_lstm(vectors=np.zeros((9, 300), dtype=np.float32))) == lstm(300, 100) + heads
    assert size(reddit_lstm()) == 10_000 * 256 + lstm(256, 256) + (256 + 1) * 10_000 == 6_182_672
    assert size(synthetic_logistic()) == (60 + 1) * 5


def test_outputs_have_their_shapes_and_starts_follow_the_seed():
    rng = torch.Generator().manual_seed(0)
    for make, rows, shape in (
        (femnist_cnn, torch.rand(2, 784, generator=rng), (2, 62)),
        (celeba_cnn, 255 * torch.rand(2, 84 * 84 * 3, generator=rng), (2, 2)),
        (shakespeare_lstm, torch.randint(0, 81, (2, 80), generator=rng).double(), (2, 81)),
        (lambda **k: sent140_lstm(words=30, **k), torch.randint(0, 30, (2, 25), generator=rng), (2, 2)),
        (lambda **k: reddit_lstm(words=30, **k), torch.randint(0, 30, (2, 10), generator=rng), (2, 10, 30)),
        (synthetic_logistic, torch.rand(2, 60, generator=rng), (2, 5)),
    ):
        one, same, other = make(seed=3), make(seed=3), make(seed=4)
        outputs = one(rows)
        assert outputs.shape == shape and outputs.isfinite().all()
        assert torch.equal(outputs, same(rows)) and not torch.equal(outputs, other(rows))


def test_starts_are_glorot_uniform():
    net = shakespeare_lstm(letters=80)
    bound = (6.0 / (8 + 256 + 4 * 256)) ** 0.5
    for name in ("weight_ih_l0", "weight_hh_l0"):
        weight = getattr(net.lstm, name)
        assert weight.abs().max() <= bound and weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
    bias = net.lstm.bias_ih_l1 + net.lstm.bias_hh_l1
    assert (bias[256:512] == 1).all() and bias[:256].abs().sum() == 0 and bias[512:].abs().sum() == 0
    dense = femnist_cnn()[8].weight
    assert dense.abs().max().item() == pytest.approx((6.0 / (3136 + 2048)) ** 0.5, rel=1e-3)


def test_batch_normalisation_is_refused_where_a_guarantee_is_asked_for():
    with pytest.raises(ModelRefused, match=r"SFM-114.*normalises over the batch, so that"):
        bind(celeba_cnn(norm="batch"))
    net = celeba_cnn(groups=4, seed=1)
    architecture = bind(net)
    rows = torch.rand(3, 84 * 84 * 3, dtype=torch.float64)
    together = architecture.outputs(architecture.start_tensor(), rows)
    alone = torch.cat([architecture.outputs(architecture.start_tensor(), row[None]) for row in rows])
    assert torch.allclose(together, alone)
    for bad in ({"norm": "layer"}, {"groups": 5}, {"groups": 0}):
        with pytest.raises(TaskError, match="SFM-137"):
            celeba_cnn(**bad)


def test_pooling_keeps_the_odd_edge_as_same_padding_does():
    shapes = []
    net = celeba_cnn()
    for layer in net:
        if isinstance(layer, torch.nn.MaxPool2d):
            layer.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[-2:])))
    net(torch.zeros(1, 84 * 84 * 3))
    assert shapes == [(42, 42), (21, 21), (11, 11), (6, 6)]


def test_glove_vectors_stay_as_they_are():
    vectors = np.random.default_rng(0).normal(size=(6, 12)).astype(np.float32)
    net = sent140_lstm(vectors=vectors)
    assert np.array_equal(net.embedding.weight.detach().numpy(), vectors) and not net.embedding.weight.requires_grad
    for bad in ({}, {"words": 3, "vectors": vectors}):
        with pytest.raises(TaskError, match="SFM-137"):
            sent140_lstm(**bad)


def test_token_loss_and_accuracy_by_hand():
    words = Vocabulary(("<PAD>", "<UNK>", "a", "b"))
    outputs = torch.full((3, 4, 4), 0.0, dtype=torch.float64)
    labels = torch.tensor([[2, 3, 1, 0], [2, IGNORED, IGNORED, IGNORED], [IGNORED] * 4])
    guesses = [[2, 2, 1, 0], [2, 3, 3, 3], [3, 3, 3, 3]]
    for row, guessed in enumerate(guesses):
        for at, word in enumerate(guessed):
            outputs[row, at, word] = 2.0
    shares = torch.log_softmax(torch.tensor([2.0, 0.0, 0.0, 0.0], dtype=torch.float64), 0)
    expected = [-(3 * shares[0] + shares[1]) / 4, -shares[0], 0.0]
    assert torch.allclose(token_loss(outputs, labels), torch.tensor(expected, dtype=torch.float64))
    assert token_loss(outputs[None], labels[None].double()).shape == (1, 3)
    assert reddit_accuracy(outputs, labels, words) == 2 / 5  # the right <UNK> and the right <PAD> count as wrong
    assert reddit_accuracy(outputs[2:], labels[2:], words) == 0.0


@pytest.mark.parametrize("name", ["femnist", "shakespeare", "sent140", "reddit", "synthetic"])
def test_each_model_learns_a_user_by_heart(tmp_path, name):
    words = Vocabulary(("<PAD>", "<UNK>", "<BOS>", "<EOS>", "well", "yes", "no", "good", "day", "it's", "so"))
    leaf_files.write(tmp_path / "train", {"a": getattr(leaf_files, name)(np.random.default_rng(1), 4)})
    kind, net, rate, steps = {
        "femnist": (Femnist(), femnist_cnn(), 1e-3, 3),
        "shakespeare": (Shakespeare(), shakespeare_lstm(), 1e-2, 6),
        "sent140": (Sent140(words), sent140_lstm(words=len(words)), 3e-3, 50),
        "reddit": (Reddit(words), reddit_lstm(words=len(words)), 1e-2, 10),
        "synthetic": (Synthetic(60, 5), synthetic_logistic(sigmoid=False), 1e-1, 10),
    }[name]
    client = leaf_users(tmp_path, "train", kind)["a"]
    x, y = torch.tensor(client.x, dtype=torch.float32), torch.tensor(client.y)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        outputs = net(x)
        loss = token_loss(outputs, y).mean() if name == "reddit" else functional.cross_entropy(outputs, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0], losses
