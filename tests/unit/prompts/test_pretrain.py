"""Pre-training: the same bits from the same seed; weights that go to a file and come back, or are refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save
from small_prompts import TINY, tiny_transformer

from secure_fedmeta.errors import PromptRefused, WeightsRefused
from secure_fedmeta.prompts.pretrain import Training, load_weights, pretrain, save_weights, weights_digest
from secure_fedmeta.prompts.text import encode, plays
from secure_fedmeta.prompts.transformer import CharTransformer, Size

SHORT = Training(steps=6, batch=4, plays=3)


@pytest.mark.parametrize("threads", [1, pytest.param(2, marks=pytest.mark.long)])
def test_bit_identical_again_whatever_the_global_generator_did(threads):
    training = Training(steps=6, batch=4, plays=3, threads=threads)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = pretrain(TINY, training)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    number = torch.get_num_threads()
    second = pretrain(TINY, training)
    assert torch.get_num_threads() == number
    assert weights_digest(first) == weights_digest(second)
    for name, values in first.state_dict().items():
        assert torch.equal(values, second.state_dict()[name])


def test_another_seed_or_step_is_another_network():
    digests = {weights_digest(pretrain(TINY, t)) for t in (SHORT, Training(1, 6, 4, 3), Training(0, 7, 4, 3))}
    assert len(digests) == 3


def test_it_learns():
    size = Size(width=16, layers=1, heads=2, window=20)
    frames = torch.from_numpy(np.stack([encode(play.text[:21]) for play in plays(9, 30)]))

    def loss(model):
        with torch.no_grad():
            logits = model(frames[:, :-1]).flatten(0, 1)
            return float(torch.nn.functional.cross_entropy(logits, frames[:, 1:].flatten()))

    assert loss(pretrain(size, Training(steps=90, batch=16, plays=40))) < 3.0 < 4.0 < loss(tiny_untrained(size))


def tiny_untrained(size):
    return tiny_transformer(size=size)


def test_to_a_file_and_back(tmp_path):
    model = pretrain(TINY, SHORT)
    save_weights(tmp_path / "w.safetensors", model)
    back = load_weights(tmp_path / "w.safetensors", TINY)
    assert weights_digest(back) == weights_digest(model)
    save_weights(tmp_path / "again.safetensors", back)
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "w.safetensors").read_bytes()


def test_one_bit_changes_the_digest():
    model = tiny_transformer()
    before = weights_digest(model)
    model.places.data.view(torch.int32)[2, 3] ^= 1
    assert weights_digest(model) != before


def state(change):
    made = tiny_transformer().state_dict()
    change(made)
    return save(made)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not the weights"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00notjson!", "not the weights"),
        (state(lambda s: s.pop("places")), "not the weights"),
        (state(lambda s: s.update(places=torch.zeros(7, 8))), "not the weights"),
        (state(lambda s: s.update(extra=torch.zeros(1))), "not the weights"),
        (state(lambda s: s.update(places=torch.full((6, 8), float("nan")))), "not finite"),
        (bytes(8 * 2**20 + 1), "more than"),
    ],
)
def test_files_that_are_refused(content, why, tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsRefused, match=why) as refusal:
        load_weights(path, TINY)
    assert "SFM-116" in str(refusal.value)


def test_no_file(tmp_path):
    with pytest.raises(WeightsRefused, match="cannot be read"):
        load_weights(tmp_path / "none", TINY)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch": 2.5}, {"lr": 1.0}, {"threads": 0}, {"seed": -1}])
def test_settings_that_are_refused(wrong):
    with pytest.raises(PromptRefused, match="cannot be trained"):
        Training(**wrong)


def test_the_default_transformer_is_within_the_limit():
    assert sum(p.numel() for p in CharTransformer(Size()).parameters()) == 115_536
